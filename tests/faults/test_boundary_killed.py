"""kill -9 on a process between the tags of an event and the event."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from eventsource import ConsistencyBoundary, DomainEvent, PostgreSQLEventStore, register_event

TAGS = ("course:art", "student:Ann")


@register_event
class SeatGiven(DomainEvent):
    aggregate_type: str = "Seat"


class MortalStore(PostgreSQLEventStore):
    async def append_events(self, *args: Any, **options: Any) -> Any:
        if sys.argv[2] == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        await super().append_events(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)


async def child(url: str) -> None:
    engine = create_async_engine(url)
    boundary = ConsistencyBoundary(MortalStore(async_sessionmaker(engine)), engine)
    await boundary.decide(TAGS, lambda events: [SeatGiven(aggregate_id=uuid4())])


async def test_a_killed_append_leaves_neither_tags_nor_events(database_url: str) -> None:
    for moment in ("before", "after"):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.test_boundary_killed", database_url, moment),
            cwd=Path(__file__).parents[2],
        )
        assert await process.wait() == -signal.SIGKILL

    engine = create_async_engine(database_url)
    boundary = ConsistencyBoundary(PostgreSQLEventStore(async_sessionmaker(engine)), engine)
    try:
        assert (await boundary.read(*TAGS)).versions == dict.fromkeys(TAGS, 0)
        await boundary.decide(TAGS, lambda events: [SeatGiven(aggregate_id=uuid4())])
        seen = await boundary.read(*TAGS)
    finally:
        await engine.dispose()
    assert seen.versions == dict.fromkeys(TAGS, 1)
    assert len(seen.events) == 1


if __name__ == "__main__":
    asyncio.run(child(sys.argv[1]))
