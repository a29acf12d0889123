"""Clocks that jump: a process's own, and that of the database server.

The server's clock is moved for real as far as SQL sees it: a function `now` that comes first on
the search path, and the default of `events.created_at`.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from eventsource import (
    DomainEvent,
    InMemoryEventBus,
    OutboxPublisher,
    PostgreSQLCheckpointRepository,
    PostgreSQLEventStore,
    PostgreSQLOutboxRepository,
    SubscriptionConfig,
    SubscriptionManager,
    register_event,
)
from tests.till import feed
from tutorial_support.lab import eventually

HOUR = timedelta(hours=1)
LEASE_SECONDS = 600.0

CLOCK = """
CREATE SCHEMA skewed;
CREATE TABLE skewed.clock (ahead INTERVAL NOT NULL);
INSERT INTO skewed.clock VALUES ('0');
CREATE FUNCTION skewed.now() RETURNS TIMESTAMPTZ LANGUAGE sql VOLATILE
    AS $$ SELECT pg_catalog.now() + (SELECT ahead FROM skewed.clock) $$;
ALTER TABLE events ALTER created_at SET DEFAULT skewed.now();
"""

Jump = Callable[[timedelta], Awaitable[None]]


@register_event
class BellTolled(DomainEvent):
    aggregate_type: str = "Tower"
    number: int = 1


@pytest.fixture
async def jump(database_url: str) -> AsyncIterator[Jump]:
    """Set the server's clock so far ahead of the truth."""
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    await connection.execute(CLOCK)

    async def jump(ahead: timedelta) -> None:
        await connection.execute("UPDATE skewed.clock SET ahead = $1", ahead)

    yield jump
    await connection.close()


@pytest.fixture
async def engine(database_url: str, jump: Jump) -> AsyncIterator[AsyncEngine]:
    settings = {"search_path": "skewed, pg_catalog, public"}
    engine = create_async_engine(database_url, connect_args={"server_settings": settings})
    yield engine
    await engine.dispose()


@pytest.fixture
def store(engine: AsyncEngine) -> PostgreSQLEventStore:
    return PostgreSQLEventStore(async_sessionmaker(engine), outbox_enabled=True)


async def toll(store: PostgreSQLEventStore, tower: UUID, number: int) -> None:
    event = BellTolled(aggregate_id=tower, aggregate_version=number, number=number)
    await store.append_events(tower, "Tower", [event], number - 1)


async def test_the_feed_and_its_subscriptions_follow_no_clock(
    engine: AsyncEngine, store: PostgreSQLEventStore, jump: Jump
) -> None:
    heard, tower = list[int](), uuid4()

    async def hear(event: BellTolled) -> None:
        heard.append(event.number)

    manager = SubscriptionManager(store, None, PostgreSQLCheckpointRepository(engine))
    await manager.subscribe(hear, SubscriptionConfig(batch_size=2, poll_interval_seconds=0.05))
    async with manager:
        for number, ahead in enumerate([0, 2, -3, 1, -1], start=1):
            await jump(ahead * HOUR)
            await toll(store, tower, number)
            await eventually(lambda n=number: len(heard) == n, timeout_seconds=60)
    log = await feed(store)
    assert heard == [stored.event.number for stored in log] == [1, 2, 3, 4, 5]
    times = [stored.stored_at for stored in log]
    assert times[2] < times[0] < times[1]  # the clock did go back


async def test_a_lease_goes_by_the_clock_of_the_server(
    engine: AsyncEngine, store: PostgreSQLEventStore, jump: Jump
) -> None:
    outbox, tower = PostgreSQLOutboxRepository(engine), uuid4()
    await toll(store, tower, 1)
    (entry,) = await outbox.claim(10, LEASE_SECONDS)  # by a publisher that then dies
    await jump(-HOUR)
    assert await outbox.claim(10, LEASE_SECONDS) == []  # it waits for longer, and nothing is lost
    await jump(HOUR)
    (again,) = await outbox.claim(10, LEASE_SECONDS)  # it ends early: the event may come twice
    assert again.id == entry.id


async def test_an_outbox_is_published_in_order_while_the_servers_clock_jumps(
    engine: AsyncEngine, store: PostgreSQLEventStore, jump: Jump
) -> None:
    bus, heard, tower = InMemoryEventBus(), list[int](), uuid4()
    bus.subscribe(BellTolled, lambda event: heard.append(event.number))
    outbox = PostgreSQLOutboxRepository(engine)
    rivals = [
        OutboxPublisher(outbox, bus, batch_size=3, poll_interval_seconds=0.02, lease_seconds=3.0)
        for _ in range(2)
    ]
    async with rivals[0], rivals[1]:
        for number in range(1, 31):
            await jump([HOUR, -HOUR, 0 * HOUR][number % 3])
            await toll(store, tower, number)
        await jump(3 * HOUR)  # the last lease that a jump made longer ends
        await eventually(lambda: len(set(heard)) == 30, timeout_seconds=60)
    assert list(dict.fromkeys(heard)) == list(range(1, 31))


WORKER = """
import asyncio, sys
from uuid import UUID
from sqlalchemy.ext.asyncio import create_async_engine
from eventsource import PostgreSQLCheckpointRepository, PostgreSQLOutboxRepository
from eventsource.repositories import checkpoint, outbox, sql
from eventsource.types import Position
from tests.faults.campaign.clock import let_it_jump

let_it_jump(1)
times = [outbox.now() for _ in range(20)]
assert outbox.now is checkpoint.now and times != sorted(times)

async def main(url):
    engine = create_async_engine(url)
    entries, places = PostgreSQLOutboxRepository(engine), PostgreSQLCheckpointRepository(engine)
    (entry,) = await entries.claim(10, 600.0)
    for _ in range(20):
        assert await entries.claim(10, 600.0) == []
    for number in range(1, 21):
        place = Position(1, number)
        assert await places.save_position("w", place, UUID(int=number), "BellTolled")
        assert await places.get_position("w") == place
    assert not await places.save_position("w", Position(1, 20), UUID(int=1), "BellTolled")
    await entries.mark_published(entry.id)
    await engine.dispose()

asyncio.run(main(sys.argv[1]))
"""


async def test_leases_and_checkpoints_do_not_go_by_the_clock_of_a_process(
    store: PostgreSQLEventStore, engine: AsyncEngine, database_url: str
) -> None:
    await toll(store, uuid4(), 1)
    worker = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", WORKER, database_url],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert worker.returncode == 0, worker.stderr
    assert await PostgreSQLOutboxRepository(engine).get_pending_events() == []
