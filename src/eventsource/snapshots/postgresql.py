"""Snapshots in PostgreSQL, in the table of the `snapshots` schema."""

from eventsource.repositories.sql import PostgreSQLRepository
from eventsource.snapshots.sql import SQLSnapshotStore


class PostgreSQLSnapshotStore(PostgreSQLRepository, SQLSnapshotStore):
    """On an engine or session factory each call is a transaction of its own."""
