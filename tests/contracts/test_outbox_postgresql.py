"""What the outbox promises on PostgreSQL alone: tables of older scripts, and the doorbell."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from eventsource import (
    DomainEvent,
    EventStoreConnectionError,
    PostgreSQLEventStore,
    SchemaError,
    register_event,
)
from eventsource.migrations import get_schema
from eventsource.notifications import Doorbell
from eventsource.outbox import OutboxPublisher
from eventsource.repositories.outbox import PostgreSQLOutboxRepository
from tutorial_support.lab import eventually

# As the oldest tutorial prints it.
OLD_OUTBOX = """
CREATE TABLE IF NOT EXISTS event_outbox (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id UUID NOT NULL,
    event_type VARCHAR(255) NOT NULL,
    aggregate_id UUID NOT NULL,
    aggregate_type VARCHAR(255) NOT NULL,
    tenant_id UUID,
    event_data JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    published_at TIMESTAMP WITH TIME ZONE,
    retry_count INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    status VARCHAR(20) NOT NULL DEFAULT 'pending',
    CONSTRAINT chk_outbox_status CHECK (status IN ('pending', 'published', 'failed'))
);
CREATE INDEX IF NOT EXISTS idx_outbox_pending ON event_outbox (created_at)
    WHERE status = 'pending';
