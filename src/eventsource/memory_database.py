"""SQLite in the memory of one process, without a driver: what is in memory runs the same SQL."""

import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

from eventsource.exceptions import DatabaseError
from eventsource.migrations import get_schema
from eventsource.sqlite_database import Row, parameters

T = TypeVar("T")


class MemoryDatabase:
    """The tables of one schema in the memory of this process, by the sqlite3 of Python itself.

    So backends cannot drift apart. Nothing in here waits, so the lock is never held while another
    task runs, and serves any number of threads and event loops.
    """

    def __init__(self, schema: str) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False
        )
        self._connection.row_factory = sqlite3.Row
        self._connection.executescript(get_schema(schema, "sqlite"))

    async def fetch(self, statement: str, *arguments: Any) -> list[Row]:
        return self._run(
            lambda: self._connection.execute(statement, parameters(statement, arguments)).fetchall()
        )

    async def execute_many(self, statement: str, rows: Iterable[Iterable[Any]]) -> None:
        """The statement once for each row of arguments."""
        values = (parameters(statement, row) for row in rows)
        self._run(lambda: self._connection.executemany(statement, values))

    def _run(self, work: Callable[[], T]) -> T:
        try:
            with self._lock:
                return work()
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            raise DatabaseError(f"SQLite in memory refused a statement: {error}") from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Self]:
        """For blocks that wait for nothing else."""
        with self._lock, self._connection:
            self._connection.execute("BEGIN")
            yield self

    def __del__(self) -> None:
        self._connection.close()
