"""kill -9 on PostgreSQL in the middle of appends."""

import asyncio
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from eventsource import (
    DomainEvent,
    EventStoreConnectionError,
    PostgreSQLEventStore,
    register_event,
)
from tutorial_support.database import private_server
from tutorial_support.lab import eventually


@register_event
class LineWritten(DomainEvent):
    aggregate_type: str = "Diary"
    line: int


async def test_every_acknowledged_event_is_there_once_after_the_crash() -> None:
    acknowledged: list[UUID] = []
    interrupted: list[tuple[UUID, int, list[LineWritten]]] = []

    async def write(store: PostgreSQLEventStore) -> None:
        """Append batches of two to a stream of its own until the server is gone."""
        diary, version = uuid4(), 0
        while True:
            batch = [LineWritten(aggregate_id=diary, line=version + n) for n in (1, 2)]
            try:
                result = await store.append_events(diary, "Diary", batch, version)
            except EventStoreConnectionError:
                interrupted.append((diary, version, batch))
                return
            version = result.new_version
            acknowledged.extend(event.event_id for event in batch)

    async with await private_server() as server:
        engine = create_async_engine(server.url, pool_size=8)
        store = PostgreSQLEventStore(async_sessionmaker(engine))
        writers = [asyncio.create_task(write(store)) for _ in range(8)]
        await eventually(lambda: len(acknowledged) > 200, timeout_seconds=30)
        await server.kill()
        await asyncio.wait_for(asyncio.gather(*writers), timeout=30)
        assert engine.pool.checkedout() == 0
        with pytest.raises(EventStoreConnectionError):
            await store.get_stream_version(uuid4(), "Diary")

        await server.restart()
        stored = [one.event_id async for one in store.read_all()]
        assert len(stored) == len(set(stored))
        assert set(acknowledged) <= set(stored)
        unsure = {event.event_id for _, _, batch in interrupted for event in batch}
        assert set(stored) - set(acknowledged) <= unsure

        # Whether it was stored or not, repeating the interrupted append settles it.
        for diary, version, batch in interrupted:
            result = await store.append_events(diary, "Diary", batch, version)
            assert result.new_version == version + 2
            lines = [event.line for event in (await store.get_events(diary, "Diary")).events]
            assert lines == list(range(1, version + 3))
        await engine.dispose()
