"""kill -9 on a process manager, after each of its effects in turn."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from eventsource import (
    EventStore,
    PostgreSQLCheckpointRepository,
    PostgreSQLEventStore,
    PostgreSQLTimeoutRepository,
)
from eventsource.process import ProcessTimeoutSet
from tests.till import feed
from tests.trips import GIVEN_UP, NOON, PATIENCE, WITH_FLIGHT, Agency, at, want_a_trip
from tutorial_support.lab import eventually


class MortalAgency(Agency):
    """Dies right after its effect of this number."""

    projection_name = "Agency"
    dies_at = 0

    def called(self) -> None:
        super().called()
        if self.calls == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    async def _remember(self, event: ProcessTimeoutSet) -> None:
        await super()._remember(event)
        self.called()

    async def deliver_timeouts(self) -> int:
        """Dies between the event and the end of the alarm, too."""
        remove = self._pending.remove

        async def die(event_id):  # type: ignore[no-untyped-def]
            self.called()
            await remove(event_id)

        self._pending.remove = die  # type: ignore[method-assign]
        try:
            return await super().deliver_timeouts()
        finally:
            self._pending.remove = remove  # type: ignore[method-assign]


async def child(url: str, dies_at: int, has_flights: bool, now: datetime) -> None:
    engine = create_async_engine(url)
    agency = MortalAgency(
        PostgreSQLEventStore(async_sessionmaker(engine)),
        PostgreSQLTimeoutRepository(engine),
        PostgreSQLCheckpointRepository(engine),
        clock=at(now),
    )
    agency.dies_at, agency.has_flights = dies_at, has_flights
    expected = WITH_FLIGHT if has_flights else GIVEN_UP

    async def is_done() -> bool:
        await agency.catch_up(agency.bookings.event_store)
        return len(await feed(agency.bookings.event_store)) >= len(expected)

    await eventually(is_done)
    await engine.dispose()


async def run_until_it_dies(url: str, *arguments: str) -> bool:
    """Whether the process was killed; False if it came to the end of its work."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.test_process_killed", *arguments),
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TRIPS_DATABASE": url},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), errors.decode()
    return process.returncode != 0


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[EventStore]:
    engine = create_async_engine(database_url)
    yield PostgreSQLEventStore(async_sessionmaker(engine))
    await engine.dispose()


@pytest.mark.parametrize(
    ("life", "expected", "effects"),
    [(("flights", NOON), WITH_FLIGHT, 6), (("none", NOON + PATIENCE), GIVEN_UP, 7)],
)
async def test_a_killed_process_goes_on_where_it_was_and_does_nothing_twice(
    store: EventStore, database_url: str, life: tuple[str, datetime], expected, effects: int
) -> None:
    flights, now = life
    await want_a_trip(store)
    deaths = 0
    # Each life repeats the effect after which the one before died, and dies after the next.
    for dies_at in (1, *[2] * (effects - 1), 1000):
        deaths += await run_until_it_dies(database_url, str(dies_at), flights, now.isoformat())
    assert deaths == effects
    assert [stored.event_type for stored in await feed(store)] == expected


if __name__ == "__main__":
    asyncio.run(
        child(
            os.environ["TRIPS_DATABASE"],
            int(sys.argv[1]),
            sys.argv[2] == "flights",
            datetime.fromisoformat(sys.argv[3]),
        )
    )
