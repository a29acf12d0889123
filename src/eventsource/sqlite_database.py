"""One SQLite connection that many tasks share safely.

SQLite has one transaction per connection, whoever began it. So whole transactions, and reads, take
turns here: nobody reads what may be rolled back, or rolls back what another has written.
"""

import asyncio
import sqlite3
import warnings
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from uuid import UUID

from eventsource.exceptions import (
    DatabaseError,
    EventStoreConnectionError,
    EventStoreError,
    SchemaError,
    SQLiteNotAvailableError,
)
from eventsource.migrations import get_statements, schema_version_problem

SQLITE_AVAILABLE: Final = find_spec("aiosqlite") is not None

_UPGRADE = "Read its events with the eventsource that made it, and append them to a new file."

#: sqlite3.Row: a row that answers to column names.
Row = Any
T = TypeVar("T")


class SQLiteTransaction:
    """Runs statements inside one open transaction, until its `async with` block ends."""

    def __init__(self, database: "SQLiteDatabase") -> None:
        self.database = database
        self._is_open = True
        self._task_in_part: asyncio.Task[Any] | None = None

    async def fetch(self, statement: str, *arguments: Any) -> list[Row]:
        """All rows. Parameters are `$1`, `$2`, as in PostgreSQL, or `?`. A UUID is bound as text,
        an aware time as text in UTC that sorts by time."""
        return await self._connection().fetch(statement, *arguments)

    async def fetchrow(self, statement: str, *arguments: Any) -> Row | None:
        """The first row, or None."""
        rows = await self.fetch(statement, *arguments)
        return rows[0] if rows else None

    async def execute_many(self, statement: str, rows: Iterable[Iterable[Any]]) -> None:
        """The statement once for each row of arguments."""
        await self._connection().execute_many(statement, rows)

    def _connection(self) -> "_Connection":
        if not self._is_open:
            raise RuntimeError("This SQLite transaction has ended. Begin another one.")
        return self.database.connection

    @contextmanager
    def _part(self) -> Iterator[None]:
        """Savepoints are undone from the last one back: a task would undo what another has done."""
        task, before = asyncio.current_task(), self._task_in_part
        if before not in (None, task):
            raise EventStoreError(
                "Another task is in the middle of something in this SQLite transaction. Await each "
                "before the next, or give every task its own."
            )
        self._task_in_part = task
        try:
            yield
        finally:
            self._task_in_part = before

    def _end(self) -> None:
        self._is_open = False


class SQLiteDatabase:
    """A SQLite file, or ":memory:", for stores and repositories that share transactions.

    Open it with `async with`, or with `open()` and `close()`, in one event loop; it can be opened
    again, also in another one. `busy_timeout` is how many milliseconds to wait for another
    process's write.
    """

    def __init__(
        self, path: str | Path, *, wal_mode: bool = True, busy_timeout: int = 5000
    ) -> None:
        self.path = str(path)
        self.wal_mode = wal_mode
        self.busy_timeout = busy_timeout
        self._open_connection: _Connection | None = None
        self._lock = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None  #: of the lock
        self._holder: asyncio.Task[Any] | None = None

    @classmethod
    def of(cls, database: "SQLiteDatabase | str | Path") -> "SQLiteDatabase":
        """The database itself, or a new one for a path."""
        return database if isinstance(database, SQLiteDatabase) else cls(database)

    @property
    def is_open(self) -> bool:
        return self._open_connection is not None

    @property
    def connection(self) -> "_Connection":
        """RuntimeError if the database is not open."""
        if self._open_connection is None:
            raise RuntimeError(
                f"The SQLite database {self.path} is not open. Use `async with`, or await open()."
            )
        return self._open_connection

    async def open(self) -> None:
        """Again is no error. EventStoreConnectionError if there is no such file to open or make,
        SchemaError if its tables are of another version than this library's."""
        loop = asyncio.get_running_loop()
        if self._open_connection is None and self._loop is not loop:
            self._loop, self._lock = loop, asyncio.Lock()
        async with self._turn():
            if self._open_connection is None:
                connection = _Connection(self.path)
                try:
                    await _to_its_end(connection.open(self.wal_mode, self.busy_timeout))
                except asyncio.CancelledError:  # after it was opened, for nobody
                    await _to_its_end(connection.close())
                    raise
                self._open_connection = connection

    async def initialize(self) -> None:
        """Open the database and create the tables it lacks."""
        await self.open()
        async with self.transaction() as transaction:
            for statement in get_statements("all", "sqlite"):
                await transaction.fetch(statement)

    async def close(self) -> None:
        """Wait for the transaction under way, then close. Again is no error."""
        async with self._turn():
            connection, self._open_connection = self._open_connection, None
            if connection is not None:
                await _to_its_end(connection.close())

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def fetch(self, statement: str, *arguments: Any) -> list[Row]:
        """All rows of one statement, which commits by itself."""
        async with self._turn():
            return await self.connection.fetch(statement, *arguments)

    async def fetchrow(self, statement: str, *arguments: Any) -> Row | None:
        """The first row, or None."""
        rows = await self.fetch(statement, *arguments)
        return rows[0] if rows else None

    @asynccontextmanager
    async def transaction(
        self, joined: SQLiteTransaction | None = None
    ) -> AsyncIterator[SQLiteTransaction]:
        """All statements of the block or none: any exception, or cancellation, undoes them.

        With `joined`, the block is a part of that transaction: an exception undoes the part, and
        the rest still decides when to commit. Do not wait for another task inside the block that
        uses the same database: it waits for you.
        """
        if joined is not None:
            if not isinstance(joined, SQLiteTransaction):
                raise TypeError(f"Only a SQLiteTransaction can be joined, not {joined!r}")
            if joined.database is not self:
                raise ValueError("The transaction to join belongs to another SQLiteDatabase.")
            undo = "ROLLBACK TO part; RELEASE part"
            with joined._part():
                async with _block(joined, "SAVEPOINT part", "RELEASE part", undo):
                    yield joined
            return
        async with self._turn():
            transaction = SQLiteTransaction(self)
            try:
                # IMMEDIATE: who reads first and writes later could not wait for another writer.
                async with _block(transaction, "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"):
                    yield transaction
            finally:
                transaction._end()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        task = asyncio.current_task()
        if self._lock.locked() and self._holder is task:
            raise RuntimeError(
                f"This task has a transaction open on {self.path} and would wait for itself. Use "
                "that transaction, or do this after it."
            )
        async with self._lock:
            self._holder = task
            try:
                yield
            finally:
                self._holder = None

    def __repr__(self) -> str:
        return f"SQLiteDatabase({self.path!r})"

    def __del__(self) -> None:
        connection: _Connection | None = getattr(self, "_open_connection", None)
        if connection is not None:
            warnings.warn(f"{self!r} was never closed", ResourceWarning, stacklevel=1, source=self)
            connection.abandon()


