"""kill -9 on processes that publish an outbox."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from eventsource import (
    DomainEvent,
    EventStore,
    OutboxRepository,
    PostgreSQLEventStore,
    PostgreSQLInboxRepository,
    PostgreSQLOutboxRepository,
    SQLiteEventStore,
    SQLiteInboxRepository,
    SQLiteOutboxRepository,
    register_event,
)
from eventsource.asyncpg_pool import executor_for
from eventsource.sqlite_database import SQLiteDatabase
from tutorial_support.lab import eventually

WORKER = Path(__file__).with_name("outbox_worker.py")

# The broker, and the consumer's own table. A second row for one step would be a second effect.
TABLES = """
CREATE TABLE delivered (place BIGSERIAL PRIMARY KEY, event_id UUID, walk UUID, step INTEGER);
CREATE TABLE diary (place BIGSERIAL PRIMARY KEY, walk UUID, step INTEGER);
"""


@register_event
class StepTaken(DomainEvent):
    aggregate_type: str = "Walk"


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    await connection.execute(TABLES)
    yield connection
    await connection.close()


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(database_url)
    yield engine
    await engine.dispose()


class Workers:
    """Worker processes; whichever still run in the end are killed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.running: list[Process] = []

    async def start(self, *options: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(WORKER), self._url, *options, stdout=PIPE, stderr=DEVNULL
        )
        self.running.append(process)
        return process

    async def kill(self, process: Process) -> None:
        self.running.remove(process)
        process.kill()
        await process.communicate()


@pytest.fixture
async def workers(database_url: str) -> AsyncIterator[Workers]:
    workers = Workers(database_url)
    yield workers
    for process in list(workers.running):
        await workers.kill(process)


async def walk(store: EventStore, walks: list[UUID], steps: int) -> None:
    async def one(stream: UUID) -> None:
        for step in range(1, steps + 1):
            event = StepTaken(aggregate_id=stream, aggregate_version=step)
            await store.append_events(stream, "Walk", [event], step - 1)

    await asyncio.gather(*(one(stream) for stream in walks))


def store_on(engine: AsyncEngine) -> EventStore:
    return PostgreSQLEventStore(async_sessionmaker(engine), outbox_enabled=True)


async def consume(connection: asyncpg.Connection, engine: AsyncEngine) -> None:
    """Write the diary of everything delivered, once each, through the inbox."""
    inbox = PostgreSQLInboxRepository(engine)
    for row in await connection.fetch("SELECT * FROM delivered ORDER BY place"):

        async def write(session: AsyncSession, row: asyncpg.Record = row) -> None:
            statement = "INSERT INTO diary (walk, step) VALUES ($1, $2)"
            await executor_for(session).fetch(statement, row["walk"], row["step"])

        await inbox.once("diary", row["event_id"], write)


async def diary_of(connection: asyncpg.Connection, stream: UUID) -> list[int]:
    rows = await connection.fetch("SELECT step FROM diary WHERE walk = $1 ORDER BY place", stream)
    return [row["step"] for row in rows]


async def test_what_was_published_and_not_marked_is_published_again_and_has_one_effect(
    engine: AsyncEngine, connection: asyncpg.Connection, workers: Workers
) -> None:
    outbox, walks = PostgreSQLOutboxRepository(engine), [uuid4(), uuid4()]
    await walk(store_on(engine), walks, 10)
    doomed = await workers.start("hang")
    assert await doomed.stdout.readline() == b"10\n"
    await workers.kill(doomed)
    assert await connection.fetchval("SELECT count(*) FROM delivered") == 10
    assert (await outbox.get_stats()).pending_count == 20

    # A lease of 60 seconds is running; nobody waits that long in a test.
    await connection.execute("UPDATE event_outbox SET available_at = now()")
    await workers.start()
    await eventually(lambda: is_drained(outbox), timeout_seconds=30)
    assert await connection.fetchval("SELECT count(*) FROM delivered") == 30
    await consume(connection, engine)
    for stream in walks:
        assert await diary_of(connection, stream) == list(range(1, 11))


async def test_four_workers_that_keep_being_killed_lose_nothing_and_keep_each_stream_in_order(
    engine: AsyncEngine, connection: asyncpg.Connection, workers: Workers
) -> None:
    outbox, walks = PostgreSQLOutboxRepository(engine), [uuid4() for _ in range(12)]
    for _ in range(4):
        await workers.start()
    writing = asyncio.create_task(walk(store_on(engine), walks, 40))

    async def delivered() -> int:
        return await connection.fetchval("SELECT count(*) FROM delivered")

    for n in range(5):
        seen = await delivered()
        await eventually(lambda: has_grown(delivered, seen), timeout_seconds=30)  # noqa: B023
        await workers.kill(workers.running[n % 4])
        await workers.start()
    await writing
    await eventually(lambda: is_drained(outbox), timeout_seconds=60)
    await consume(connection, engine)
    for stream in walks:
        assert await diary_of(connection, stream) == list(range(1, 41))


async def test_a_killed_publisher_of_a_sqlite_outbox_loses_nothing(tmp_path: Path) -> None:
    path, walks = tmp_path / "walks.db", [uuid4(), uuid4()]
    workers = Workers(str(path))
    async with SQLiteDatabase(path) as database:
        await database.initialize()
        outbox = SQLiteOutboxRepository(database)
        await walk(SQLiteEventStore(database, outbox_enabled=True), walks, 10)
        doomed = await workers.start("hang")
        assert await doomed.stdout.readline() == b"10\n"
        await workers.kill(doomed)
        assert (await outbox.get_stats()).pending_count == 20
        await database.fetch("UPDATE event_outbox SET available_at = created_at")
        successor = await workers.start()
        try:
            await eventually(lambda: is_drained(outbox), timeout_seconds=30)
        finally:
            await workers.kill(successor)

        inbox, diary = SQLiteInboxRepository(database), []
        delivered = lines_of(Path(f"{path}.delivered"))
        for event_id, stream, step in delivered:
            if await inbox.record("diary", UUID(event_id)):
                diary.append((UUID(stream), int(step)))
    assert len(delivered) == 30
    for stream in walks:
        assert [step for one, step in diary if one == stream] == list(range(1, 11))


def lines_of(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()]


async def is_drained(outbox: OutboxRepository) -> bool:
    return (await outbox.get_stats()).pending_count == 0


async def has_grown(count, seen: int) -> bool:
    return await count() > seen
