"""An append inside the caller's transaction is stored or undone with the rest of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_sessionmaker

from eventsource import (
    DatabaseError,
    DomainEvent,
    DuplicateEventError,
    EventStore,
    EventStoreError,
    ExpectedVersion,
    InMemoryEventStore,
    OptimisticLockError,
    PostgreSQLEventStore,
    SQLiteDatabase,
    SQLiteEventStore,
    register_event,
)
from eventsource.asyncpg_pool import executor_for
from eventsource.sqlite_database import SQLiteTransaction
from tutorial_support.lab import eventually


@register_event
class KeyCut(DomainEvent):
    aggregate_type: str = "Lock"
    teeth: int = 5


def keys(lock: UUID, *versions: int) -> list[KeyCut]:
    return [KeyCut(aggregate_id=lock, aggregate_version=version) for version in versions]


@dataclass
class Shop:
    """A store, its caller's transactions, and a table of the caller's own."""

    store: EventStore
    transaction: Callable[[], AbstractAsyncContextManager[Any]]

    async def note(self, transaction: Any, line: str) -> None:
        if isinstance(transaction, SQLiteTransaction):
            await transaction.fetch("INSERT INTO notes (line) VALUES ($1)", line)
        else:
            await transaction.execute(
                text("INSERT INTO notes (line) VALUES (:line)"), {"line": line}
            )

    async def notes(self) -> list[str]:
        async with self.transaction() as transaction:
            if isinstance(transaction, SQLiteTransaction):
                rows = await transaction.fetch("SELECT line FROM notes ORDER BY line")
            else:
                rows = await transaction.execute(text("SELECT line FROM notes ORDER BY line"))
            return [row[0] for row in rows]


@pytest.fixture(params=["sqlite", "connection", "session"])
async def shop(
    request: pytest.FixtureRequest, tmp_path: Path, engine_of: Callable
) -> AsyncIterator[Shop]:
    table = "CREATE TABLE notes (line TEXT)"
    if request.param == "sqlite":
        async with SQLiteDatabase(tmp_path / "shop.db") as database:
            await database.initialize()
            await database.fetch(table)
            yield Shop(SQLiteEventStore(database, outbox_enabled=True), database.transaction)
        return
    engine = engine_of(request.getfixturevalue("database_url"))
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    async with engine.begin() as connection:
        await connection.execute(text(table))
    store = PostgreSQLEventStore(sessions, outbox_enabled=True)
    yield Shop(store, engine.begin if request.param == "connection" else sessions.begin)


async def test_events_and_other_rows_are_committed_together(shop: Shop) -> None:
    lock, other = uuid4(), uuid4()
    async with shop.transaction() as transaction:
        await shop.note(transaction, "first")
        one = await shop.store.append_events(
            lock, "Lock", keys(lock, 1), 0, transaction=transaction
        )
        two = await shop.store.append_events(
            other, "Lock", keys(other, 1, 2), 0, transaction=transaction
        )
    assert (one.new_version, two.new_version) == (1, 2)
    assert one.position < two.position
    assert await shop.notes() == ["first"]
    feed = await eventually(lambda: feed_of(shop.store))
    assert [stored.aggregate_id for stored in feed] == [lock, other, other]
    assert feed[-1].position == two.position


async def feed_of(store: EventStore) -> list[Any]:
    return [stored async for stored in store.read_all()]


@pytest.mark.parametrize("append_first", [True, False])
async def test_a_rollback_undoes_the_append(shop: Shop, append_first: bool) -> None:
    lock = uuid4()

    async def fail() -> None:
        async with shop.transaction() as transaction:
            if not append_first:
                await shop.note(transaction, "first")
            await shop.store.append_events(lock, "Lock", keys(lock, 1), 0, transaction=transaction)
            await shop.store.append_events(lock, "Lock", [], 0, transaction=transaction)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await shop.store.get_stream_version(lock, "Lock") == 0
    assert await shop.notes() == []


async def test_nobody_sees_the_append_before_the_commit(shop: Shop) -> None:
    lock = uuid4()
    async with shop.transaction() as transaction:
        await shop.store.append_events(lock, "Lock", keys(lock, 1), 0, transaction=transaction)
        watcher = asyncio.create_task(shop.store.get_stream_version(lock, "Lock"))
        await asyncio.wait([watcher], timeout=0.2)
        assert not watcher.done() or watcher.result() == 0
    await watcher
    assert await shop.store.get_stream_version(lock, "Lock") == 1


async def test_the_transaction_goes_on_after_a_refused_append(shop: Shop) -> None:
    lock, other = uuid4(), uuid4()
    taken = keys(lock, 1)
    await shop.store.append_events(lock, "Lock", taken, 0)
    thief = [*keys(other, 1), KeyCut(aggregate_id=other, event_id=taken[0].event_id)]
    async with shop.transaction() as transaction:
        with pytest.raises(OptimisticLockError) as conflict:
            await shop.store.append_events(lock, "Lock", keys(lock, 1), 0, transaction=transaction)
        with pytest.raises(DuplicateEventError):
            await shop.store.append_events(other, "Lock", thief, 0, transaction=transaction)
        await shop.note(transaction, "still here")
        repeated = await shop.store.append_events(lock, "Lock", taken, 0, transaction=transaction)
    assert (conflict.value.actual_version, repeated.new_version) == (1, 1)
    assert await shop.notes() == ["still here"]
    assert await shop.store.get_stream_version(other, "Lock") == 0


async def test_a_lost_race_leaves_the_transaction_usable(shop: Shop) -> None:
    lock = uuid4()
    is_appended = asyncio.Event()
    may_commit = asyncio.Event()

    async def rival() -> None:
        async with shop.transaction() as transaction:
            await shop.store.append_events(lock, "Lock", keys(lock, 1), 0, transaction=transaction)
            is_appended.set()
            await may_commit.wait()

    async def loser(expected_version: int) -> int:
        async with shop.transaction() as transaction:
            result = await shop.store.append_events(
                lock, "Lock", keys(lock, 1), expected_version, transaction=transaction
            )
        return result.new_version

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(rival())
        await is_appended.wait()
        strict = asyncio.create_task(loser(0))
        lax = asyncio.create_task(loser(ExpectedVersion.ANY))
        await asyncio.wait([strict, lax], timeout=0.2)
        assert not strict.done()
        assert not lax.done()
        may_commit.set()
        with pytest.raises(OptimisticLockError):
            await strict
        assert await lax == 2


@pytest.mark.parametrize("shop", ["connection", "session"], indirect=True)
async def test_a_transaction_with_an_old_snapshot_is_told_to_start_again(shop: Shop) -> None:
    lock = uuid4()
    async with shop.transaction() as transaction:
        await transaction.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        await transaction.execute(text("SELECT 1"))
        await shop.store.append_events(lock, "Lock", keys(lock, 1), 0)
        with pytest.raises(DatabaseError, match="Repeat the transaction") as refusal:
            await shop.store.append_events(lock, "Lock", keys(lock, 1), 0, transaction=transaction)
    assert refusal.value.sqlstate == "40001"


async def test_a_cancelled_append_is_undone_with_its_transaction(shop: Shop) -> None:
    for turns in range(0, 60, 3):
        lock = uuid4()

        async def work(lock: UUID = lock) -> None:
            async with shop.transaction() as transaction:
                await shop.store.append_events(
                    lock, "Lock", keys(lock, 1), 0, transaction=transaction
                )
                await shop.store.append_events(
                    lock, "Lock", keys(lock, 2, 3), 1, transaction=transaction
                )

        task = asyncio.create_task(work())
        for _ in range(turns):
            await asyncio.sleep(0.0002)
        task.cancel()
        await asyncio.wait([task])
        version = await shop.store.get_stream_version(lock, "Lock")
        assert version in (0, 3)
        assert version == 3 or task.cancelled()


async def test_a_session_that_has_ended_is_not_joined(
    engine_of: Callable, database_url: str
) -> None:
    lock, engine = uuid4(), engine_of(database_url)
    store = PostgreSQLEventStore(async_sessionmaker(engine))
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    async with autocommit.connect() as connection:
        with pytest.raises(EventStoreError, match="AUTOCOMMIT"):
            await store.append_events(lock, "Lock", keys(lock, 1), 0, transaction=connection)
    with pytest.raises(TypeError, match="AsyncSession, not AsyncEngine"):
        await store.append_events(lock, "Lock", keys(lock, 1), 0, transaction=engine)
    assert await store.get_stream_version(lock, "Lock") == 0


async def test_a_session_that_began_nothing_is_joined_all_the_same(
    engine_of: Callable, database_url: str
) -> None:
    lock, engine = uuid4(), engine_of(database_url)
    store = PostgreSQLEventStore(async_sessionmaker(engine))
    async with AsyncSession(engine) as session:
        await store.append_events(lock, "Lock", keys(lock, 1), 0, transaction=session)
        assert await store.get_stream_version(lock, "Lock") == 0
    async with engine.connect() as connection:
        await store.append_events(lock, "Lock", keys(lock, 1), 0, transaction=connection)
        await connection.commit()
    assert await store.get_stream_version(lock, "Lock") == 1


async def test_a_savepoint_of_the_caller_undoes_the_append(
    engine_of: Callable, database_url: str
) -> None:
    lock, engine = uuid4(), engine_of(database_url)
    store = PostgreSQLEventStore(async_sessionmaker(engine))
    async with engine.begin() as connection:
        savepoint = await connection.begin_nested()
        await store.append_events(lock, "Lock", keys(lock, 1), 0, transaction=connection)
        await savepoint.rollback()
    assert await store.get_stream_version(lock, "Lock") == 0


async def test_memory_has_no_transactions() -> None:
    store, lock = InMemoryEventStore(), uuid4()
    with pytest.raises(TypeError, match="no transactions"):
        await store.append_events(lock, "Lock", keys(lock, 1), 0, transaction=object())
    assert await store.get_stream_version(lock, "Lock") == 0


@asynccontextmanager
async def source_of(kind: str, engine: Any) -> AsyncIterator[Any]:
    if kind == "engine":
        yield engine
    elif kind == "sessions":
        yield async_sessionmaker(engine)
    elif kind == "connection":
        async with engine.begin() as connection:
            yield connection
    else:
        async with async_sessionmaker(engine).begin() as session:
            yield session


@pytest.mark.parametrize("kind", ["engine", "sessions", "connection", "session"])
async def test_statements_run_on_whatever_reaches_postgresql(
    engine_of: Callable, empty_database_url: str, kind: str
) -> None:
    async with source_of(kind, engine_of(empty_database_url)) as source:
        executor = executor_for(source)
        assert (await executor.fetchrow("SELECT $1::int AS one", 1))["one"] == 1
        assert await executor.fetchrow("SELECT 1 WHERE false") is None
        with pytest.raises(DatabaseError) as refusal:
            await executor.fetch_or_undo("SELECT 1/0")
        assert refusal.value.sqlstate == "22012"
        assert len(await executor.fetch("SELECT 1 UNION SELECT 2")) == 2
    with pytest.raises(TypeError, match="str"):
        executor_for("postgresql://")


async def test_one_connection_runs_one_statement_at_a_time(
    engine_of: Callable, empty_database_url: str
) -> None:
    async with engine_of(empty_database_url).begin() as connection:
        executor = executor_for(connection)
        await executor.fetch("SELECT 1")
        sleeper = asyncio.create_task(executor.fetch("SELECT pg_sleep(0.2)"))
        await asyncio.sleep(0.05)
        with pytest.raises(EventStoreError, match="one statement at a time"):
            await executor.fetch("SELECT 1")
        await sleeper


@pytest.mark.parametrize("kind", ["connection", "session"])
async def test_a_closed_caller_is_explained_by_sqlalchemy(
    engine_of: Callable, empty_database_url: str, kind: str
) -> None:
    from sqlalchemy.exc import InvalidRequestError

    async with source_of(kind, engine_of(empty_database_url)) as source:
        executor = executor_for(source)
        await source.commit()
        with pytest.raises(InvalidRequestError):
            await executor.fetch("SELECT 1")
        assert isinstance(source, AsyncConnection | AsyncSession)
