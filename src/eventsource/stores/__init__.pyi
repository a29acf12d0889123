"""Its names and their homes: for type checkers, and for `__init__.py` to read."""

from eventsource.stores.in_memory import (
    InMemoryEventStore as InMemoryEventStore,
)
from eventsource.stores.interface import (
    AppendResult as AppendResult,
    EventPublisher as EventPublisher,
    EventStore as EventStore,
    EventStream as EventStream,
    ExpectedVersion as ExpectedVersion,
    ReadDirection as ReadDirection,
    ReadOptions as ReadOptions,
    StoredEvent as StoredEvent,
)
from eventsource.stores.postgresql import (
    PostgreSQLEventStore as PostgreSQLEventStore,
)
from eventsource.stores.sqlite import (
    SQLiteEventStore as SQLiteEventStore,
)
from eventsource.type_conversion import (
    DEFAULT_STRING_ID_FIELDS as DEFAULT_STRING_ID_FIELDS,
    DEFAULT_UUID_FIELDS as DEFAULT_UUID_FIELDS,
    DefaultTypeConverter as DefaultTypeConverter,
    TypeConverter as TypeConverter,
)
from eventsource.types import (
    Position as Position,
)
