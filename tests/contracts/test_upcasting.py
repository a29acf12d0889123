"""Events of an older form come back in today's form, whichever way they are read."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from eventsource import (
    DomainEvent,
    DuplicateUpcasterError,
    EventRegistry,
    EventStore,
    UnreadableEventError,
    default_registry,
    register_upcaster,
)
from tutorial_support.lab import eventually

everywhere = pytest.mark.parametrize("backend", ["in-memory", "sqlite", "postgresql"])


def moved(**fields: object) -> type[DomainEvent]:
    """A class `Moved` as it was, or is, at some time."""
    annotations = {"aggregate_type": str} | {name: type(value) for name, value in fields.items()}
    body = {"__annotations__": annotations, "aggregate_type": "Customer", **fields}
    return type("Moved", (DomainEvent,), body)


MovedOnce = moved(address="")
MovedNow = moved(event_version=3, street="", town="", country="")


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    default_registry.unregister("Moved")
    default_registry._upcasters.pop("Moved", None)


def split_address(data: dict[str, Any]) -> dict[str, Any]:
    street, town = data.pop("address").split(", ")
    return {**data, "street": street, "town": town}


def add_country(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "country": "Norway"}


@pytest.fixture
async def customer(event_store: EventStore) -> UUID:
    """A customer with one event of the first form."""
    default_registry.register(MovedOnce)
    customer = uuid4()
    event = MovedOnce(aggregate_id=customer, address="Storgata 1, Oslo", metadata={"n": 1.5})
    await event_store.append_events(customer, "Customer", [event], 0)
    default_registry.unregister("Moved")
    default_registry.register(MovedNow)
    return customer


async def read_everyhow(store: EventStore, customer: UUID) -> list[DomainEvent]:
    feed = await eventually(lambda: feed_of(store))
    return [
        (await store.get_events(customer, "Customer")).events[0],
        (await store.get_events(customer)).events[0],
        (await store.get_events_by_type("Customer"))[0],
        (await anext(store.read_stream(f"{customer}:Customer"))).event,
        feed[0],
    ]


async def feed_of(store: EventStore) -> list[DomainEvent]:
    return [stored.event async for stored in store.read_all()]


@everywhere
async def test_a_chain_brings_an_old_event_up_to_date_on_every_read(
    event_store: EventStore, customer: UUID
) -> None:
    register_upcaster("Moved", from_version=2)(add_country)
    register_upcaster("Moved", from_version=1)(split_address)
    for event in await read_everyhow(event_store, customer):
        assert type(event) is MovedNow
        assert (event.street, event.town, event.country) == ("Storgata 1", "Oslo", "Norway")
        assert (event.event_version, event.aggregate_version) == (3, 1)
        assert event.metadata == {"n": 1.5}


@everywhere
async def test_an_event_of_todays_form_is_left_alone(
    event_store: EventStore, customer: UUID
) -> None:
    register_upcaster("Moved", from_version=1)(split_address)
    register_upcaster("Moved", from_version=2)(add_country)
    new = MovedNow(aggregate_id=customer, aggregate_version=2, country="Sweden")
    await event_store.append_events(customer, "Customer", [new], 1)
    assert (await event_store.get_events(customer, from_version=1)).events == [new]


@everywhere
async def test_without_upcasters_the_old_event_is_named(
    event_store: EventStore, customer: UUID
) -> None:
    with pytest.raises(UnreadableEventError, match=r"address: Extra.*@register_upcaster"):
        await event_store.get_events(customer)


@everywhere
async def test_a_missing_step_is_an_error(event_store: EventStore, customer: UUID) -> None:
    register_upcaster("Moved", from_version=2)(add_country)
    with pytest.raises(UnreadableEventError, match="from version 1 to 2"):
        await event_store.get_events(customer)


def forgets_to_return(data: dict[str, Any]) -> None:
    data["street"] = "x"


def gives_a_new_id(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "event_id": str(uuid4())}


def fails(data: dict[str, Any]) -> dict[str, Any]:
    return {"street": data["no such field"]}


@everywhere
@pytest.mark.parametrize(
    ("upcaster", "message"),
    [
        (forgets_to_return, "forgets_to_return returned NoneType"),
        (gives_a_new_id, "change event_id"),
        (fails, "fails from version 1 raised KeyError: 'no such field'"),
    ],
)
async def test_a_faulty_upcaster_is_named_and_the_row_stays(
    event_store: EventStore, customer: UUID, upcaster: Any, message: str
) -> None:
    register_upcaster("Moved", from_version=1)(upcaster)
    with pytest.raises(UnreadableEventError, match=message) as error:
        await event_store.get_events(customer)
    assert str(customer) in error.value.position
    default_registry._upcasters.pop("Moved")
    register_upcaster("Moved", from_version=1)(split_address)
    register_upcaster("Moved", from_version=2)(add_country)
    assert (await event_store.get_events(customer)).events[0].town == "Oslo"


def test_one_function_does_a_step() -> None:
    registry = EventRegistry()
    register_upcaster("Moved", from_version=1, registry=registry)(add_country)
    register_upcaster("Moved", from_version=1, registry=registry)(add_country)
    with pytest.raises(DuplicateUpcasterError, match="version 1"):
        register_upcaster("Moved", from_version=1, registry=registry)(split_address)
    with pytest.raises(ValueError, match="starts at 1"):
        register_upcaster("Moved", from_version=0, registry=registry)(add_country)
    assert registry.upcasters_of("Moved") == {1: add_country}
    registry.clear()
    assert registry.upcasters_of("Moved") == {}
