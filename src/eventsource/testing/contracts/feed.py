"""What every event store with a global feed promises about it.

Import all names of this module into a test module of yours, and define the fixture `event_store`.
"""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest

from eventsource import (
    DomainEvent,
    EventStore,
    PositionNotFoundError,
    ReadDirection,
    ReadOptions,
    StoredEvent,
    register_event,
)
from eventsource.testing.eventually import eventually
from eventsource.types import Position

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@register_event
class SeatTaken(DomainEvent):
    suppress_event_type_warning = True
    event_type: str = "contract.SeatTaken"
    aggregate_type: str = "Train"
    seat: int


def seats(train: UUID, *numbers: int, **fields: Any) -> list[SeatTaken]:
    return [SeatTaken(aggregate_id=train, aggregate_version=n, seat=n, **fields) for n in numbers]


def seat_of(stored: StoredEvent) -> int:
    assert isinstance(stored.event, SeatTaken)
    return stored.event.seat


async def feed(store: EventStore, **options: Any) -> list[StoredEvent]:
    return [stored async for stored in store.read_all(ReadOptions(**options))]


@pytest.fixture
async def stored(event_store: EventStore) -> list[StoredEvent]:
    """Six events of three trains, two an append."""
    for minutes, tenant_id in enumerate([None, uuid4(), None]):
        train, time = uuid4(), NOON + timedelta(minutes=minutes)
        events = seats(train, 1, 2, tenant_id=tenant_id, occurred_at=time)
        await event_store.append_events(train, "Train", events, 0)
    # Even a vacuum of this database can hold the feed back for a moment.
    return await eventually(lambda: whole_feed(event_store, 6))


async def whole_feed(store: EventStore, count: int) -> list[StoredEvent]:
    events = await feed(store)
    return events if len(events) == count else []


async def test_every_event_comes_once_in_the_order_of_appends(
    event_store: EventStore, stored: list[StoredEvent]
) -> None:
    assert [seat_of(one) for one in stored] == [1, 2] * 3
    assert [one.stream_position for one in stored] == [1, 2] * 3
    positions = [one.position for one in stored]
    assert all(earlier < later for earlier, later in pairwise(positions))
    assert len({one.global_position for one in stored}) == 6
    assert await event_store.get_global_position() == stored[-1].global_position
    assert await event_store.get_feed_end() == stored[-1].position


async def test_an_append_answers_with_the_position_of_its_last_event(
    event_store: EventStore, stored: list[StoredEvent]
) -> None:
    train = uuid4()
    result = await event_store.append_events(train, "Train", seats(train, 1, 2, 3), 0)
    last = (await eventually(lambda: whole_feed(event_store, 9)))[-1]
    assert result.position == last.position
    assert result.global_position == last.global_position


async def test_a_reader_resumes_after_any_position(
    event_store: EventStore, stored: list[StoredEvent]
) -> None:
    for n, one in enumerate(stored, start=1):
        assert await feed(event_store, from_position=one.position) == stored[n:]
        assert await feed(event_store, from_position=one.global_position) == stored[n:]
        token = Position.parse(str(one.position))
        assert await feed(event_store, from_position=token, limit=1) == stored[n : n + 1]
    for start in (0, -1, Position.START):
        assert await feed(event_store, from_position=start) == stored


async def test_a_position_that_is_not_in_the_log_is_an_error(
    event_store: EventStore, stored: list[StoredEvent]
) -> None:
    last = stored[-1].position
    beyond = Position(last.transaction, last.sequence + 1)
    for unknown in (last.sequence + 1000, beyond, Position(last.transaction + 10**6, 1)):
        with pytest.raises(PositionNotFoundError, match="older backup") as error:
            await feed(event_store, from_position=unknown)
        assert error.value.position == unknown


async def test_the_feed_is_filtered_and_limited(
    event_store: EventStore, stored: list[StoredEvent]
) -> None:
    tenant = stored[2].event.tenant_id
    assert await feed(event_store, tenant_id=tenant) == stored[2:4]
    minute = timedelta(minutes=1)
    assert await feed(event_store, from_timestamp=NOON + minute) == stored[2:]
    assert await feed(event_store, to_timestamp=NOON + minute) == stored[:4]
    assert await feed(event_store, limit=3) == stored[:3]
    assert await feed(event_store, limit=0) == []


@register_event
class Departed(DomainEvent):
    suppress_event_type_warning = True
    event_type: str = "contract.Departed"
    aggregate_type: str = "Train"


async def test_the_feed_is_filtered_by_types(
    event_store: EventStore, stored: list[StoredEvent]
) -> None:
    departures = "contract.Departed"
    bus, train = uuid4(), stored[0].aggregate_id
    await event_store.append_events(bus, "Bus", seats(bus, 1, aggregate_type="Bus"), 0)
    departed = Departed(aggregate_id=train)
    await event_store.append_events(train, "Train", [departed], 2)
    everything = await eventually(lambda: whole_feed(event_store, 8))
    assert await feed(event_store, event_types=[departures]) == everything[7:]
    assert await feed(event_store, event_types={"contract.SeatTaken", departures}) == everything
    assert await feed(event_store, aggregate_types=("Bus",)) == everything[6:7]
    assert await feed(event_store, aggregate_types=["Bus"], event_types=[departures]) == []
    assert await feed(event_store, event_types=[]) == []
    backward = ReadDirection.BACKWARD
    newest = await feed(event_store, aggregate_types=["Train"], direction=backward, limit=2)
    assert newest == [everything[7], everything[5]]
    of_stream = event_store.read_stream(f"{train}:Train", ReadOptions(event_types=[departures]))
    assert [one.stream_position async for one in of_stream] == [3]


async def test_the_feed_is_read_backwards(
    event_store: EventStore, stored: list[StoredEvent]
) -> None:
    backward = ReadDirection.BACKWARD
    assert await feed(event_store, direction=backward) == stored[::-1]
    assert await feed(event_store, direction=backward, limit=2) == stored[:3:-1]
    start = stored[3].position
    assert await feed(event_store, direction=backward, from_position=start) == stored[:3:-1]


async def test_an_empty_log_has_an_empty_feed(event_store: EventStore) -> None:
    assert await feed(event_store) == []
    assert await event_store.get_global_position() == 0
    assert await event_store.get_feed_end() == Position.START


async def test_a_long_feed_is_read_across_pages(event_store: EventStore) -> None:
    for _ in range(3):
        train = uuid4()
        await event_store.append_events(train, "Train", seats(train, *range(1, 801)), 0)
    events = await eventually(lambda: whole_feed(event_store, 2400))
    assert [one.stream_position for one in events] == [*range(1, 801)] * 3
    assert await feed(event_store, direction=ReadDirection.BACKWARD) == events[::-1]


async def test_a_reader_may_append_while_it_reads(
    event_store: EventStore, stored: list[StoredEvent]
) -> None:
    async for one in event_store.read_all(ReadOptions(limit=6)):
        train = uuid4()
        await event_store.append_events(train, "Train", seats(train, seat_of(one)), 0)
    assert len(await eventually(lambda: whole_feed(event_store, 12))) == 12
