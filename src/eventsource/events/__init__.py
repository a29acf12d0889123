"""Events and the registry of their classes."""

from eventsource.events.base import DomainEvent
from eventsource.events.ids import uuid7
from eventsource.events.registry import (
    EventRegistry,
    default_registry,
    get_event_class,
    get_event_class_or_none,
    get_event_registry,
    is_event_registered,
    list_registered_events,
    register_event,
)
from eventsource.events.timeouts import ProcessTimedOut
from eventsource.events.upcasting import register_upcaster

__all__ = [
    "DomainEvent",
    "EventRegistry",
    "ProcessTimedOut",
    "default_registry",
    "get_event_class",
    "get_event_class_or_none",
    "get_event_registry",
    "is_event_registered",
    "list_registered_events",
    "register_event",
    "register_upcaster",
    "uuid7",
]
