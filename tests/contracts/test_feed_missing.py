"""What a table without positions can do, and what it says about the rest."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from eventsource import EventStore, ReadOptions, SchemaError
from eventsource.testing.contracts.feed import feed, seats
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


def test_a_single_name_is_no_collection_of_types() -> None:
    with pytest.raises(TypeError, match=r"\['Train'\]"):
        ReadOptions(aggregate_types="Train")
