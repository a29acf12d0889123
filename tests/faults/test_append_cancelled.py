"""A cancelled call leaves no half batch and no connection behind."""

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from eventsource import DomainEvent, PostgreSQLEventStore, register_event


@register_event
class CrateLoaded(DomainEvent):
    aggregate_type: str = "Truck"
    weight: int = 1


@pytest.fixture
async def engine(database_url: str):
    engine = create_async_engine(database_url, pool_size=2, max_overflow=0, pool_timeout=5)
    yield engine
    await engine.dispose()


def crates(truck, count: int = 5) -> list[CrateLoaded]:
    return [CrateLoaded(aggregate_id=truck, aggregate_version=n + 1) for n in range(count)]


async def cancel_after(task: asyncio.Task, steps: int) -> bool:
    """Let the loop turn `steps` times, then cancel; whether there was something to cancel."""
    for _ in range(steps):
        await asyncio.sleep(0)
        if task.done():
            break
    task.cancel()
    await asyncio.wait([task])
    return task.cancelled()


@pytest.mark.parametrize("warm", [True, False])
async def test_an_append_cancelled_anywhere_is_all_or_nothing(
    engine: AsyncEngine, warm: bool
) -> None:
    store = PostgreSQLEventStore(async_sessionmaker(engine))
    cancelled = completed = 0
    for steps in range(60):
        if not warm:
            await engine.dispose()
        truck = uuid4()
        task = asyncio.create_task(store.append_events(truck, "Truck", crates(truck), 0))
        # A turn of the loop is short against a round trip: stretch the later ones.
        if steps > 30:
            await asyncio.wait([task], timeout=(steps - 30) * 0.0005)
        if await cancel_after(task, steps):
            cancelled += 1
        else:
            completed += 1
        assert engine.pool.checkedout() == 0
        stored = (await store.get_events(truck, "Truck")).events
        assert len(stored) in (0, 5)
        if not task.cancelled():
            assert len(stored) == 5
    assert cancelled
    assert completed or not warm


async def test_a_waiting_caller_may_be_cancelled_twice(engine: AsyncEngine) -> None:
    store = PostgreSQLEventStore(async_sessionmaker(engine))
    async with engine.connect(), engine.connect():
        task = asyncio.create_task(store.get_stream_version(uuid4(), "Truck"))
        for _ in range(10):
            await asyncio.sleep(0)
        task.cancel()
        assert await cancel_after(task, 1)
    assert engine.pool.checkedout() == 0


async def test_an_abandoned_read_holds_no_connection(engine: AsyncEngine) -> None:
    store, truck = PostgreSQLEventStore(async_sessionmaker(engine)), uuid4()
    await store.append_events(truck, "Truck", crates(truck, 1500), 0)
    feed = store.read_stream(f"{truck}:Truck")
    await anext(feed)
    assert engine.pool.checkedout() == 0
    await feed.aclose()


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 8, 13])
async def test_a_cancelled_read_gives_its_connection_back(engine: AsyncEngine, steps: int) -> None:
    store, truck = PostgreSQLEventStore(async_sessionmaker(engine)), uuid4()
    await store.append_events(truck, "Truck", crates(truck, 1500), 0)

    async def read() -> int:
        return len([stored async for stored in store.read_stream(f"{truck}:Truck")])

    task = asyncio.create_task(read())
    await cancel_after(task, steps)
    assert engine.pool.checkedout() == 0
    assert await read() == 1500
