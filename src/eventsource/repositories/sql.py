"""What the repositories share: one text of each statement serves all three backends."""

import json
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from functools import cache
from inspect import get_annotations
from typing import Any, ClassVar, Protocol, TypeVar, get_args
from uuid import UUID

from eventsource.asyncpg_pool import PostgreSQLSource, executor_for
from eventsource.exceptions import DatabaseError, SchemaError
from eventsource.memory_database import MemoryDatabase
from eventsource.sqlite_database import SQLiteDatabase, SQLiteTransaction

#: A row that answers to column names.
Row = Any
T = TypeVar("T")

_UNDEFINED = {"42P01", "42703"}  # table, column


class Statements(Protocol):
    """Whatever runs a statement: an engine, a session, an open transaction."""

    async def fetch(self, statement: str, *arguments: Any) -> list[Row]: ...


def sqlite_statements(source: object) -> Statements:
    if not isinstance(source, SQLiteDatabase | SQLiteTransaction):
        raise TypeError(f"SQLite needs a SQLiteDatabase or a transaction of one, not {source!r}.")
    return source


def memory_statements(source: object) -> Statements:
    if not isinstance(source, MemoryDatabase):
        raise TypeError("A repository in memory has no transactions to join.")
    return source


def block_on(source: Any) -> AbstractAsyncContextManager[Any]:
    """All statements of a block or none, on either SQLite and inside a transaction of one."""
    if isinstance(source, SQLiteTransaction):
        return source.database.transaction(source)
    block: AbstractAsyncContextManager[Any] = source.transaction()
    return block


class SQLRepository:
    """Statements on the repository's own source, or on the transaction of a caller."""

    #: The template that makes the tables.
    schema: str
    #: Whether a column is one of the values in the parameter $1, which `_list` makes.
    _is_listed: ClassVar[str] = "IN (SELECT value FROM json_each($1))"

    def __init__(self, source: Any, statements_on: Callable[[Any], Statements]) -> None:
        self._source = source
        self._statements_on = statements_on
        self._statements = statements_on(source)

    async def _fetch(self, statement: str, *arguments: Any, transaction: Any = None) -> list[Row]:
        on = self._statements if transaction is None else self._statements_on(transaction)
        try:
            return await on.fetch(statement, *arguments)
        except DatabaseError as error:
            if error.sqlstate not in _UNDEFINED:
                raise
            raise SchemaError(
                f"{error} Run the text of eventsource.migrations.get_schema({self.schema!r}), "
                "which keeps every row."
            ) from error

    def _list(self, values: Collection[str | UUID]) -> Any:
        return json.dumps([str(value) for value in values])


class PostgreSQLRepository(SQLRepository):
    """On an engine or session factory each call is a transaction of its own; on a connection or
    session it joins the caller's."""

    _is_listed = "= ANY($1)"

    def __init__(self, source: PostgreSQLSource) -> None:
        super().__init__(source, executor_for)

    def _list(self, values: Collection[str | UUID]) -> Any:
        return list(values)


class SQLiteRepository(SQLRepository):
    """On a SQLiteDatabase, which you open and close, or in a transaction of one."""

    def __init__(self, source: SQLiteDatabase | SQLiteTransaction) -> None:
        super().__init__(source, sqlite_statements)


class InMemoryRepository(SQLRepository):
    """For tests and first steps. Safe under concurrent tasks and threads."""

    def __init__(self) -> None:
        super().__init__(MemoryDatabase(self.schema), memory_statements)

    async def clear(self) -> None:
        """Forget everything."""
        SQLRepository.__init__(self, MemoryDatabase(self.schema), memory_statements)


def now() -> datetime:
    return datetime.now(UTC)


def days_ago(days: float) -> datetime:
    if days < 0:
        raise ValueError(f"days must not be negative: {days}")
    try:
        return now() - timedelta(days=days)
    except OverflowError as error:
        raise ValueError(f"days reach back to before the year 1: {days!s:.20}") from error


def seconds_long(seconds: float) -> timedelta:
    """ValueError for a time that is no number, or that ends after the year 9999."""
    try:
        span = timedelta(seconds=seconds)
        now() + span
    except (OverflowError, ValueError) as error:
        raise ValueError(f"Not a number of seconds to wait: {seconds!s:.20}") from error
    return span


def record(cls: Callable[..., T], row: Row, **known: Any) -> T:
    """The dataclass or named tuple of a row whose columns are named like its fields, apart from
    those `known`."""
    columns = _columns(cls).items()
    return cls(**known, **{name: read(row[name]) for name, read in columns if name not in known})


@cache
def _columns(cls: Callable[..., object]) -> dict[str, Callable[[Any], Any]]:
    """How each column becomes a field."""
    readers = {UUID: as_uuid, datetime: as_time}
    kinds = {name: (kind, *get_args(kind)) for name, kind in get_annotations(cls).items()}
    return {
        name: next((readers[kind] for kind in each if kind in readers), lambda value: value)
        for name, each in kinds.items()
    }


def check_event_id(event_id: object) -> None:
    """SQLite would store anything, and fail to read it ever after."""
    if not isinstance(event_id, UUID):
        raise TypeError(f"event_id is a UUID, not {event_id!r}")


def as_uuid(value: Any) -> Any:
    """The UUID in a column of any backend, or None."""
    return UUID(value) if isinstance(value, str) else value


def as_time(value: Any) -> Any:
    """The time in a column of any backend, or None."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def storable(text: str) -> str:
    """The text without what a database cannot keep: U+0000 and halves of surrogate pairs.

    TypeError if it is no text."""
    if not isinstance(text, str):
        raise TypeError(f"An error is noted as text, not as {type(text).__name__}")
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")
