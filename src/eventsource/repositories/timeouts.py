"""When to wake a process: the alarm clock of `eventsource.process`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from eventsource.repositories.sql import (
    InMemoryRepository,
    PostgreSQLRepository,
    SQLiteRepository,
    SQLRepository,
    as_time,
    as_uuid,
)


@dataclass(frozen=True, slots=True)
class Timeout:
    """That the process wants to hear at `due_at`; `event_id` is the event that asked for it."""

    event_id: UUID
    process_type: str
    process_id: UUID
    name: str
    due_at: datetime


class TimeoutRepository(Protocol):
    """The time-outs that have not been delivered, one for each event that set one."""

    async def add(self, pending: Timeout, *, transaction: Any = None) -> None:
        """Again is no error."""
        ...

    async def get_due(
        self, process_type: str, until: datetime, *, limit: int = 100
    ) -> list[Timeout]:
        """Those of one type of process that are due by then, the earliest first."""
        ...

    async def remove(self, event_id: UUID, *, transaction: Any = None) -> None:
        """No error if there is none."""
        ...


_ADD = """
INSERT INTO process_timeouts (event_id, process_type, process_id, name, due_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (event_id) DO NOTHING
"""

_DUE = """
SELECT * FROM process_timeouts WHERE process_type = $1 AND due_at <= $2
ORDER BY due_at, event_id LIMIT $3
"""

_REMOVE = "DELETE FROM process_timeouts WHERE event_id = $1"


class _SQLTimeoutRepository(SQLRepository):
    schema = "timeouts"

    async def add(self, pending: Timeout, *, transaction: Any = None) -> None:
        await self._fetch(
            _ADD,
            pending.event_id,
            pending.process_type,
            pending.process_id,
            pending.name,
            pending.due_at,
            transaction=transaction,
        )

    async def get_due(
        self, process_type: str, until: datetime, *, limit: int = 100
    ) -> list[Timeout]:
        rows = await self._fetch(_DUE, process_type, until, limit)
        return [
            Timeout(
                as_uuid(row["event_id"]),
                row["process_type"],
                as_uuid(row["process_id"]),
                row["name"],
                as_time(row["due_at"]),
            )
            for row in rows
        ]

    async def remove(self, event_id: UUID, *, transaction: Any = None) -> None:
        await self._fetch(_REMOVE, event_id, transaction=transaction)


class InMemoryTimeoutRepository(InMemoryRepository, _SQLTimeoutRepository):
    """For tests and first steps: its time-outs do not survive the process that set them."""


class SQLiteTimeoutRepository(SQLiteRepository, _SQLTimeoutRepository):
    """On a SQLiteDatabase, which you open and close, or in a transaction of one."""


class PostgreSQLTimeoutRepository(PostgreSQLRepository, _SQLTimeoutRepository):
    """On an engine or session factory each call is a transaction of its own; on a connection or
    session it joins the caller's."""
