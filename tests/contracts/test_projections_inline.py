"""Inline projections: an append and its effect on the read model are one transaction."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from eventsource import (
    EventStore,
    ExpectedVersion,
    InMemoryEventStore,
    OptimisticLockError,
    PostgreSQLEventStore,
    ProjectionError,
)
from eventsource.projections import InlineEventStore, handles
from eventsource.sqlite_database import SQLiteDatabase
from eventsource.stores.sqlite import SQLiteEventStore
from tests.till import ArticleSold, Sold, SoldInline, TillClosed, feed, fold, run, sell
from tutorial_support.lab import eventually


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
def log(database: AsyncEngine | SQLiteDatabase) -> EventStore:
    if isinstance(database, SQLiteDatabase):
        return SQLiteEventStore(database)
    return PostgreSQLEventStore(async_sessionmaker(database))


@pytest.fixture
async def sold(database: AsyncEngine | SQLiteDatabase) -> SoldInline:
    projection = SoldInline(database)
    await projection.setup()
    return projection


@pytest.fixture
def store(log: EventStore, sold: SoldInline) -> InlineEventStore:
    return InlineEventStore(log, [sold])


async def test_the_read_model_is_current_when_the_append_returns(
    store: InlineEventStore, sold: SoldInline
) -> None:
    await sell(store, "apple", "pear")
    assert await sold.totals() == {"apple": 1, "pear": 1}
    await sell(store, "pear")
    assert await sold.totals() == {"apple": 1, "pear": 2}


async def test_it_reads_what_the_log_holds(store: InlineEventStore, log: EventStore) -> None:
    till = uuid4()
    await sell(store, "apple", "pear", till=till)
    stored = await eventually(lambda: feed(log))
    assert await feed(store) == stored
    assert await store.get_events(till, "Till") == await log.get_events(till, "Till")
    assert await store.get_events_by_type("Till") == [one.event for one in stored]
    assert await store.get_feed_end() == stored[-1].position
    assert await store.get_global_position() == stored[-1].global_position
    assert await store.get_stream_version(till, "Till") == 2
    assert await store.event_exists(stored[0].event_id)
    assert [one async for one in store.read_stream(f"{till}:Till")] == stored


async def test_a_conflict_changes_neither(store: InlineEventStore, sold: SoldInline) -> None:
    till = uuid4()
    await sell(store, "apple", till=till)
    with pytest.raises(OptimisticLockError):
        await sell(store, "pear", till=till)
    assert await sold.totals() == {"apple": 1}
    assert await store.get_stream_version(till, "Till") == 1


async def test_an_append_that_is_repeated_counts_once(
    store: InlineEventStore, sold: SoldInline
) -> None:
    till = uuid4()
    first, second = (
        ArticleSold(aggregate_id=till, aggregate_version=n, article=article)
        for n, article in enumerate(("apple", "pear"), start=1)
    )
    any_version = ExpectedVersion.ANY
    await store.append_events(till, "Till", [first], any_version)
    for _ in range(2):
        result = await store.append_events(till, "Till", [first, second, second], any_version)
        assert result.new_version == 2
    assert await sold.totals() == {"apple": 1, "pear": 1}


async def test_racing_repeats_of_an_append_count_once(
    store: InlineEventStore, sold: SoldInline
) -> None:
    till = uuid4()
    events = [ArticleSold(aggregate_id=till, aggregate_version=n) for n in (1, 2, 3)]
    batches = [events[: 1 + n % 3] for n in range(9)]
    any_version = ExpectedVersion.ANY
    await asyncio.gather(
        *(store.append_events(till, "Till", batch, any_version) for batch in batches)
    )
    assert await sold.totals() == {"apple": 3}
    assert (await store.get_events(till, "Till")).version == 3


class Refusing(Sold):
    inline = True

    @handles(TillClosed)
    async def _refuse(self, transaction: Any, event: TillClosed) -> None:
        await run(transaction, "DELETE FROM sold")
        raise ValueError("not before midnight")


async def test_a_failing_handler_refuses_the_append(
    database: AsyncEngine | SQLiteDatabase, log: EventStore, sold: SoldInline
) -> None:
    store, till = InlineEventStore(log, [Refusing(database), sold]), uuid4()
    closing = TillClosed(aggregate_id=till, aggregate_version=1)
    await sell(store, "apple")
    before = await sold.totals()
    with pytest.raises(ProjectionError, match="not before midnight") as error:
        await store.append_events(till, "Till", [closing], 0)
    assert (error.value.projection_name, error.value.event_id) == ("Refusing", closing.event_id)
    assert isinstance(error.value.__cause__, ValueError)
    assert await sold.totals() == before
    assert not await store.event_exists(closing.event_id)


async def test_handlers_see_the_version_that_was_stored(
    database: AsyncEngine | SQLiteDatabase, log: EventStore
) -> None:
    class Versions(SoldInline):
        seen: list[int] = []  # noqa: RUF012

        @handles(ArticleSold)
        async def _count(self, event: ArticleSold) -> None:
            self.seen.append(event.aggregate_version)

    store, till = InlineEventStore(log, [Versions(database)]), uuid4()
    await sell(store, "apple", till=till)
    events = [ArticleSold(aggregate_id=till), ArticleSold(aggregate_id=till)]
    await store.append_events(till, "Till", events, ExpectedVersion.ANY)
    assert Versions.seen == [1, 2, 3]


async def test_an_append_joins_the_callers_transaction(
    database: AsyncEngine | SQLiteDatabase, store: InlineEventStore, sold: SoldInline
) -> None:
    till = uuid4()
    event = ArticleSold(aggregate_id=till)

    async def change_your_mind() -> None:
        async with sold.database.transaction() as transaction:
            await store.append_events(till, "Till", [event], 0, transaction=transaction)
            assert await run(transaction, "SELECT * FROM sold")
            raise LookupError

    with pytest.raises(LookupError):
        await change_your_mind()
    assert await sold.totals() == {}
    assert await store.get_stream_version(till, "Till") == 0
    async with sold.database.transaction() as transaction:
        await store.append_events(till, "Till", [event], 0, transaction=transaction)
    assert await sold.totals() == {"apple": 1}


async def test_a_refused_append_leaves_the_callers_transaction_usable(
    database: AsyncEngine | SQLiteDatabase, log: EventStore, sold: SoldInline
) -> None:
    store, till = InlineEventStore(log, [Refusing(database)]), uuid4()
    async with sold.database.transaction() as transaction:
        await run(transaction, "INSERT INTO sold VALUES ('plum', 5)")
        closing = TillClosed(aggregate_id=till)
        with pytest.raises(ProjectionError):
            await store.append_events(till, "Till", [closing], 0, transaction=transaction)
    assert await sold.totals() == {"plum": 5}
    assert await store.get_stream_version(till, "Till") == 0


async def test_a_session_can_be_joined(engine_of: Callable, database_url: str) -> None:
    engine = engine_of(database_url)
    sold = SoldInline(engine)
    await sold.setup()
    store = InlineEventStore(PostgreSQLEventStore(async_sessionmaker(engine)), [sold])
    till = uuid4()
    async with AsyncSession(engine) as session, session.begin():
        event = ArticleSold(aggregate_id=till)
        await store.append_events(till, "Till", [event], 0, transaction=session)
    assert await sold.totals() == {"apple": 1}


async def test_racing_appends_add_up(store: InlineEventStore, sold: SoldInline) -> None:
    await asyncio.gather(*(sell(store, "apple", "pear") for _ in range(16)))
    assert await sold.totals() == {"apple": 16, "pear": 16}


async def test_the_victim_of_a_deadlock_is_repeated(engine_of: Callable, database_url: str) -> None:
    settings = {"server_settings": {"deadlock_timeout": "20ms"}}
    engine = engine_of(database_url, connect_args=settings)
    sold = SoldInline(engine)
    await sold.setup()
    store = InlineEventStore(PostgreSQLEventStore(async_sessionmaker(engine)), [sold])
    orders = [("apple", "pear"), ("pear", "apple")]
    for _ in range(5):
        await asyncio.gather(*(sell(store, *orders[n % 2]) for n in range(6)))
    assert await sold.totals() == {"apple": 30, "pear": 30}
    async with sold.database.transaction() as transaction:
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        await eventually(lambda: _positive(run(transaction, deadlocks)))


async def _positive(query: Awaitable[list[Any]]) -> int:
    return (await query)[0]["deadlocks"]


async def test_a_cancelled_append_is_all_or_nothing(
    database: AsyncEngine | SQLiteDatabase, store: InlineEventStore, sold: SoldInline
) -> None:
    cancelled = 0
    for steps in range(40):
        task = asyncio.create_task(sell(store, "apple", "apple"))
        await asyncio.wait([task], timeout=steps * 0.0004)
        task.cancel()
        await asyncio.wait([task])
        cancelled += task.cancelled()
        if isinstance(database, AsyncEngine):
            assert database.pool.checkedout() == 0
    events = await store.get_events_by_type("Till")
    assert len(events) % 2 == 0
    assert await sold.totals() == fold(events)
    assert cancelled


def test_only_inline_projections_are_accepted(database: AsyncEngine | SQLiteDatabase) -> None:
    with pytest.raises(ValueError, match="inline = True"):
        InlineEventStore(InMemoryEventStore(), [Sold(database)])
    with pytest.raises(ValueError, match="at least one"):
        InlineEventStore(InMemoryEventStore(), [])
