"""Snapshots in the memory of one process."""

from eventsource.repositories.sql import InMemoryRepository
from eventsource.snapshots.sql import SQLSnapshotStore


class InMemorySnapshotStore(InMemoryRepository, SQLSnapshotStore): ...
