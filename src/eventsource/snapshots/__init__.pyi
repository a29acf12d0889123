"""Its names and their homes: for type checkers, and for `__init__.py` to read."""

from eventsource.exceptions import (
    SnapshotDeserializationError as SnapshotDeserializationError,
    SnapshotError as SnapshotError,
)
from eventsource.snapshots.in_memory import (
    InMemorySnapshotStore as InMemorySnapshotStore,
)
from eventsource.snapshots.interface import (
    Snapshot as Snapshot,
    SnapshotStore as SnapshotStore,
)
from eventsource.snapshots.postgresql import (
    PostgreSQLSnapshotStore as PostgreSQLSnapshotStore,
)
from eventsource.snapshots.sqlite import (
    SQLiteSnapshotStore as SQLiteSnapshotStore,
)
