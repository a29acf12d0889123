"""Every event store gives back exactly what it was given, or refuses it."""

import dataclasses
import enum
import logging
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, computed_field, field_serializer

from eventsource import (
    DomainEvent,
    EventStore,
    EventTypeNotFoundError,
    InMemoryEventStore,
    ReadOptions,
    SerializationError,
    UnreadableEventError,
    default_registry,
    register_event,
)
from eventsource.serialization import _fields_to_watch

BACKENDS = ["in-memory", "sqlite", "postgresql"]
everywhere = pytest.mark.parametrize("backend", BACKENDS, scope="module")
in_a_database = pytest.mark.parametrize("backend", ["sqlite", "postgresql"], scope="module")
in_postgresql = pytest.mark.parametrize("backend", ["postgresql"], scope="module")


@pytest.fixture
def events_url(shared_events_url: str | None) -> str | None:
    return shared_events_url


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class Address(BaseModel):
    street: str
    coordinates: tuple[float, float] | None = None


@dataclasses.dataclass
class Weight:
    grams: float


@register_event
class Described(DomainEvent):
    aggregate_type: str = "Thing"
    text: str = ""
    number: int = 0
    ratio: float = 0.0
    price: Decimal = Decimal(0)
    size: Size = Size.SMALL
    kind: Literal["a", "b"] = "a"
    customer_id: str = ""
    starts_at: str = ""
    day: date | None = None
    moment: datetime | None = None
    duration: timedelta = timedelta()
    owners: list[UUID] = Field(default_factory=list)
    prices: dict[int, Decimal] = Field(default_factory=dict)
    address: Address | None = None
    weight: Weight | None = None
    raw: bytes = b""
    labels: list[Annotated[str, Field(max_length=9)]] = Field(default_factory=list)
    notes: Annotated[dict[str, Any], Field(max_length=9)] | None = None
    choice: int | float | str | Decimal = 0
    extra: Any = None

    @computed_field
    @property
    def doubled(self) -> int:
        return 2 * self.number


class PlainFact(DomainEvent):
    aggregate_type: str = "Thing"
    name: str | None = None
    ratios: list[float] = Field(default_factory=list)
    prices: dict[str, Decimal] | None = None
    pair: tuple[int, ...] = ()


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
decimals = st.decimals(allow_nan=False, allow_infinity=False)
finite = st.floats(allow_nan=False, allow_infinity=False)
zones = st.sampled_from(
    [UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=9))]
)
FIRST, LAST = datetime.fromisoformat("0001-01-02"), datetime.fromisoformat("9999-12-30")
# A day from either end of time, so that every zone has the moment.
moments = st.datetimes(FIRST, LAST, timezones=zones)
# Keys that no naming rule reads anything into.
free = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(-1e15, 1e15) | text,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(text.map(lambda t: "k" + t + "k"), inner, max_size=3)
    ),
    max_leaves=8,
)
things = st.builds(
    Described,
    aggregate_id=st.uuids(),
    occurred_at=moments,
    actor_id=st.none() | text.filter(lambda t: len(t) < 255),
    metadata=st.dictionaries(text.map(lambda t: "k" + t + "k"), free, max_size=3),
    text=text,
    number=st.integers(-(2**80), 2**80),
    ratio=finite,
    price=decimals,
    size=st.sampled_from(Size),
    customer_id=text | st.uuids().map(str),
    starts_at=text | st.datetimes().map(datetime.isoformat),
    day=st.none() | st.dates(),
    moment=st.none() | st.datetimes() | st.datetimes(timezones=zones),
    duration=st.timedeltas(timedelta(days=-10**6), timedelta(days=10**6)),
    owners=st.lists(st.uuids(), max_size=3),
    prices=st.dictionaries(st.integers(), decimals, max_size=3),
    address=st.none() | st.builds(Address, street=text, coordinates=st.tuples(finite, finite)),
    weight=st.none() | st.builds(Weight, grams=finite),
    labels=st.lists(text.map(lambda t: t[:9]), max_size=3),
    notes=st.none() | st.dictionaries(text.map(lambda t: "k" + t + "k"), free, max_size=3),
    choice=st.integers() | st.floats(-1e15, 1e15) | text,
    extra=free,
)  # fmt: skip


@everywhere
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(event=things)
async def test_any_event_comes_back_equal(event_store: EventStore, event: Described) -> None:
    await event_store.append_events(event.aggregate_id, "Thing", [event], -1)
    stored = (await event_store.get_events(event.aggregate_id)).events[-1]
    assert stored == event.with_aggregate_version(stored.aggregate_version)
    assert type(stored.price) is Decimal
    assert stored.occurred_at.utcoffset() == timedelta(0)


