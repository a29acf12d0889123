"""What every event store promises about streams.

Import all names of this module into a test module of yours, and define the fixture `event_store`.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from eventsource import (
    AggregateMismatchError,
    DomainEvent,
    DuplicateEventError,
    EventStore,
    ExpectedVersion,
    OptimisticLockError,
    ReadDirection,
    ReadOptions,
    register_event,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@register_event
class ItemAdded(DomainEvent):
    suppress_event_type_warning = True
    event_type: str = "contract.ItemAdded"
    aggregate_type: str = "Cart"
    name: str = "tea"
    price: Decimal = Decimal("1.10")


def items(cart: UUID, *versions: int, **fields: Any) -> list[ItemAdded]:
    return [
        ItemAdded(aggregate_id=cart, aggregate_version=version, name=f"item {version}", **fields)
        for version in versions
    ]


@pytest.fixture
def cart() -> UUID:
    return uuid4()


@pytest.fixture
def event_ids_are_unique() -> bool:
    """Override it with False if your store guards event ids within an aggregate only."""
    return True


async def test_what_is_read_equals_what_was_stored(event_store: EventStore, cart: UUID) -> None:
    events = items(cart, 1, 2, tenant_id=uuid4(), actor_id="ann", metadata={"source": "web"})
    result = await event_store.append_events(cart, "Cart", events, 0)
    stream = await event_store.get_events(cart, "Cart")
    assert (result.success, result.new_version, result.conflict) == (True, 2, False)
    assert (stream.aggregate_id, stream.aggregate_type, stream.version) == (cart, "Cart", 2)
    assert stream.events == events


async def test_every_read_gives_new_objects(event_store: EventStore, cart: UUID) -> None:
    await event_store.append_events(cart, "Cart", items(cart, 1, metadata={"tags": ["a"]}), 0)
    (await event_store.get_events(cart)).events[0].metadata["tags"].append("b")
    assert (await event_store.get_events(cart)).events[0].metadata == {"tags": ["a"]}


@pytest.mark.parametrize(
    ("stored", "expected_version", "accepted"),
    [
        (0, ExpectedVersion.NO_STREAM, True),
        (2, ExpectedVersion.NO_STREAM, False),
        (0, ExpectedVersion.ANY, True),
        (2, ExpectedVersion.ANY, True),
        (0, ExpectedVersion.STREAM_EXISTS, False),
        (2, ExpectedVersion.STREAM_EXISTS, True),
        (2, 2, True),
        (2, 1, False),
        (2, 3, False),
        (0, 2**40, False),
    ],
)
async def test_the_expected_version_decides(
    event_store: EventStore, cart: UUID, stored: int, expected_version: int, accepted: bool
) -> None:
    before = items(cart, *range(1, stored + 1))
    if before:
        await event_store.append_events(cart, "Cart", before, 0)
    new = items(cart, stored + 1, stored + 2)
    if accepted:
        result = await event_store.append_events(cart, "Cart", new, expected_version)
        assert result.new_version == stored + 2
        assert (await event_store.get_events(cart)).events == before + new
    else:
        with pytest.raises(OptimisticLockError) as conflict:
            await event_store.append_events(cart, "Cart", new, expected_version)
        assert conflict.value.aggregate_id == cart
        assert conflict.value.expected_version == expected_version
        assert conflict.value.actual_version == stored
        assert (await event_store.get_events(cart)).events == before


async def test_an_expected_version_below_the_named_ones_is_refused(
    event_store: EventStore, cart: UUID
) -> None:
    with pytest.raises(ValueError, match="-3"):
        await event_store.append_events(cart, "Cart", items(cart, 1), -3)


async def test_a_stream_needs_a_type(event_store: EventStore, cart: UUID) -> None:
    with pytest.raises(ValueError, match="aggregate_type"):
        await event_store.append_events(cart, "", items(cart, 1, aggregate_type=""), 0)


@pytest.mark.parametrize("expected_version", [ExpectedVersion.ANY, 1])
async def test_events_carry_the_version_they_were_given(
    event_store: EventStore, cart: UUID, expected_version: int
) -> None:
    await event_store.append_events(cart, "Cart", items(cart, 1), 0)
    await event_store.append_events(cart, "Cart", items(cart, 1, 1), expected_version)
    events = (await event_store.get_events(cart)).events
    assert [event.aggregate_version for event in events] == [1, 2, 3]
    stored = [stored async for stored in event_store.read_stream(f"{cart}:Cart")]
    assert [one.event.aggregate_version for one in stored] == [1, 2, 3]
    assert [one.stream_position for one in stored] == [1, 2, 3]


async def test_an_event_of_another_aggregate_is_refused(
    event_store: EventStore, cart: UUID
) -> None:
    stray = items(uuid4(), 2)
    with pytest.raises(AggregateMismatchError) as mismatch:
        await event_store.append_events(cart, "Cart", items(cart, 1) + stray, 0)
    assert mismatch.value.event_id == stray[0].event_id
    with pytest.raises(AggregateMismatchError):
        await event_store.append_events(cart, "Basket", items(cart, 1), 0)
    assert await event_store.get_stream_version(cart, "Cart") == 0


async def test_repeating_an_append_gives_the_first_answer_again(
    event_store: EventStore, cart: UUID
) -> None:
    first, second = items(cart, 1, 2), items(cart, 3)
    answer = await event_store.append_events(cart, "Cart", first, 0)
    await event_store.append_events(cart, "Cart", second, 2)
    for expected_version in (0, ExpectedVersion.ANY, 3):
        repeated = await event_store.append_events(cart, "Cart", first, expected_version)
        assert repeated == answer
    assert (await event_store.get_events(cart)).events == first + second


async def test_of_a_batch_that_is_partly_stored_the_rest_is_stored(
    event_store: EventStore, cart: UUID
) -> None:
    first, rest = items(cart, 1), items(cart, 2)
    await event_store.append_events(cart, "Cart", first, 0)
    with pytest.raises(OptimisticLockError):
        await event_store.append_events(cart, "Cart", first + rest, 0)
    result = await event_store.append_events(cart, "Cart", first + rest, 1)
    assert result.new_version == 2
    assert (await event_store.get_events(cart)).events == first + rest


async def test_an_event_id_belongs_to_one_stream(
    event_store: EventStore, cart: UUID, event_ids_are_unique: bool
) -> None:
    taken = items(cart, 1)
    await event_store.append_events(cart, "Cart", taken, 0)
    other = uuid4()
    thief = items(other, 1) + items(other, 2, event_id=taken[0].event_id)
    if not event_ids_are_unique:
        assert (await event_store.append_events(other, "Cart", thief, 0)).new_version == 2
        return
    for expected_version in (0, ExpectedVersion.ANY):
        with pytest.raises(DuplicateEventError, match=str(cart)) as duplicate:
            await event_store.append_events(other, "Cart", thief, expected_version)
        assert duplicate.value.event_id == taken[0].event_id
    assert await event_store.get_stream_version(other, "Cart") == 0


async def test_an_event_id_belongs_to_one_type_of_an_aggregate(
    event_store: EventStore, cart: UUID
) -> None:
    taken = items(cart, 1)
    await event_store.append_events(cart, "Cart", taken, 0)
    thief = items(cart, 1, event_id=taken[0].event_id, aggregate_type="Basket")
    with pytest.raises(DuplicateEventError):
        await event_store.append_events(cart, "Basket", thief, 0)


async def test_an_event_given_twice_is_stored_once(event_store: EventStore, cart: UUID) -> None:
    first, second = items(cart, 1, 2)
    result = await event_store.append_events(cart, "Cart", [first, second, first], 0)
    assert result.new_version == 2
    assert (await event_store.get_events(cart)).events == [first, second]
    impostor = second.model_copy(update={"name": "other"})
    with pytest.raises(DuplicateEventError):
        await event_store.append_events(cart, "Cart", [second, impostor], 2)


@pytest.mark.parametrize(
    "expected_version", [0, 7, ExpectedVersion.ANY, ExpectedVersion.STREAM_EXISTS]
)
async def test_an_empty_append_answers_the_true_version(
    event_store: EventStore, cart: UUID, expected_version: int
) -> None:
    assert (await event_store.append_events(cart, "Cart", [], expected_version)).new_version == 0
    answer = await event_store.append_events(cart, "Cart", items(cart, 1, 2), 0)
    assert await event_store.append_events(cart, "Cart", [], expected_version) == answer


async def test_an_unknown_stream_is_empty(event_store: EventStore, cart: UUID) -> None:
    stream = await event_store.get_events(cart, "Cart")
    assert (stream.is_empty, stream.version, stream.aggregate_type) == (True, 0, "Cart")
    assert (await event_store.get_events(cart)).aggregate_type == "Unknown"
    assert await event_store.get_stream_version(cart, "Cart") == 0
    assert not await event_store.event_exists(uuid4())


async def test_the_version_is_the_streams_whatever_part_is_read(
    event_store: EventStore, cart: UUID
) -> None:
    times = [NOON + timedelta(minutes=n) for n in range(5)]
    events = [
        ItemAdded(aggregate_id=cart, aggregate_version=n, occurred_at=time)
        for n, time in enumerate(times, start=1)
    ]
    await event_store.append_events(cart, "Cart", events, 0)

    async def read(**part: Any) -> list[DomainEvent]:
        named = await event_store.get_events(cart, "Cart", **part)
        unnamed = await event_store.get_events(cart, **part)
        assert (named.version, named.aggregate_type) == (5, "Cart")
        assert unnamed == named
        return named.events

    assert await read(from_version=0) == events
    assert await read(from_version=1) == events[1:]
    assert await read(from_version=3) == events[3:]
    assert await read(from_version=5) == []
    assert await read(from_version=2**40) == []
    assert await read(from_timestamp=times[1], to_timestamp=times[3]) == events[1:4]
    assert await read(to_timestamp=NOON - timedelta(seconds=1)) == []


async def test_types_of_one_id_are_streams_of_their_own(
    event_store: EventStore, cart: UUID
) -> None:
    cart_events = items(cart, 1, 2)
    wish_events = items(cart, 1, aggregate_type="Wishes")
    await event_store.append_events(cart, "Cart", cart_events, 0)
    await event_store.append_events(cart, "Wishes", wish_events, 0)
    assert (await event_store.get_events(cart, "Cart")).events == cart_events
    other = await event_store.get_events(cart, "Other")
    assert (other.events, other.version, other.aggregate_type) == ([], 0, "Other")
    both = await event_store.get_events(cart)
    assert both.events == [cart_events[0], wish_events[0], cart_events[1]]
    assert (both.version, both.aggregate_type) == (2, "Unknown")
    stored = [one async for one in event_store.read_stream(str(cart))]
    assert [one.event for one in stored] == both.events


async def test_times_in_filters_need_a_zone(event_store: EventStore, cart: UUID) -> None:
    naive = datetime(2026, 3, 1)  # noqa: DTZ001  # the mistake under test
    with pytest.raises(ValueError, match="time zone"):
        await event_store.get_events(cart, from_timestamp=naive)
    with pytest.raises(ValueError, match="time zone"):
        await event_store.get_events_by_type("Cart", from_timestamp=naive)
    with pytest.raises(ValueError, match="time zone"):
        ReadOptions(to_timestamp=naive)
    text: Any = "2026-03-01"
    with pytest.raises(TypeError, match="datetime"):
        await event_store.get_events_by_type("Cart", from_timestamp=text)


async def test_events_of_a_type_come_by_time_then_position(event_store: EventStore) -> None:
    tenant, kind = uuid4(), f"Cart {uuid4()}"
    stored = []
    for minutes, tenant_id in [(5, tenant), (1, None), (1, tenant), (3, tenant)]:
        cart, time = uuid4(), NOON + timedelta(minutes=minutes)
        stored += items(cart, 1, occurred_at=time, tenant_id=tenant_id, aggregate_type=kind)
        await event_store.append_events(cart, kind, stored[-1:], 0)
    elsewhere = uuid4()
    await event_store.append_events(
        elsewhere, "Wishes", items(elsewhere, 1, aggregate_type="Wishes"), 0
    )
    last, tie, tied, third = stored
    found = await event_store.get_events_by_type(kind)
    assert [event.occurred_at for event in found] == sorted(e.occurred_at for e in stored)
    assert found[-2:] == [third, last]
    assert tie in found[:2]
    assert await event_store.get_events_by_type(kind, tenant_id=tenant) == [tied, third, last]
    after = await event_store.get_events_by_type(kind, from_timestamp=third.occurred_at)
    assert after == [last]
    assert await event_store.get_events_by_type("Nothing") == []


async def test_an_event_exists_once_it_is_stored(event_store: EventStore, cart: UUID) -> None:
    events = items(cart, 1)
    await event_store.append_events(cart, "Cart", events, 0)
    assert await event_store.event_exists(events[0].event_id)
    assert await event_store.get_stream_version(cart, "Cart") == 1


async def test_a_stream_is_read_in_both_directions(event_store: EventStore, cart: UUID) -> None:
    await event_store.append_events(cart, "Cart", items(cart, 1, 2, 3, 4, 5), 0)

    async def versions(**options: Any) -> list[int]:
        stream = event_store.read_stream(f"{cart}:Cart", ReadOptions(**options))
        return [stored.stream_position async for stored in stream]

    backward = {"direction": ReadDirection.BACKWARD}
    assert await versions() == [1, 2, 3, 4, 5]
    assert await versions(from_position=2) == [3, 4, 5]
    assert await versions(from_position=-1, limit=2) == [1, 2]
    assert await versions(limit=0) == []
    assert await versions(from_position=9) == []
    assert await versions(**backward) == [5, 4, 3, 2, 1]
    assert await versions(**backward, from_position=2) == [5, 4, 3]
    assert await versions(**backward, limit=2) == [5, 4]
    assert await versions(tenant_id=uuid4()) == []


async def test_a_stored_event_knows_its_place(event_store: EventStore, cart: UUID) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    events = items(cart, 1, occurred_at=NOON)
    await event_store.append_events(cart, "Cart", events, 0)
    stored = await anext(event_store.read_stream(f"{cart}:Cart"))
    assert stored.event == events[0]
    assert (stored.stream_id, stored.stream_position) == (f"{cart}:Cart", 1)
    assert (stored.event_id, stored.event_type) == (events[0].event_id, "contract.ItemAdded")
    assert (stored.aggregate_id, stored.aggregate_type) == (cart, "Cart")
    assert before < stored.stored_at < datetime.now(UTC) + timedelta(minutes=1)
    assert str(stored).startswith("contract.ItemAdded at ")


async def test_a_long_stream_is_read_across_pages(event_store: EventStore, cart: UUID) -> None:
    await event_store.append_events(cart, "Cart", items(cart, *range(1, 2502)), 0)
    for direction, versions in [
        (ReadDirection.FORWARD, range(1, 2502)),
        (ReadDirection.BACKWARD, range(2501, 0, -1)),
    ]:
        stream = event_store.read_stream(f"{cart}:Cart", ReadOptions(direction))
        assert [stored.stream_position async for stored in stream] == list(versions)


@pytest.mark.parametrize("stream_id", ["", "Cart", "1234:Cart"])
async def test_a_stream_id_begins_with_the_aggregates_id(
    event_store: EventStore, stream_id: str
) -> None:
    with pytest.raises(ValueError, match="stream id"):
        await anext(event_store.read_stream(stream_id))


async def test_a_type_may_contain_a_colon(event_store: EventStore, cart: UUID) -> None:
    events = items(cart, 1, aggregate_type="shop:Cart")
    await event_store.append_events(cart, "shop:Cart", events, 0)
    stored = [one async for one in event_store.read_stream(f"{cart}:shop:Cart")]
    assert [one.event for one in stored] == events
