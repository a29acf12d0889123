"""kill -9 on a process that appends to SQLite, and a joined transaction that loses its server."""

import asyncio
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from eventsource import (
    DomainEvent,
    EventStoreConnectionError,
    PostgreSQLEventStore,
    SQLiteEventStore,
    register_event,
)
from tutorial_support.lab import eventually


@register_event
class StoneLaid(DomainEvent):
    aggregate_type: str = "Walk"
    step: int = 0


# Batches of three to one stream, each acknowledged on standard output.
WRITER = """
import asyncio, sys
from uuid import UUID
from eventsource import DomainEvent, SQLiteEventStore, register_event

@register_event
class StoneLaid(DomainEvent):
    aggregate_type: str = "Walk"
    step: int = 0

async def walk(path, walk):
    async with SQLiteEventStore(path, outbox_enabled=True) as store:
        version = await store.get_stream_version(walk, "Walk")
        while True:
            batch = [StoneLaid(aggregate_id=walk, step=version + n) for n in (1, 2, 3)]
            version = (await store.append_events(walk, "Walk", batch, version)).new_version
            print(version, flush=True)

asyncio.run(walk(sys.argv[1], UUID(sys.argv[2])))
"""


async def kill_after_lines(path: Path, walk: UUID, lines: int) -> int:
    """Run the writer, kill it, and answer the last version it acknowledged."""
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(path), str(walk), stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    for _ in range(lines):
        await writer.stdout.readline()
    writer.kill()
    rest, _ = await writer.communicate()
    return int(rest.split()[-1]) if rest.split() else 0


async def test_acknowledged_batches_survive_the_writer_whole(tmp_path: Path) -> None:
    path, walk = tmp_path / "walk.db", uuid4()
    async with SQLiteEventStore(path) as store:
        await store.initialize()
        for lines in (3, 20, 41):
            acknowledged = await kill_after_lines(path, walk, lines)
            stream = await store.get_events(walk, "Walk")
            assert acknowledged <= stream.version <= acknowledged + 3 or acknowledged == 0
            assert stream.version % 3 == 0
            assert [event.step for event in stream.events] == list(range(1, stream.version + 1))
            queued = await store.database.fetch("SELECT count(*) AS n FROM event_outbox")
            assert queued[0]["n"] == stream.version
            again = [StoneLaid(aggregate_id=walk, step=stream.version + n) for n in (1, 2, 3)]
            await store.append_events(walk, "Walk", again, stream.version)
            await store.database.fetch("DELETE FROM event_outbox")
            await store.database.fetch(
                "INSERT INTO event_outbox (id, event_id, event_type, aggregate_id, aggregate_type,"
                " event_data, created_at) SELECT event_id, event_id, event_type, aggregate_id, "
                "aggregate_type, payload, created_at FROM events"
            )


async def test_a_joined_append_whose_connection_is_killed_stores_nothing(database_url: str) -> None:
    engine, walk = create_async_engine(database_url), uuid4()
    store = PostgreSQLEventStore(async_sessionmaker(engine))
    first, second = (StoneLaid(aggregate_id=walk, step=n) for n in (1, 2))

    async def work() -> None:
        async with engine.begin() as connection:
            await store.append_events(walk, "Walk", [first], 0, transaction=connection)
            pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            async with engine.connect() as other:
                await other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            await store.append_events(walk, "Walk", [second], 1, transaction=connection)

    with pytest.raises(EventStoreConnectionError, match="lost"):
        await work()
    assert await store.get_stream_version(walk, "Walk") == 0
    await eventually(lambda: engine.pool.checkedout() == 0)
    await engine.dispose()