class Shy(BaseModel):
    name: str

    @field_serializer("name")
    def _hide(self, name: str) -> None:
        return None


@register_event
class GuestMet(DomainEvent):
    aggregate_type: str = "Thing"
    guest: Shy


@everywhere
async def test_an_event_that_could_not_be_read_again_is_refused(event_store: EventStore) -> None:
    event = GuestMet(aggregate_id=uuid4(), guest=Shy(name="Ada"))
    with pytest.raises(SerializationError, match="could not be read again"):
        await event_store.append_events(event.aggregate_id, "Thing", [event], 0)
    assert not await event_store.event_exists(event.event_id)


def thing(**fields: object) -> Described:
    return Described(aggregate_id=uuid4(), **fields)


@everywhere
@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"text": "a\0b"}, "text"),
        ({"text": "\ud800"}, "text"),
        ({"actor_id": "\0"}, "actor_id"),
        ({"raw": b"a\0"}, "raw"),
        ({"raw": b"\xff"}, None),
        ({"metadata": {"deep": [{"x": math.nan}]}}, "metadata.deep.0.x"),
        ({"metadata": {"x": -math.inf}}, "metadata.x"),
        ({"metadata": {"x": "\0"}}, "metadata.x"),
        ({"metadata": {"a\0": 1}}, "metadata"),
        ({"extra": {1: "one", "1": "other"}}, "extra"),
        ({"extra": math.nan}, "extra"),
        ({"notes": {"x": math.nan}}, "notes.x"),
        ({"address": Address(street="x", coordinates=(math.nan, 0))}, "address.coordinates.0"),
        ({"address": Address(street="\0")}, "address.street"),
        ({"weight": Weight(math.inf)}, "weight.grams"),
        ({"extra": 3.537430353663875e16}, "extra"),
        ({"choice": Decimal("1.10")}, "choice"),
        ({"choice": 3.537430353663875e16}, "choice"),
    ],
)
async def test_a_value_that_json_or_postgresql_would_change_is_refused(
    event_store: EventStore, fields: dict[str, object], place: str | None
) -> None:
    event = thing(**fields)
    where = f"'{place}" if place else str(event.event_id)
    with pytest.raises(SerializationError, match=where) as refusal:
        await event_store.append_events(event.aggregate_id, "Thing", [event], 0)
    assert refusal.value.event_type == "Described"
    assert str(event.event_id) in str(refusal.value)
    assert not await event_store.event_exists(event.event_id)


def test_a_plain_event_costs_no_second_look() -> None:
    assert _fields_to_watch(PlainFact) == (("metadata",), ())
    assert _fields_to_watch(Described)[1] == ("address", "weight", "choice")


@everywhere
@pytest.mark.parametrize("field", ["aggregate_type", "event_type", "actor_id"])
async def test_a_name_that_postgresql_has_no_room_for_is_refused(
    event_store: EventStore, field: str
) -> None:
    names = {"aggregate_type": "Thing", field: "ß" * 256}
    event = Described(aggregate_id=uuid4(), **names)
    with pytest.raises(ValueError, match=f"{field} has 256 characters"):
        await event_store.append_events(event.aggregate_id, event.aggregate_type, [event], 0)


@everywhere
async def test_a_name_may_be_as_long_as_postgresql_has_room_for(event_store: EventStore) -> None:
    thing, kind = uuid4(), "ß" * 255
    event = Described(aggregate_id=thing, aggregate_type=kind, actor_id=kind)
    await event_store.append_events(thing, kind, [event], 0)
    assert (await event_store.get_events(thing, kind)).events == [event]


@everywhere
async def test_text_that_looks_dangerous_is_stored(event_store: EventStore) -> None:
    event = thing(text="\\u0000 '; DROP TABLE events; -- NaN null", extra="\\ud800")
    await event_store.append_events(event.aggregate_id, "Thing", [event], 0)
    assert (await event_store.get_events(event.aggregate_id)).events == [event]


@everywhere
async def test_big_and_deep_values_are_stored_or_refused(event_store: EventStore) -> None:
    end = await event_store.get_feed_end()
    big = thing(text="x" * 10_000_000)
    await event_store.append_events(big.aggregate_id, "Thing", [big], 0)
    assert (await event_store.get_events(big.aggregate_id)).events == [big]
    feed = event_store.read_all(ReadOptions(from_position=end))
    assert [stored.event async for stored in feed] == [big]
    nest: list[object] = []
    for _ in range(5000):
        nest = [nest]
    deep = thing(extra=nest)
    with pytest.raises(SerializationError):
        await event_store.append_events(deep.aggregate_id, "Thing", [deep], 0)


