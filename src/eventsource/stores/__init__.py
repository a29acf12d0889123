"""Event stores: one port, one file per backend."""

from eventsource.stores.in_memory import InMemoryEventStore
from eventsource.stores.interface import (
    AppendResult,
    EventPublisher,
    EventStore,
    EventStream,
    ExpectedVersion,
    ReadDirection,
    ReadOptions,
    StoredEvent,
)
from eventsource.stores.postgresql import PostgreSQLEventStore
from eventsource.stores.sqlite import SQLiteEventStore
from eventsource.type_conversion import (
    DEFAULT_STRING_ID_FIELDS,
    DEFAULT_UUID_FIELDS,
    DefaultTypeConverter,
    TypeConverter,
)
from eventsource.types import Position

__all__ = [
    "DEFAULT_STRING_ID_FIELDS",
    "DEFAULT_UUID_FIELDS",
    "AppendResult",
    "DefaultTypeConverter",
    "EventPublisher",
    "EventStore",
    "EventStream",
    "ExpectedVersion",
    "InMemoryEventStore",
    "Position",
    "PostgreSQLEventStore",
    "ReadDirection",
    "ReadOptions",
    "SQLiteEventStore",
    "StoredEvent",
    "TypeConverter",
]
