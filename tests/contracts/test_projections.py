"""Projections into tables: read model and checkpoint stand or fall together."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from eventsource import (
    DomainEvent,
    EventStore,
    EventStoreConnectionError,
    PostgreSQLEventStore,
    UnreadableEventError,
    default_registry,
    register_upcaster,
)
from eventsource.projections import (
    DatabaseProjection,
    RetryPolicy,
    handles,
    rebuild_in_place,
)
from eventsource.repositories.dlq import InMemoryDLQRepository
from eventsource.sqlite_database import SQLiteDatabase
from eventsource.stores.sqlite import SQLiteEventStore
from tests.till import ArticleSold, Sold, SoldInline, TillClosed, feed, run, sell
from tutorial_support.lab import eventually

AT_ONCE = RetryPolicy(max_tries=2, first_delay_seconds=0)


@pytest.fixture(params=["postgresql", "sqlite"])
async def database(
    request: pytest.FixtureRequest, engine_of: Callable, tmp_path: Path
) -> AsyncIterator[AsyncEngine | SQLiteDatabase]:
    if request.param == "postgresql":
        yield engine_of(request.getfixturevalue("database_url"))
        return
    async with SQLiteDatabase(tmp_path / "till.db") as sqlite:
        await sqlite.initialize()
        yield sqlite


@pytest.fixture
def store(database: AsyncEngine | SQLiteDatabase) -> EventStore:
    if isinstance(database, SQLiteDatabase):
        return SQLiteEventStore(database)
    return PostgreSQLEventStore(async_sessionmaker(database))


@pytest.fixture
async def sold(database: AsyncEngine | SQLiteDatabase) -> Sold:
    projection = Sold(database, retry_policy=AT_ONCE)
    await projection.setup()
    return projection


async def caught_up(projection: DatabaseProjection, store: EventStore, result: Any) -> None:
    """Even a vacuum of the database can hold the feed back for a moment."""

    async def try_again() -> bool:
        await projection.catch_up(store)
        position = await projection.get_position()
        return position is not None and position >= result.position

    await eventually(try_again)


async def test_the_read_model_follows_the_feed(sold: Sold, store: EventStore) -> None:
    await sell(store, "apple", "pear", "apple")
    result = await sell(store, "pear", quantity=5)
    await caught_up(sold, store, result)
    assert await sold.totals() == {"apple": 2, "pear": 6}
    assert await sold.get_position() == result.position
    assert await sold.catch_up(store) == 0


async def test_a_batch_size_changes_nothing(sold: Sold, store: EventStore) -> None:
    result = await sell(store, *("apple", "pear", "plum") * 4)
    await eventually(lambda: feed(store))
    assert await sold.catch_up(store, batch_size=5) == 12
    assert await sold.totals() == {"apple": 4, "pear": 4, "plum": 4}
    assert await sold.get_position() == result.position


@pytest.fixture
def spoiled() -> Iterator[None]:
    """The till's closing cannot be read."""

    def unreadable(data: dict) -> dict:
        raise LookupError("nobody knows this till any more")

    register_upcaster("TillClosed", from_version=1)(unreadable)
    yield
    default_registry._upcasters.pop("TillClosed")


@pytest.mark.usefixtures("spoiled")
async def test_what_stands_before_an_unreadable_event_is_done(
    sold: Sold, store: EventStore
) -> None:
    before = await sell(store, "apple", "pear", "apple")
    closed = TillClosed(aggregate_id=uuid4())
    await store.append_events(closed.aggregate_id, "Till", [closed], 0)
    behind = await sell(store, "plum")

    async def all_in_the_feed() -> bool:
        return await store.get_feed_end() >= behind.position

    await eventually(all_in_the_feed)
    for _ in range(2):  # it stays where it is
        with pytest.raises(UnreadableEventError, match="nobody knows this till") as refusal:
            await sold.catch_up(store)
        assert refusal.value.event_id == closed.event_id
        assert await sold.totals() == {"apple": 2, "pear": 1}
        assert await sold.get_position() == before.position


async def test_who_waits_reads_his_own_write(sold: Sold, store: EventStore) -> None:
    following = asyncio.create_task(sold.follow(store, poll_interval_seconds=0.01))
    for count in range(1, 6):
        result = await sell(store, "apple")
        await sold.wait_for(result.position)
        assert await sold.totals() == {"apple": count}
    following.cancel()
    await asyncio.wait([following])


async def test_an_event_counts_once_however_often_it_is_delivered(
    sold: Sold, store: EventStore
) -> None:
    await sell(store, "apple", "apple")
    stored = await eventually(lambda: feed(store))
    for one in [*stored, *stored]:
        await sold.handle(one)
    assert await sold.totals() == {"apple": 2}


