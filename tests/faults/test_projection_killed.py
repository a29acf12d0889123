"""kill -9 on a process that runs, or rebuilds, a projection."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from eventsource import EventStore, PostgreSQLEventStore
from eventsource.projections import (
    InlineEventStore,
    handles,
    rebuild_blue_green,
    rebuild_in_place,
)
from eventsource.sqlite_database import SQLiteDatabase
from eventsource.stores.sqlite import SQLiteEventStore
from tests.till import ArticleSold, Sold, SoldInline, feed, fold, run, sell
from tutorial_support.lab import eventually

SALES = 20


class Mortal(Sold):
    """Dies after the work on the event of this number, before the checkpoint."""

    projection_name = "Sold"

    def __init__(self, *args: Any, dies_at: int = -1) -> None:
        super().__init__(*args)
        self.left = dies_at

    @handles(ArticleSold)
    async def _count(self, transaction: Any, event: ArticleSold) -> None:
        await super()._count(transaction, event)
        await self._write(transaction, event)
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    async def _write(self, transaction: Any, event: ArticleSold) -> None:
        """Nothing here."""


class Writing(Mortal):
    """Also writes a letter for each sale, outside the tables that are rebuilt."""

    projection_name = "Sold"

    async def create_tables(self, transaction: Any) -> None:
        await super().create_tables(transaction)
        await run(transaction, "CREATE TABLE IF NOT EXISTS public.letters (article TEXT)")

    async def _write(self, transaction: Any, event: ArticleSold) -> None:
        if not self.is_replaying:
            await run(transaction, "INSERT INTO public.letters VALUES ($1)", event.article)


class Hasty(Writing):
    """Dies between the checkpoint and the commit of its second batch."""

    projection_name = "Sold"
    batches = 0

    async def _advance_in(self, *args: Any) -> bool:
        moved = await super()._advance_in(*args)
        self.batches += 1
        if self.batches == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return moved


class MortalInline(Mortal):
    projection_name = "SoldInline"
    inline = True


async def child(url: str, task: str, dies_at: int) -> None:
    """What the process to be killed does."""
    if task == "follow-sqlite":
        async with SQLiteDatabase(url) as database:
            mortal = Mortal(database, dies_at=dies_at)
            await mortal.catch_up(SQLiteEventStore(database), batch_size=4)
        return
    engine = create_async_engine(url)
    log = store_on(engine)
    projection = Writing(engine, dies_at=dies_at)
    if task == "follow":
        await projection.catch_up(log, batch_size=4)
    elif task == "follow-hastily":
        await Hasty(engine).catch_up(log, batch_size=4)
    elif task == "in-place":
        await rebuild_in_place(projection, log, batch_size=4)
    elif task == "blue-green":
        await rebuild_blue_green(projection, log, batch_size=4)
    else:
        inline = MortalInline(engine, dies_at=dies_at)
        await sell(InlineEventStore(log, [inline]), *["apple"] * 4)
    await engine.dispose()


async def run_until_it_dies(url: str, task: str, dies_at: int) -> bool:
    """Whether the process was killed; False if it came to the end of its work."""
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.test_projection_killed", task, str(dies_at)),
        cwd=root,
        env={**os.environ, "TILL_DATABASE": url},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), errors.decode()
    return process.returncode != 0


def store_on(engine: AsyncEngine) -> EventStore:
    return PostgreSQLEventStore(async_sessionmaker(engine))


@pytest.fixture
async def engine(database_url: str):
    engine = create_async_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def log(engine: AsyncEngine) -> EventStore:
    """Twenty sales."""
    store = store_on(engine)
    await sell(store, *("apple", "pear") * (SALES // 2))
    await eventually(lambda: feed(store))
    return store


@pytest.fixture
async def mortal(engine: AsyncEngine, log: EventStore) -> Writing:
    projection = Writing(engine)
    await projection.setup()
    return projection


async def letters(projection: Sold) -> int:
    async with projection.database.transaction() as transaction:
        return len(await run(transaction, "SELECT * FROM public.letters"))


EVERYTHING = {"apple": SALES // 2, "pear": SALES // 2}


async def test_a_projection_killed_between_work_and_checkpoint_counts_each_event_once(
    mortal: Writing, log: EventStore, database_url: str
) -> None:
    deaths = 0
    for dies_at in (1, 6, 9, 100):
        deaths += await run_until_it_dies(database_url, "follow", dies_at)
        position = await mortal.get_position()
        stored = [one for one in await feed(log) if position and one.position <= position]
        assert await mortal.totals() == fold([one.event for one in stored])
        assert await letters(mortal) == len(stored)
    assert deaths == 3
    assert await mortal.totals() == EVERYTHING


async def test_a_projection_killed_between_checkpoint_and_commit_loses_nothing(
    mortal: Writing, log: EventStore, database_url: str
) -> None:
    assert await run_until_it_dies(database_url, "follow-hastily", 0)
    assert sum((await mortal.totals()).values()) == await letters(mortal) == 4
    await mortal.catch_up(log)
    assert await mortal.totals() == EVERYTHING
    assert await letters(mortal) == SALES


async def test_a_projection_killed_on_sqlite_counts_each_event_once(tmp_path: Path) -> None:
    path = tmp_path / "till.db"
    async with SQLiteDatabase(path) as database:
        await database.initialize()
        store, sold = SQLiteEventStore(database), Sold(database)
        await sold.setup()
        await sell(store, *("apple", "pear") * (SALES // 2))
        deaths = 0
        for dies_at in (1, 6, 9, 100):
            deaths += await run_until_it_dies(str(path), "follow-sqlite", dies_at)
            position = await sold.get_position()
            stored = [one for one in await feed(store) if position and one.position <= position]
            assert await sold.totals() == fold([one.event for one in stored])
        assert deaths == 3
        assert await sold.totals() == EVERYTHING


async def test_a_killed_rebuild_in_place_is_finished_by_whoever_comes_next(
    mortal: Writing, log: EventStore, database_url: str
) -> None:
    await mortal.catch_up(log)
    assert await run_until_it_dies(database_url, "in-place", 10)
    assert sum((await mortal.totals()).values()) == 8
    await mortal.catch_up(log)
    assert await mortal.totals() == EVERYTHING
    assert await letters(mortal) == SALES


@pytest.mark.parametrize("dies_at", [1, 10, SALES])
async def test_a_killed_blue_green_rebuild_leaves_readers_the_old_tables(
    mortal: Writing, log: EventStore, database_url: str, dies_at: int
) -> None:
    await mortal.catch_up(log)
    position = await mortal.get_position()
    async with mortal.database.transaction() as transaction:
        await run(transaction, "UPDATE sold SET quantity = 77")
    spoilt = {"apple": 77, "pear": 77}
    for _ in range(2):
        assert await run_until_it_dies(database_url, "blue-green", dies_at)
        assert await mortal.totals() == spoilt
        assert await mortal.get_position() == position
    await sell(log, "plum")
    await eventually(lambda: mortal.catch_up(log))
    assert await mortal.totals() == {**spoilt, "plum": 1}

    assert not await run_until_it_dies(database_url, "blue-green", 100)
    assert await mortal.totals() == {**EVERYTHING, "plum": 1}
    assert await letters(mortal) == SALES + 1
    async with mortal.database.transaction() as transaction:
        leftover = "SELECT FROM pg_namespace WHERE nspname ~ 'rebuild'"
        assert await run(transaction, leftover) == []


async def test_a_killed_inline_append_leaves_neither_events_nor_rows(
    engine: AsyncEngine, mortal: Writing, log: EventStore, database_url: str
) -> None:
    inline = SoldInline(engine)
    assert await run_until_it_dies(database_url, "append", 3)
    assert await inline.totals() == {}
    assert len(await feed(log)) == SALES
    assert not await run_until_it_dies(database_url, "append", 100)
    assert await inline.totals() == {"apple": 4}


async def test_a_lost_connection_in_the_middle_loses_nothing(
    mortal: Writing, log: EventStore, engine: AsyncEngine
) -> None:
    class Unlucky(Sold):
        projection_name = "Sold"
        lost = 0

        @handles(ArticleSold)
        async def _count(self, transaction: Any, event: ArticleSold) -> None:
            await super()._count(transaction, event)
            Unlucky.lost += 1
            if Unlucky.lost in (3, 30):
                kill = "SELECT pg_terminate_backend(pg_backend_pid())"
                await run(transaction, kill)

    await Unlucky(engine).catch_up(log, batch_size=5)
    assert Unlucky.lost > SALES
    assert await mortal.totals() == EVERYTHING
    assert engine.pool.checkedout() == 0


if __name__ == "__main__":
    asyncio.run(child(os.environ["TILL_DATABASE"], sys.argv[1], int(sys.argv[2])))