@everywhere
async def test_free_form_text_is_read_by_the_names_of_its_keys(event_store: EventStore) -> None:
    user, time = uuid4(), datetime(2026, 3, 1, tzinfo=UTC)
    event = thing(
        customer_id=str(user),
        starts_at=time.isoformat(),
        metadata={
            "user_id": user,
            "sent_at": time,
            "actor_id": str(user),
            "note_id": "n-1",
            "inner": [{"user_id": str(user)}],
        },
    )
    await event_store.append_events(event.aggregate_id, "Thing", [event], 0)
    stored = (await event_store.get_events(event.aggregate_id)).events[0]
    assert stored.customer_id == str(user)
    assert stored.starts_at == time.isoformat()
    assert stored.metadata == {
        "user_id": user,
        "sent_at": time,
        "actor_id": str(user),
        "note_id": "n-1",
        "inner": [{"user_id": user}],
    }


class Forgotten(DomainEvent):
    aggregate_type: str = "Thing"


@in_a_database
async def test_a_database_refuses_a_type_it_could_not_read_again(event_store: EventStore) -> None:
    event = Forgotten(aggregate_id=uuid4())
    with pytest.raises(EventTypeNotFoundError, match="@register_event") as error:
        await event_store.append_events(event.aggregate_id, "Thing", [event], 0)
    assert "Described" in error.value.available_types
    assert not await event_store.event_exists(event.event_id)


async def test_memory_warns_once_of_a_type_nobody_registered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = InMemoryEventStore()
    first, second = Forgotten(aggregate_id=uuid4()), Forgotten(aggregate_id=uuid4())
    with caplog.at_level(logging.WARNING):
        for event in (first, second):
            await store.append_events(event.aggregate_id, "Thing", [event], 0)
    assert [record for record in caplog.messages if "Forgotten" in record] == caplog.messages
    assert len(caplog.messages) == 1
    assert (await store.get_events(first.aggregate_id)).events == [first]


async def test_memory_reads_each_event_by_the_class_that_was_stored() -> None:
    def created(what: str) -> DomainEvent:
        class Created(DomainEvent):
            aggregate_type: str = what

        return Created(aggregate_id=uuid4())

    store, events = InMemoryEventStore(), [created("Shelf"), created("Drawer")]
    for event in events:
        await store.append_events(event.aggregate_id, event.aggregate_type, [event], 0)
    assert await store.get_all_events() == events
    assert [stored.event async for stored in store.read_all()] == events


async def test_memory_with_a_registry_refuses_as_a_database_does() -> None:
    store = InMemoryEventStore(event_registry=default_registry)
    event = Forgotten(aggregate_id=uuid4())
    with pytest.raises(EventTypeNotFoundError):
        await store.append_events(event.aggregate_id, "Thing", [event], 0)
    assert await store.get_event_count() == 0


@in_a_database
async def test_an_event_nobody_can_read_is_named_with_the_way_out(event_store: EventStore) -> None:
    class Passing(DomainEvent):
        aggregate_type: str = "Passing thing"
        note: str

    event = register_event(Passing)(aggregate_id=uuid4(), note="x")
    await event_store.append_events(event.aggregate_id, "Passing thing", [event], 0)
    default_registry.unregister("Passing")
    reads: list[Callable[[], Any]] = [
        lambda: event_store.get_events(event.aggregate_id),
        lambda: anext(event_store.read_stream(str(event.aggregate_id))),
        lambda: event_store.get_events_by_type("Passing thing"),
    ]
    for read in reads:
        with pytest.raises(UnreadableEventError, match="@register_event") as error:
            await read()
        assert (error.value.event_id, error.value.event_type) == (event.event_id, "Passing")
        assert str(event.aggregate_id) in error.value.position


@everywhere
async def test_an_event_that_no_longer_fits_its_class_is_named(event_store: EventStore) -> None:
    def version_one() -> type[DomainEvent]:
        class Renamed(DomainEvent):
            aggregate_type: str = "Thing"
            old: int

        return Renamed

    def version_two() -> type[DomainEvent]:
        class Renamed(DomainEvent):
            aggregate_type: str = "Thing"
            new: int

        return Renamed

    event = register_event(version_one())(aggregate_id=uuid4(), old=1)
    await event_store.append_events(event.aggregate_id, "Thing", [event], 0)
    default_registry.unregister("Renamed")
    register_event(version_two())
    try:
        with pytest.raises(UnreadableEventError, match=r"new: Field required.*old: Extra") as error:
            await event_store.get_events(event.aggregate_id)
        assert error.value.event_id == event.event_id
    finally:
        default_registry.unregister("Renamed")