"""

WAITS_FOR_NOTIFICATIONS = (
    "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
)


@register_event
class SignalSent(DomainEvent):
    aggregate_type: str = "Tower"


class Receiver:
    def __init__(self) -> None:
        self.versions: list[int] = []

    async def publish(self, events: list[DomainEvent]) -> None:
        self.versions += [event.aggregate_version for event in events]


def store_on(engine: AsyncEngine) -> PostgreSQLEventStore:
    return PostgreSQLEventStore(async_sessionmaker(engine), outbox_enabled=True)


def signals(tower, *versions: int) -> list[SignalSent]:
    return [SignalSent(aggregate_id=tower, aggregate_version=version) for version in versions]


async def test_an_outbox_of_an_older_script_is_written_to_and_upgraded(
    empty_database_url: str, load_sql, engine_of
) -> None:
    await load_sql(empty_database_url, get_schema("events") + OLD_OUTBOX)
    engine, tower, receiver = engine_of(empty_database_url), uuid4(), Receiver()
    await store_on(engine).append_events(tower, "Tower", signals(tower, 1, 2), 0)
    publisher = OutboxPublisher(PostgreSQLOutboxRepository(engine), receiver)
    with pytest.raises(SchemaError, match=r"get_schema\('outbox'\)"):
        await publisher.run()
    await load_sql(empty_database_url, get_schema("outbox"))
    await store_on(engine).append_events(tower, "Tower", signals(tower, 3), 2)
    assert await publisher.publish_batch() == 3
    assert receiver.versions == [1, 2, 3]


async def test_an_upgraded_outbox_is_the_shipped_one(
    empty_database_url: str, database_url: str, load_sql
) -> None:
    await load_sql(empty_database_url, OLD_OUTBOX)
    await load_sql(empty_database_url, get_schema("outbox"))
    tables = []
    for url in (empty_database_url, database_url):
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        columns = await connection.fetch(
            "SELECT attname, atttypid, attnotnull, attidentity FROM pg_attribute "
            "WHERE attrelid = 'event_outbox'::regclass ORDER BY attnum"
        )
        indexes = await connection.fetch(
            "SELECT indexdef FROM pg_indexes WHERE tablename = 'event_outbox' ORDER BY 1"
        )
        await connection.close()
        tables.append((list(map(tuple, columns)), list(map(tuple, indexes))))
    assert tables[0] == tables[1]


async def test_the_doorbell_wakes_a_publisher_at_once(database_url: str, engine_of) -> None:
    engine, tower, receiver = engine_of(database_url), uuid4(), Receiver()
    outbox, bell = PostgreSQLOutboxRepository(engine), Doorbell(engine_of(database_url))
    async with OutboxPublisher(
        outbox, receiver, poll_interval_seconds=3600, doorbell=Doorbell(engine)
    ):
        for version in (1, 2, 3):
            events = signals(tower, version)
            await store_on(engine).append_events(tower, "Tower", events, version - 1)
            await bell.publish(events)
            await eventually(lambda: len(receiver.versions) == version)  # noqa: B023
    assert receiver.versions == [1, 2, 3]


async def test_nobody_rings_for_nothing(unused_tcp_port: int, engine_of) -> None:
    nowhere = engine_of(f"postgresql+asyncpg://localhost:{unused_tcp_port}/x")
    await Doorbell(nowhere).publish([])
    with pytest.raises(EventStoreConnectionError):
        await Doorbell(nowhere).publish(signals(uuid4(), 1))


async def test_a_listener_whose_connection_died_comes_back_and_misses_nothing(
    database_url: str, engine_of, caplog: pytest.LogCaptureFixture
) -> None:
    engine, tower, receiver = engine_of(database_url), uuid4(), Receiver()
    outbox, bell = PostgreSQLOutboxRepository(engine), Doorbell(engine)
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))

    async def listeners() -> int:
        return await connection.fetchval(f"SELECT count(*) {WAITS_FOR_NOTIFICATIONS}")

    async with OutboxPublisher(outbox, receiver, poll_interval_seconds=3600, doorbell=bell):
        await eventually(listeners)
        await connection.fetch(f"SELECT pg_terminate_backend(pid) {WAITS_FOR_NOTIFICATIONS}")
        # Nobody hears this ring.
        await store_on(engine).append_events(tower, "Tower", signals(tower, 1), 0)
        await bell.ring()
        await eventually(lambda: receiver.versions == [1], timeout_seconds=10)
        await eventually(listeners)
    assert await eventually(lambda: _is_zero(listeners))
    await connection.close()


async def _is_zero(count) -> bool:
    return await count() == 0


async def test_a_bell_that_cannot_listen_leaves_the_polling(
    database_url: str, engine_of, caplog: pytest.LogCaptureFixture
) -> None:
    engine, tower, receiver = engine_of(database_url), uuid4(), Receiver()
    nowhere = engine_of("postgresql+asyncpg://nobody:nothing@127.0.0.1:1/none")
    await store_on(engine).append_events(tower, "Tower", signals(tower, 1), 0)
    async with OutboxPublisher(
        PostgreSQLOutboxRepository(engine), receiver, doorbell=Doorbell(nowhere)
    ):
        await eventually(lambda: receiver.versions == [1])
        await eventually(lambda: "Not listening" in caplog.text)


async def test_claims_take_no_lock_that_outlives_them(database_url: str, engine_of) -> None:
    """An open transaction would hold back the feed of events for as long as the broker takes."""
    engine, tower = engine_of(database_url), uuid4()
    await store_on(engine).append_events(tower, "Tower", signals(tower, 1), 0)
    begun = asyncio.Event()

    class Slow:
        async def publish(self, events: list[DomainEvent]) -> None:
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(
        OutboxPublisher(PostgreSQLOutboxRepository(engine), Slow()).publish_batch()
    )
    await begun.wait()
    assert engine.pool.checkedout() == 0
    task.cancel()
    await asyncio.wait([task])


PENDING = """
INSERT INTO event_outbox (event_id, event_type, aggregate_id, aggregate_type, event_data)
SELECT gen_random_uuid(), 'SignalSent', gen_random_uuid(), 'Tower', '{}' FROM generate_series(1, $1)
"""


async def test_a_claim_is_quick_though_the_planner_thinks_that_nothing_is_pending(
    database_url: str, engine_of
) -> None:
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    await connection.execute(PENDING, 3000)
    await connection.execute("UPDATE event_outbox SET status = 'published'")
    await connection.execute("VACUUM ANALYZE event_outbox")
    await connection.execute("ALTER TABLE event_outbox SET (autovacuum_enabled = false)")
    await connection.execute(PENDING, 3000)
    await connection.close()
    outbox, entries = PostgreSQLOutboxRepository(engine_of(database_url)), 0
    async with asyncio.timeout(2):
        while claimed := await outbox.claim(300, 60):
            entries += len(claimed)
    assert entries == 3000
