"""The map from event types to classes."""

import threading

import pytest

import eventsource.events
from eventsource import (
    DomainEvent,
    DuplicateEventTypeError,
    EventRegistry,
    EventSourceError,
    EventTypeNotFoundError,
    default_registry,
    get_event_class,
    get_event_class_or_none,
    is_event_registered,
    list_registered_events,
    register_event,
)


class Opened(DomainEvent):
    aggregate_type: str = "Door"


class Closed(DomainEvent):
    aggregate_type: str = "Door"


@pytest.fixture
def registry() -> EventRegistry:
    return EventRegistry()


def test_a_class_is_found_by_its_type(registry: EventRegistry) -> None:
    assert registry.register(Opened) is Opened
    assert registry.register(Opened) is Opened
    registry.register(Closed, "door.closed")
    assert registry.get("Opened") is Opened
    assert registry.get_or_none("door.closed") is Closed
    assert registry.get_or_none("Closed") is None
    assert registry.list_types() == ["Opened", "door.closed"] == list(registry)
    assert registry.list_classes() == [Opened, Closed]
    assert ("Opened" in registry, registry.contains("Closed"), len(registry)) == (True, False, 2)


def test_an_empty_registry_is_true(registry: EventRegistry) -> None:
    assert registry
    assert len(registry) == 0


def test_an_unknown_type_says_what_is_known(registry: EventRegistry) -> None:
    registry.register(Opened)
    with pytest.raises(EventTypeNotFoundError, match=r"@register_event.*Opened") as error:
        registry.get("Slammed")
    assert isinstance(error.value, KeyError)
    assert isinstance(error.value, EventSourceError)
    assert (error.value.event_type, error.value.available_types) == ("Slammed", ["Opened"])
    assert not str(error.value).startswith(("'", '"'))


def test_two_classes_cannot_share_a_type(registry: EventRegistry) -> None:
    registry.register(Opened)
    with pytest.raises(DuplicateEventTypeError, match=r"Opened.*Closed") as error:
        registry.register(Closed, "Opened")
    assert isinstance(error.value, ValueError)
    assert error.value.existing_class is Opened
    assert error.value.new_class is Closed
    assert registry.get("Opened") is Opened


def test_a_class_defined_again_replaces_itself(registry: EventRegistry) -> None:
    cell = "class Knocked(DomainEvent):\n    aggregate_type: str = 'Door'\n"
    first: dict[str, type] = {"DomainEvent": DomainEvent, "__name__": "__main__"}  # type: ignore[dict-item]
    second = dict(first)
    exec(cell, first)
    exec(cell, second)
    registry.register(first["Knocked"])
    registry.register(second["Knocked"])
    assert registry.get("Knocked") is second["Knocked"]


def test_types_can_be_forgotten(registry: EventRegistry) -> None:
    registry.register(Opened)
    assert registry.unregister("Opened") is True
    assert registry.unregister("Opened") is False
    registry.register(Closed)
    registry.clear()
    assert registry.list_types() == []


def test_many_threads_may_register(registry: EventRegistry) -> None:
    def register() -> None:
        for n in range(200):
            registry.register(Opened, f"type {n}")
            registry.list_types()

    threads = [threading.Thread(target=register) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(registry) == 200


def test_the_decorator_in_all_its_forms(registry: EventRegistry) -> None:
    @register_event
    class Bare(DomainEvent):
        aggregate_type: str = "Door"

    @register_event()
    class Called(DomainEvent):
        aggregate_type: str = "Door"

    @register_event(event_type="door.named", registry=registry)
    class Named(DomainEvent):
        aggregate_type: str = "Door"

    try:
        assert get_event_class("Bare") is Bare
        assert get_event_class_or_none("Called") is Called
        assert is_event_registered("Bare")
        assert not is_event_registered("door.named")
        assert {"Bare", "Called"} <= set(list_registered_events())
        assert registry.get("door.named") is Named
        assert eventsource.events.get_event_registry() is default_registry
    finally:
        default_registry.unregister("Bare")
        default_registry.unregister("Called")
