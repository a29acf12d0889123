"""Snapshots: the state of an aggregate at a version, so that a load replays only what follows."""

from eventsource.exceptions import SnapshotDeserializationError, SnapshotError
from eventsource.snapshots.in_memory import InMemorySnapshotStore
from eventsource.snapshots.interface import Snapshot, SnapshotStore
from eventsource.snapshots.postgresql import PostgreSQLSnapshotStore
from eventsource.snapshots.sqlite import SQLiteSnapshotStore

__all__ = [
    "InMemorySnapshotStore",
    "PostgreSQLSnapshotStore",
    "SQLiteSnapshotStore",
    "Snapshot",
    "SnapshotDeserializationError",
    "SnapshotError",
    "SnapshotStore",
]