@asynccontextmanager
async def _block(
    transaction: SQLiteTransaction, begin: str, commit: str, undo: str
) -> AsyncIterator[None]:
    connection = transaction._connection()
    is_committed = False

    async def finish() -> None:
        nonlocal is_committed
        await connection.fetch(commit)
        is_committed = True

    try:
        await _to_its_end(connection.fetch(begin))
        yield
        await _to_its_end(finish())
    except BaseException:
        if not is_committed:  # a cancellation may come when there is nothing left to undo
            await _to_its_end(connection.undo(undo))
        raise


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which a cancellation of the caller does not interrupt."""
    task = asyncio.ensure_future(work)
    cancellation = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancellation = error
    result = task.result()
    if cancellation is not None:
        raise cancellation
    return result


class _Connection:
    """aiosqlite's connection, with the library's errors and values."""

    def __init__(self, path: str) -> None:
        if not SQLITE_AVAILABLE:
            raise SQLiteNotAvailableError()
        self._path = path
        # No implicit BEGIN: statements commit by themselves unless a transaction is open.
        self._sqlite: Any = import_module("aiosqlite").connect(path, isolation_level=None)

    async def open(self, wal_mode: bool, busy_timeout: int) -> None:
        try:
            await self._sqlite
        except sqlite3.Error as error:
            raise EventStoreConnectionError(
                f"Cannot open the SQLite file {self._path}: {error}. Does its folder exist, and "
                "may you write there?"
            ) from error
        self._sqlite.row_factory = sqlite3.Row
        try:
            await self.fetch(f"PRAGMA busy_timeout = {int(busy_timeout)}")
            if wal_mode:
                await self.fetch("PRAGMA journal_mode = WAL")
            if problem := schema_version_problem(await self._schema_version(), _UPGRADE):
                raise SchemaError(f"{self._path}: {problem}")
        except BaseException:
            await self.close()
            raise

    async def _schema_version(self) -> int | None:
        known = "SELECT 1 FROM sqlite_master WHERE name = 'eventsource_schema'"
        if not await self.fetch(known):
            return None
        rows = await self.fetch("SELECT max(version) AS version FROM eventsource_schema")
        version: int | None = rows[0]["version"]
        return version

    async def close(self) -> None:
        await self._sqlite.close()

    def abandon(self) -> None:
        self._sqlite.stop()

    async def fetch(self, statement: str, *arguments: Any) -> list[Row]:
        try:
            rows = await self._sqlite.execute_fetchall(statement, parameters(statement, arguments))
            return list(rows)
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            raise self._translated(error) from error

    async def execute_many(self, statement: str, rows: Iterable[Iterable[Any]]) -> None:
        with_values = [parameters(statement, row) for row in rows]
        try:
            cursor = await self._sqlite.executemany(statement, with_values)
            await cursor.close()
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            raise self._translated(error) from error

    async def undo(self, statements: str) -> None:
        if not self._sqlite.in_transaction:
            return  # SQLite rolls back by itself where it must, when the disk is full for example
        for statement in statements.split("; "):
            await self.fetch(statement)

    def _translated(self, error: Exception) -> EventStoreError:
        text = str(error)
        if "database is locked" in text:
            return DatabaseError(
                f"Another connection has held {self._path} locked for longer than busy_timeout. "
                "Nothing was stored. Try again, or raise busy_timeout."
            )
        if text.startswith(("no such table", "no such column")):
            return SchemaError(f"{self._path}: {text}. Await initialize(), which creates tables.")
        return DatabaseError(f"SQLite refused a statement on {self._path}: {text}")


def parameters(statement: str, arguments: Iterable[Any]) -> dict[str, Any] | list[Any]:
    """The arguments as sqlite3 takes them: by number where the statement numbers them."""
    values = [_bindable(argument) for argument in arguments]
    if "$1" in statement or "?1" in statement:
        return {str(n): value for n, value in enumerate(values, start=1)}
    return values


def _bindable(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    return utc_text(value) if isinstance(value, datetime) else value


def utc_text(moment: datetime) -> str:
    """ISO text in UTC, of one width: it sorts as the times do. ValueError without a time zone."""
    if moment.tzinfo is None:
        raise ValueError("A time in SQLite needs a time zone, for example datetime.now(UTC)")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
