"""Blue/green rebuilds on PostgreSQL: readers and writers notice nothing but the result."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from eventsource import DatabaseError, EventStore, PostgreSQLEventStore, ProjectionError
from eventsource.projections import (
    InlineEventStore,
    RetryPolicy,
    handles,
    rebuild,
    rebuild_blue_green,
)
from eventsource.sqlite_database import SQLiteDatabase
from tests.till import TABLE, ArticleSold, Sold, SoldInline, feed, fold, run, sell
from tutorial_support.lab import eventually


@pytest.fixture
def engine(engine_of: Callable, database_url: str) -> AsyncEngine:
    return engine_of(database_url)


@pytest.fixture
def log(engine: AsyncEngine) -> EventStore:
    return PostgreSQLEventStore(async_sessionmaker(engine))


@pytest.fixture
async def sold(engine: AsyncEngine, log: EventStore) -> Sold:
    """Caught up with two sales, and then spoilt by hand."""
    projection = Sold(engine)
    await projection.setup()
    result = await sell(log, "apple", "pear")
    await eventually(lambda: feed(log))
    await projection.catch_up(log)
    assert await projection.get_position() == result.position
    await sql(projection, "UPDATE sold SET quantity = 77")
    return projection


async def sql(projection: Sold, statement: str, *arguments: Any) -> list[Any]:
    async with projection.database.transaction() as transaction:
        return await run(transaction, statement, *arguments)


async def leftovers(projection: Sold) -> list[Any]:
    schemas = await sql(projection, "SELECT nspname FROM pg_namespace WHERE nspname ~ 'rebuild'")
    name = "projection_name ~ 'rebuild'"
    return [*schemas, *await sql(projection, f"SELECT FROM projection_checkpoints WHERE {name}")]


async def test_the_new_tables_take_the_place_of_the_old(sold: Sold, log: EventStore) -> None:
    before = await sold.get_position()
    await rebuild_blue_green(sold, log)
    assert await sold.totals() == {"apple": 1, "pear": 1}
    assert await sold.get_position() == before
    assert await leftovers(sold) == []
    (row,) = await sql(sold, "SELECT current_setting('search_path') AS path")
    assert "rebuild" not in row["path"]

    result = await sell(log, "plum")
    await eventually(lambda: sold.catch_up(log))
    await sold.wait_for(result.position)
    assert await sold.totals() == {"apple": 1, "pear": 1, "plum": 1}
    await rebuild_blue_green(sold, log, batch_size=1)
    assert await sold.totals() == {"apple": 1, "pear": 1, "plum": 1}


async def test_names_that_postgresql_would_cut_off_do_not_meet(
    engine: AsyncEngine, log: EventStore
) -> None:
    class Long(Sold):
        def __init__(self, number: int) -> None:
            super().__init__(engine)
            self.projection_name, self.tables = "long" * 20 + str(number), (f"sold_{number}",)

    projections = [Long(number) for number in (1, 2)]
    for each in projections:
        await each.setup()
    await sell(log, "apple")
    await asyncio.gather(*(eventually(lambda p=each: p.catch_up(log)) for each in projections))
    await asyncio.gather(*(rebuild_blue_green(each, log) for each in projections))
    for each in projections:
        assert await each.totals() == {"apple": 1}
        assert await leftovers(each) == []


async def test_readers_see_whole_tables_while_writers_and_the_projection_go_on(
    engine: AsyncEngine, log: EventStore
) -> None:
    projection = Sold(engine)
    await projection.setup()
    for _ in range(5):
        await sell(log, *["apple"] * 40)
    await eventually(lambda: projection.catch_up(log))
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            await sell(log, "apple")

    async def read() -> list[int]:
        seen = []
        while not stop.is_set():
            seen.append((await projection.totals()).get("apple", 0))
        return seen

    writer, reader = asyncio.create_task(write()), asyncio.create_task(read())
    follower = asyncio.create_task(Sold(engine).follow(log, poll_interval_seconds=0.001))
    for _ in range(3):
        await rebuild_blue_green(projection, log, batch_size=50)
    stop.set()
    await writer
    seen = await reader
    assert seen == sorted(seen)
    assert seen[0] >= 40
    expected = fold(await log.get_events_by_type("Till"))

    async def complete() -> bool:
        return sum((await projection.totals()).values()) >= sum(expected.values())

    await eventually(complete)
    follower.cancel()
    await asyncio.wait([follower])
    assert await projection.totals() == expected


async def test_an_inline_projection_is_rebuilt_under_its_appends(
    engine: AsyncEngine, log: EventStore
) -> None:
    projection = SoldInline(engine)
    await projection.setup()
    store = InlineEventStore(log, [projection])
    await sell(store, *["apple"] * 100)
    await sql(projection, "UPDATE sold SET quantity = 77")
    stop = asyncio.Event()

    async def write(article: str) -> None:
        while not stop.is_set():
            await sell(store, article, "apple")

    writers = [asyncio.create_task(write(article)) for article in ("pear", "plum", "fig")]
    for _ in range(3):
        await rebuild_blue_green(projection, log, batch_size=50)
    stop.set()
    await asyncio.gather(*writers)
    assert await projection.totals() == fold(await log.get_events_by_type("Till"))
    assert await leftovers(projection) == []


async def test_an_inline_rebuild_waits_for_an_older_transaction(
    engine: AsyncEngine, log: EventStore
) -> None:
    projection = SoldInline(engine)
    await projection.setup()
    store = InlineEventStore(log, [projection])
    async with engine.connect() as slow:
        # It holds back the feed, in which the sale after it is hidden till it ends.
        await slow.exec_driver_sql("SELECT pg_current_xact_id()")
        await sell(store, "apple")
        assert await feed(log) == []
        rebuilding = asyncio.create_task(rebuild_blue_green(projection, log))
        await asyncio.wait([rebuilding], timeout=1.5)
        assert not rebuilding.done()
        await slow.rollback()
        await rebuilding
    assert await projection.totals() == {"apple": 1}


async def test_replayed_events_are_known_to_be_such(engine: AsyncEngine, log: EventStore) -> None:
    mails: list[str] = []

    class Mailing(Sold):
        @handles(ArticleSold)
        async def _count(self, transaction: Any, event: ArticleSold) -> None:
            await super()._count(transaction, event)
            if not self.is_replaying:
                mails.append(event.article)

    projection = Mailing(engine)
    await projection.setup()
    await sell(log, "apple", "pear")
    await eventually(lambda: projection.catch_up(log))
    await sell(log, "plum")
    await eventually(lambda: feed(log))
    await rebuild_blue_green(projection, log)
    assert mails == ["apple", "pear"]
    await projection.catch_up(log)
    assert mails == ["apple", "pear", "plum"]
    assert await projection.totals() == {"apple": 1, "pear": 1, "plum": 1}


async def test_a_new_shape_of_the_table_is_filled(
    sold: Sold, engine: AsyncEngine, log: EventStore
) -> None:
    class Sales(Sold):
        projection_name = "Sold"

        async def create_tables(self, transaction: Any) -> None:
            await run(
                transaction,
                "CREATE TABLE sold (id BIGSERIAL PRIMARY KEY, article TEXT, quantity INTEGER)",
            )
            await run(transaction, "CREATE INDEX sold_article ON sold (article)")

        @handles(ArticleSold)
        async def _count(self, transaction: Any, event: ArticleSold) -> None:
            statement = "INSERT INTO sold (article, quantity) VALUES ($1, $2)"
            await run(transaction, statement, event.article, event.quantity)

    for _ in range(2):
        await rebuild_blue_green(Sales(engine), log)
        rows = await sql(sold, "SELECT id, article, quantity FROM sold ORDER BY id")
        assert [tuple(row.values()) for row in rows] == [(1, "apple", 1), (2, "pear", 1)]
    (row,) = await sql(sold, "SELECT schemaname FROM pg_indexes WHERE indexname = 'sold_article'")
    assert row["schemaname"] == "public"


async def test_two_rebuilds_at_once_spoil_nothing(
    sold: Sold, engine: AsyncEngine, log: EventStore
) -> None:
    await sell(log, *["plum"] * 50)
    await eventually(lambda: sold.catch_up(log))
    await asyncio.gather(
        *(rebuild_blue_green(Sold(engine), log, batch_size=5) for _ in range(3)),
        return_exceptions=True,
    )
    await rebuild_blue_green(sold, log)
    assert await sold.totals() == {"apple": 1, "pear": 1, "plum": 50}
    assert await leftovers(sold) == []


async def test_a_reset_in_the_middle_of_a_rebuild_stops_it(
    sold: Sold, engine: AsyncEngine, log: EventStore
) -> None:
    class Interrupted(Sold):
        projection_name = "Sold"

        @handles(ArticleSold)
        async def _count(self, transaction: Any, event: ArticleSold) -> None:
            await super()._count(transaction, event)
            await sold.reset()

    with pytest.raises(ProjectionError, match="was reset"):
        await rebuild_blue_green(Interrupted(engine), log)
    assert await sold.totals() == {}
    await sold.catch_up(log)
    assert await sold.totals() == {"apple": 1, "pear": 1}


async def test_a_rebuild_that_cannot_get_the_tables_gives_up_and_changes_nothing(
    sold: Sold, engine: AsyncEngine, log: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "_MOST_ATTEMPTS", 1)
    async with engine.connect() as reader:
        await reader.exec_driver_sql("SELECT * FROM sold")
        with pytest.raises(ProjectionError, match="went on too long"):
            await rebuild_blue_green(sold, log)
    assert await sold.totals() == {"apple": 77, "pear": 77}


async def test_a_reader_in_a_long_transaction_delays_the_switch(
    sold: Sold, engine: AsyncEngine, log: EventStore
) -> None:
    async with engine.connect() as reader:
        await reader.exec_driver_sql("SELECT * FROM sold")
        rebuilding = asyncio.create_task(rebuild_blue_green(sold, log))
        await asyncio.wait([rebuilding], timeout=1.5)
        assert not rebuilding.done()
        await reader.rollback()
    await rebuilding
    assert await sold.totals() == {"apple": 1, "pear": 1}


async def test_a_failing_event_leaves_the_old_tables(
    sold: Sold, engine: AsyncEngine, log: EventStore
) -> None:
    class Wormy(Sold):
        projection_name = "Sold"

        @handles(ArticleSold)
        async def _count(self, transaction: Any, event: ArticleSold) -> None:
            raise ValueError("a worm")

    once = RetryPolicy(max_tries=1)
    with pytest.raises(ValueError, match="a worm"):
        await rebuild_blue_green(Wormy(engine, retry_policy=once), log)
    assert await sold.totals() == {"apple": 77, "pear": 77}
    await rebuild_blue_green(sold, log)
    assert await sold.totals() == {"apple": 1, "pear": 1}


async def test_a_failure_in_the_last_step_is_tried_again(
    sold: Sold, engine: AsyncEngine, log: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nervous(Sold):
        projection_name = "Sold"
        failures = 0

        @handles(ArticleSold)
        async def _count(self, transaction: Any, event: ArticleSold) -> None:
            await super()._count(transaction, event)
            if Nervous.failures < 1:
                Nervous.failures += 1
                raise ValueError("a worm")

    monkeypatch.setattr(rebuild, "_PASSES", 0)  # leaves everything to the last step
    await rebuild_blue_green(Nervous(engine), log)
    assert Nervous.failures == 1
    assert await sold.totals() == {"apple": 1, "pear": 1}


async def test_a_handler_cannot_reach_tables_that_are_not_rebuilt(
    sold: Sold, engine: AsyncEngine, log: EventStore
) -> None:
    class Elsewhere(Sold):
        projection_name = "Sold"

        @handles(ArticleSold)
        async def _count(self, transaction: Any, event: ArticleSold) -> None:
            await run(transaction, "DELETE FROM prices")

    await sql(sold, "CREATE TABLE prices AS SELECT 1 AS price")
    with pytest.raises(DatabaseError, match='"prices" does not exist'):
        await rebuild_blue_green(Elsewhere(engine, retry_policy=RetryPolicy(max_tries=1)), log)
    assert len(await sql(sold, "SELECT * FROM prices")) == 1


async def test_views_on_the_old_tables_stop_the_switch(sold: Sold, log: EventStore) -> None:
    await sql(sold, "CREATE VIEW best AS SELECT * FROM sold")
    with pytest.raises(DatabaseError, match="view best depends on table sold"):
        await rebuild_blue_green(sold, log)
    assert await sold.totals() == {"apple": 77, "pear": 77}
    await sql(sold, "DROP VIEW best")
    await rebuild_blue_green(sold, log)
    assert await sold.totals() == {"apple": 1, "pear": 1}


async def test_what_cannot_be_rebuilt_is_refused(
    sold: Sold, engine: AsyncEngine, log: EventStore
) -> None:
    class Other(Sold):
        async def create_tables(self, transaction: Any) -> None:
            await run(transaction, TABLE.replace("sold", "bought"))

    class Qualified(Sold):
        async def create_tables(self, transaction: Any) -> None:
            await run(transaction, TABLE.replace("sold", "public.sold"))

    class Nothing(Sold):
        tables = ()

    for projection in (Other(engine), Qualified(engine)):
        with pytest.raises(ProjectionError, match="They must be the same"):
            await rebuild_blue_green(projection, log)
    with pytest.raises(ValueError, match="does not name any table"):
        await rebuild_blue_green(Nothing(engine), log)
    with pytest.raises(TypeError, match="rebuild_in_place"):
        await rebuild_blue_green(Sold(SQLiteDatabase(":memory:")), log)
    assert await sold.totals() == {"apple": 77, "pear": 77}


async def test_names_are_quoted(engine: AsyncEngine, log: EventStore) -> None:
    class Odd(Sold):
        projection_name = 'Sold "by" us; --' + "x" * 80
        tables = ('Sold "today"',)

        async def create_tables(self, transaction: Any) -> None:
            await run(transaction, 'CREATE TABLE IF NOT EXISTS "Sold ""today""" (article TEXT)')

        @handles(ArticleSold)
        async def _count(self, transaction: Any, event: ArticleSold) -> None:
            await run(transaction, 'INSERT INTO "Sold ""today""" VALUES ($1)', event.article)

    projection, till = Odd(engine), uuid4()
    await projection.setup()
    await sell(log, "apple", till=till)
    await eventually(lambda: projection.catch_up(log))
    await rebuild_blue_green(projection, log)
    rows = await sql(projection, 'SELECT article FROM "Sold ""today"""')
    assert [row["article"] for row in rows] == ["apple"]
    await projection.reset()
    assert await sql(projection, 'SELECT article FROM "Sold ""today"""') == []
