"""Snapshots in SQLite, in the table that `SQLiteDatabase.initialize` makes."""

from eventsource.repositories.sql import SQLiteRepository
from eventsource.snapshots.sql import SQLSnapshotStore


class SQLiteSnapshotStore(SQLiteRepository, SQLSnapshotStore):
    """On a SQLiteDatabase, which you open and close."""
