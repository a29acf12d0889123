"""Which class reads a stored event, and which upcasters bring it into the form of that class."""

import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, overload

from eventsource.events.base import DomainEvent
from eventsource.exceptions import (
    DuplicateEventTypeError,
    DuplicateUpcasterError,
    EventTypeNotFoundError,
)

TEvent = TypeVar("TEvent", bound=DomainEvent)

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


class EventRegistry:
    """Thread-safe. True even when empty, so `registry or default_registry` does what it says."""

    def __init__(self) -> None:
        self._classes: dict[str, type[DomainEvent]] = {}
        self._upcasters: dict[str, dict[int, Upcaster]] = {}
        self._lock = threading.Lock()

    def register(self, cls: type[TEvent], event_type: str | None = None) -> type[TEvent]:
        """File the class under `event_type`, or under its own type; again is no error.

        A module-level class defined anew (a notebook cell run twice, a reloaded module) replaces
        its older self. DuplicateEventTypeError if a different class has that name.
        """
        name = event_type or str(cls.model_fields["event_type"].default or cls.__name__)
        with self._lock:
            existing = self._classes.get(name, cls)
            if existing is not cls and not _is_redefinition(existing, cls):
                raise DuplicateEventTypeError(name, existing, cls)
            self._classes[name] = cls
        return cls

    def register_upcaster(self, event_type: str, from_version: int, upcaster: Upcaster) -> None:
        """Use `upcaster` for the step from `from_version` of the event type to the next one.

        Again is no error, nor is the same function defined anew. DuplicateUpcasterError if
        another one does this step.
        """
        if from_version < 1:
            raise ValueError(f"from_version starts at 1, not {from_version}")
        with self._lock:
            chain = self._upcasters.setdefault(event_type, {})
            existing = chain.get(from_version, upcaster)
            if existing is not upcaster and not _is_redefinition(existing, upcaster):
                raise DuplicateUpcasterError(event_type, from_version)
            chain[from_version] = upcaster

    def upcasters_of(self, event_type: str) -> dict[int, Upcaster]:
        """By the version they start from."""
        return self._upcasters.get(event_type, {})

    def get(self, event_type: str) -> type[DomainEvent]:
        """EventTypeNotFoundError if there is none."""
        try:
            return self._classes[event_type]
        except KeyError:
            raise EventTypeNotFoundError(event_type, self.list_types()) from None

    def get_or_none(self, event_type: str) -> type[DomainEvent] | None:
        return self._classes.get(event_type)

    def contains(self, event_type: str) -> bool:
        return event_type in self._classes

    def list_types(self) -> list[str]:
        """Sorted."""
        with self._lock:
            return sorted(self._classes)

    def list_classes(self) -> list[type[DomainEvent]]:
        """Sorted by event type."""
        with self._lock:
            return [cls for _, cls in sorted(self._classes.items(), key=lambda item: item[0])]

    def unregister(self, event_type: str) -> bool:
        """False if it was not there."""
        with self._lock:
            return self._classes.pop(event_type, None) is not None

    def clear(self) -> None:
        """Forget classes and upcasters."""
        with self._lock:
            self._classes.clear()
            self._upcasters.clear()

    def __contains__(self, event_type: object) -> bool:
        return event_type in self._classes

    def __iter__(self) -> Iterator[str]:
        return iter(self.list_types())

    def __len__(self) -> int:
        return len(self._classes)

    def __bool__(self) -> bool:
        return True


def _is_redefinition(old: object, new: object) -> bool:
    return _name(old) == _name(new) and "<locals>" not in _name(new)


def _name(definition: object) -> str:
    module = getattr(definition, "__module__", "")
    return f"{module}.{getattr(definition, '__qualname__', repr(definition))}"


default_registry = EventRegistry()


@overload
def register_event(cls: type[TEvent], /) -> type[TEvent]: ...
@overload
def register_event(
    *, event_type: str | None = None, registry: EventRegistry | None = None
) -> Callable[[type[TEvent]], type[TEvent]]: ...
def register_event(
    cls: type[TEvent] | None = None,
    /,
    *,
    event_type: str | None = None,
    registry: EventRegistry | None = None,
) -> type[TEvent] | Callable[[type[TEvent]], type[TEvent]]:
    """Class decorator, bare or called; returns the class unchanged.

    Stores look a stored event up by its own `event_type`, whatever name it is filed under here.
    """
    target = registry or default_registry
    if cls is not None:
        return target.register(cls, event_type)
    return lambda decorated: target.register(decorated, event_type)


def get_event_registry() -> EventRegistry:
    return default_registry


def get_event_class(event_type: str) -> type[DomainEvent]:
    """EventTypeNotFoundError if there is none."""
    return default_registry.get(event_type)


def get_event_class_or_none(event_type: str) -> type[DomainEvent] | None:
    return default_registry.get_or_none(event_type)


def is_event_registered(event_type: str) -> bool:
    return default_registry.contains(event_type)


def list_registered_events() -> list[str]:
    """Sorted."""
    return default_registry.list_types()
