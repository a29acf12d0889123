"""kill -9 on the process that leads a subscription; another takes over."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from eventsource import (
    Doorbell,
    PostgreSQLCheckpointRepository,
    PostgreSQLEventStore,
    PostgreSQLLeader,
    SubscriptionConfig,
    SubscriptionManager,
)
from tests.till import Sold, feed, fold, sell
from tutorial_support.lab import eventually


async def child(url: str) -> None:
    """A worker: tells when it leads, and goes on until it is killed."""
    engine = create_async_engine(url)
    leader = PostgreSQLLeader(engine, "sold", retry_seconds=0.05)
    manager = SubscriptionManager(
        PostgreSQLEventStore(async_sessionmaker(engine)),
        None,
        PostgreSQLCheckpointRepository(engine),
        doorbell=Doorbell(engine),
        leader=leader,
    )
    config = SubscriptionConfig(batch_size=3, poll_interval_seconds=0.05)
    await manager.subscribe(Sold(engine), config)
    async with manager:
        await eventually(lambda: manager.is_leader, timeout_seconds=600)
        print("leads", flush=True)
        await asyncio.Event().wait()


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def start_worker(database_url: str) -> AsyncIterator[Callable]:
    started: list[Process] = []

    async def start() -> Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.test_subscriber_killed"),
            cwd=Path(__file__).parents[2],
            env={**os.environ, "TILL_DATABASE": database_url},
            stdout=PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def leader_of(workers: list[Process]) -> Process:
    """The one that says so first."""
    reading = {asyncio.create_task(one.stdout.readline()): one for one in workers}
    done, rest = await asyncio.wait(reading, timeout=60, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    (first,) = done
    assert first.result() == b"leads\n"
    return reading[first]


async def test_leaders_that_keep_being_killed_skip_nothing_and_count_nothing_twice(
    engine: AsyncEngine, start_worker: Callable
) -> None:
    store, sold = PostgreSQLEventStore(async_sessionmaker(engine)), Sold(engine)
    await sold.setup()
    workers = [await start_worker() for _ in range(2)]

    async def write(till: UUID) -> None:
        for number in range(60):
            await sell(store, "apple" if number % 3 else "pear", till=till, version=number)
            await asyncio.sleep(0.01)

    writing = asyncio.gather(*(write(uuid4()) for _ in range(4)))
    reached = None
    for _ in range(3):
        leader = await leader_of(workers)
        await eventually(lambda: is_beyond(sold, reached), timeout_seconds=60)  # noqa: B023
        leader.kill()
        await leader.wait()
        reached = await sold.get_position()
        workers = [one for one in workers if one is not leader] + [await start_worker()]
    await writing
    end = await eventually(lambda: end_of(store, 240), timeout_seconds=60)
    await sold.wait_for(end, timeout_seconds=60)
    assert await sold.totals() == fold([stored.event for stored in await feed(store)])
    assert sum((await sold.totals()).values()) == 240


async def is_beyond(sold: Sold, position) -> bool:
    reached = await sold.get_position()
    return reached is not None and (position is None or reached > position)


async def end_of(store: PostgreSQLEventStore, count: int):
    stored = await feed(store)
    return stored[-1].position if len(stored) == count else None


if __name__ == "__main__":
    asyncio.run(child(os.environ["TILL_DATABASE"]))
