"""Event sourcing on asyncio: events, aggregates and event stores."""

from importlib.metadata import PackageNotFoundError, version

from eventsource.aggregates import AggregateRepository, AggregateRoot
from eventsource.events import (
    DomainEvent,
    EventRegistry,
    default_registry,
    get_event_class,
    get_event_class_or_none,
    is_event_registered,
    list_registered_events,
    register_event,
)
from eventsource.exceptions import (
    AggregateMismatchError,
    AggregateNotFoundError,
    DatabaseError,
    DuplicateEventError,
    DuplicateEventTypeError,
    EventPublishError,
    EventSourceError,
    EventStoreConnectionError,
    EventStoreError,
    EventTypeNotFoundError,
    EventVersionError,
    OptimisticLockError,
    PositionNotFoundError,
    SchemaError,
    SerializationError,
    UnreadableEventError,
)
from eventsource.stores import (
    AppendResult,
    DefaultTypeConverter,
    EventPublisher,
    EventStore,
    EventStream,
    ExpectedVersion,
    InMemoryEventStore,
    Position,
    PostgreSQLEventStore,
    ReadDirection,
    ReadOptions,
    StoredEvent,
    TypeConverter,
)

try:
    __version__ = version("eventsource-tutorial")
except PackageNotFoundError:  # a source tree that nobody installed
    __version__ = "0"

__all__ = [
    "AggregateMismatchError",
    "AggregateNotFoundError",
    "AggregateRepository",
    "AggregateRoot",
    "AppendResult",
    "DatabaseError",
    "DefaultTypeConverter",
    "DomainEvent",
    "DuplicateEventError",
    "DuplicateEventTypeError",
    "EventPublishError",
    "EventPublisher",
    "EventRegistry",
    "EventSourceError",
    "EventStore",
    "EventStoreConnectionError",
    "EventStoreError",
    "EventStream",
    "EventTypeNotFoundError",
    "EventVersionError",
    "ExpectedVersion",
    "InMemoryEventStore",
    "OptimisticLockError",
    "Position",
    "PositionNotFoundError",
    "PostgreSQLEventStore",
    "ReadDirection",
    "ReadOptions",
    "SchemaError",
    "SerializationError",
    "StoredEvent",
    "TypeConverter",
    "UnreadableEventError",
    "__version__",
    "default_registry",
    "get_event_class",
    "get_event_class_or_none",
    "is_event_registered",
    "list_registered_events",
    "register_event",
]
