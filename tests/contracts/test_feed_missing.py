"""What a table without positions can do, and what it says about the rest."""

from collections.abc import Callable
from typing import ClassVar
from uuid import uuid4

import pytest

from eventsource import (
    CheckpointTrackingProjection,
    DomainEvent,
    EventStore,
    ReadOptions,
    SchemaError,
)
from eventsource.testing.contracts.feed import SeatTaken, feed, seats
from eventsource.types import Position


@pytest.mark.parametrize("backend", ["postgresql-minimal"])
async def test_a_table_without_positions_says_which_migration_to_run(
    event_store: EventStore, events_url: str, load_sql: Callable
) -> None:
    train = uuid4()
    result = await event_store.append_events(train, "Train", seats(train, 1), 0)
    assert (result.global_position, result.position) == (0, Position.START)
    for attempt in (feed(event_store), event_store.get_global_position()):
        with pytest.raises(SchemaError, match="events_upgrade"):
            await attempt
    from eventsource.migrations import get_schema

    await load_sql(events_url, get_schema("events_upgrade"))
    assert [one.event.seat for one in await feed(event_store)] == [1]


@pytest.mark.parametrize("backend", ["postgresql-minimal"])
async def test_a_projection_passes_over_no_event_that_has_no_position(
    event_store: EventStore,
) -> None:
    class Seats(CheckpointTrackingProjection):
        taken: ClassVar[list[int]] = []

        def subscribed_to(self) -> list[type[DomainEvent]]:
            return [SeatTaken]

        async def _process_event(self, event: DomainEvent) -> None:
            assert isinstance(event, SeatTaken)
            self.taken.append(event.seat)

    train, projection = uuid4(), Seats()
    await event_store.append_events(train, "Train", seats(train, 1, 2, 3), 0)
    async for stored in event_store.read_stream(f"{train}:Train"):
        await projection.handle(stored)
    assert projection.taken == [1, 2, 3]
    assert await projection.get_checkpoint() == str(stored.event_id)
    assert await projection.get_position() is None


def test_a_single_name_is_no_collection_of_types() -> None:
    with pytest.raises(TypeError, match=r"\['Train'\]"):
        ReadOptions(aggregate_types="Train")