async def test_runners_of_one_projection_share_the_work(
    database: AsyncEngine | SQLiteDatabase, sold: Sold, store: EventStore
) -> None:
    result = await sell(store, *["apple"] * 60)
    await eventually(lambda: feed(store))
    runners = [Sold(database) for _ in range(5)]
    done = await asyncio.gather(*(runner.catch_up(store, batch_size=7) for runner in runners))
    assert sum(done) == 60
    assert await sold.totals() == {"apple": 60}
    assert await sold.get_position() == result.position


async def test_a_reset_while_others_run_loses_nothing(
    database: AsyncEngine | SQLiteDatabase, sold: Sold, store: EventStore
) -> None:
    await sell(store, *["apple"] * 40)
    await eventually(lambda: feed(store))
    runner = asyncio.create_task(Sold(database).follow(store, batch_size=3))
    for _ in range(8):
        await asyncio.sleep(0.01)
        await sold.reset()
    await sold.wait_for((await feed(store))[-1].position)
    assert await sold.totals() == {"apple": 40}
    runner.cancel()
    await asyncio.wait([runner])


class Spoilt(Sold):
    """Counts, and then fails on pears as often as it is told."""

    projection_name = "Sold"

    def __init__(self, *args: Any, failures: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self.failures = failures

    @handles(ArticleSold)
    async def _count(self, transaction: Any, event: ArticleSold) -> None:
        await super()._count(transaction, event)
        if event.article == "pear" and self.failures > 0:
            self.failures -= 1
            raise ValueError("a worm")


async def test_what_a_failing_handler_did_is_undone(
    database: AsyncEngine | SQLiteDatabase, sold: Sold, store: EventStore
) -> None:
    dead_letters = InMemoryDLQRepository()
    spoilt = Spoilt(database, dead_letters, AT_ONCE, failures=100)
    await sell(store, "apple", "pear", "plum")
    first, second, last = await eventually(lambda: feed(store))
    with pytest.raises(ValueError, match="a worm"):
        await spoilt.catch_up(store)
    assert await sold.totals() == {"apple": 1}
    assert await sold.get_position() == first.position
    (entry,) = await dead_letters.get_failed_events("Sold")
    assert (entry.event_id, entry.retry_count) == (second.event_id, 2)

    spoilt.failures = 1  # fails in the batch, succeeds alone
    await spoilt.catch_up(store)
    assert await sold.totals() == {"apple": 1, "pear": 1, "plum": 1}
    assert await sold.get_position() == last.position


async def test_a_cancelled_runner_leaves_whole_batches(
    sold: Sold, store: EventStore, database: AsyncEngine | SQLiteDatabase
) -> None:
    await sell(store, *["apple"] * 30)
    stored = await eventually(lambda: feed(store))
    steps = 0
    while (position := await sold.get_position()) != stored[-1].position:
        steps += 1
        task = asyncio.create_task(sold.catch_up(store, batch_size=10))
        await asyncio.wait([task], timeout=steps * 0.001)
        task.cancel()
        await asyncio.wait([task])
        position = await sold.get_position()
        done = 1 + [one.position for one in stored].index(position) if position else 0
        assert done % 10 == 0
        assert await sold.totals() == ({"apple": done} if done else {})
        if isinstance(database, AsyncEngine):
            assert database.pool.checkedout() == 0
    assert steps > 1


async def test_other_tenants_do_not_count(
    database: AsyncEngine | SQLiteDatabase, sold: Sold, store: EventStore
) -> None:
    mine, other = uuid4(), uuid4()
    await sell(store, "apple", tenant_id=mine)
    result = await sell(store, "pear", tenant_id=other)
    projection = Sold(database, tenant_filter=mine)
    await caught_up(projection, store, result)
    assert await sold.totals() == {"apple": 1}
    for stored in await feed(store):
        await projection.handle(stored.event)
    assert await sold.totals() == {"apple": 2}


class Receipts(Sold):
    """Writes a letter for each sale, into the outbox of the same transaction."""

    async def create_tables(self, transaction: Any) -> None:
        await super().create_tables(transaction)
        await run(transaction, "CREATE TABLE IF NOT EXISTS letters (article TEXT NOT NULL)")

    @handles(ArticleSold)
    async def _count(self, transaction: Any, event: ArticleSold) -> None:
        await super()._count(transaction, event)
        if not self.is_replaying:
            await run(transaction, "INSERT INTO letters VALUES ($1)", event.article)

    async def letters(self) -> list[str]:
        async with self.database.transaction() as transaction:
            rows = await run(transaction, "SELECT article FROM letters ORDER BY article")
        return [row["article"] for row in rows]


async def test_a_rebuild_in_place_sends_no_letter_again(
    database: AsyncEngine | SQLiteDatabase, store: EventStore
) -> None:
    receipts = Receipts(database)
    await receipts.setup()
    await caught_up(receipts, store, await sell(store, "apple", "pear"))
    result = await sell(store, "plum")  # not yet seen: its letter is still to be written
    await eventually(lambda: feed(store))
    await rebuild_in_place(receipts, store)
    await caught_up(receipts, store, result)
    assert await receipts.totals() == {"apple": 1, "pear": 1, "plum": 1}
    assert await receipts.letters() == ["apple", "pear", "plum"]


async def test_a_handler_may_do_without_the_transaction(
    database: AsyncEngine | SQLiteDatabase, store: EventStore
) -> None:
    class Closings(DatabaseProjection):
        closed = 0

        @handles(TillClosed)
        async def _count(self, event: TillClosed) -> None:
            self.closed += 1

    till = uuid4()
    result = await store.append_events(till, "Till", [TillClosed(aggregate_id=till)], 0)
    projection = Closings(database)
    await caught_up(projection, store, result)
    assert projection.closed == 1


async def test_tables_need_a_way_to_be_created(database: AsyncEngine | SQLiteDatabase) -> None:
    class Unfinished(DatabaseProjection):
        tables = ("sold",)

    with pytest.raises(NotImplementedError, match="Unfinished"):
        await Unfinished(database).setup()


async def test_nothing_is_skipped_from_another_place_than_the_checkpoints(
    sold: Sold, store: EventStore
) -> None:
    await sell(store, "apple", "pear")
    first, second = await eventually(lambda: feed(store))
    place = second.position, second.event_id, second.event_type
    assert not await sold.skip(*place, after=first.position)
    assert await sold.get_position() is None
    assert await sold.skip(*place, after=None)
    assert await sold.get_position() == second.position
    assert await sold.totals() == {}


async def test_an_event_without_a_handler_is_passed_over(
    sold: Sold, database: AsyncEngine | SQLiteDatabase, store: EventStore
) -> None:
    class Curious(Sold):
        projection_name = "Sold"

        def subscribed_to(self) -> list[type[DomainEvent]]:
            return [ArticleSold, TillClosed]

    till = uuid4()
    closing = TillClosed(aggregate_id=till)
    await store.append_events(till, "Till", [closing, ArticleSold(aggregate_id=till)], 0)
    curious = Curious(database)
    assert await eventually(lambda: curious.catch_up(store)) == 2
    assert await curious.totals() == {"apple": 1}


async def test_an_event_needs_handle_and_its_transaction(sold: Sold) -> None:
    with pytest.raises(RuntimeError, match=r"use handle\(\)"):
        await sold._process_event(ArticleSold(aggregate_id=uuid4()))


async def test_a_projection_that_appends_update_does_not_read_the_feed(
    database: AsyncEngine | SQLiteDatabase, store: EventStore
) -> None:
    inline = SoldInline(database)
    await sell(store, "apple")
    stored = await eventually(lambda: feed(store))
    for attempt in (
        inline.catch_up(store),
        inline.handle(stored[0]),
        inline.handle(stored[0].event),
        inline.reset(),
        inline.wait_for(stored[0].position),
    ):
        with pytest.raises(RuntimeError, match="is inline"):
            await attempt


async def test_handlers_may_use_sqlalchemy(engine_of: Callable, database_url: str) -> None:
    class Names(DatabaseProjection):
        tables = ("names",)

        async def create_tables(self, connection: Any) -> None:
            await connection.execute(text("CREATE TABLE names (name TEXT)"))

        @handles(ArticleSold)
        async def _add(self, connection: Any, event: ArticleSold) -> None:
            name = {"name": event.article}
            await connection.execute(text("INSERT INTO names VALUES (:name)"), name)

    engine = engine_of(database_url)
    projection, store = Names(engine), PostgreSQLEventStore(async_sessionmaker(engine))
    await projection.setup()
    await caught_up(projection, store, await sell(store, "apple", "it's"))
    async with engine.connect() as connection:
        names = (await connection.execute(text("SELECT name FROM names"))).scalars().all()
    assert names == ["apple", "it's"]


async def test_a_database_out_of_reach_is_a_typed_error(unused_tcp_port: int) -> None:
    engine = create_async_engine(f"postgresql+asyncpg://me:secret@127.0.0.1:{unused_tcp_port}/x")
    with pytest.raises(EventStoreConnectionError) as error:
        await Sold(engine).setup()
    assert "secret" not in str(error.value)
    with pytest.raises(TypeError, match="engine"):
        Sold("postgresql://localhost/x")
