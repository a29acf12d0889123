"""When to wake a process: the alarm clock of `eventsource.process`."""

from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from eventsource.repositories.sql import (
    InMemoryRepository,
    PostgreSQLRepository,
    SQLiteRepository,
    SQLRepository,
    record,
)


@dataclass(frozen=True, slots=True)
class Timeout:
    """That the process wants to hear at `due_at`; `event_id` is the event that asked for it."""

    event_id: UUID
    process_type: str
    process_id: UUID
    name: str
    due_at: datetime


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


class TimeoutRepository(SQLRepository):
    """The time-outs that have not been delivered, one for each event that set one."""

    schema = "timeouts"

    async def add(self, pending: Timeout, *, transaction: Any = None) -> None:
        """Again is no error."""
        await self._fetch(_ADD, *astuple(pending), transaction=transaction)

    async def get_due(
        self, process_type: str, until: datetime, *, limit: int = 100
    ) -> list[Timeout]:
        """Those of one type of process that are due by then, the earliest first."""
        rows = await self._fetch(_DUE, process_type, until, limit)
        return [record(Timeout, row) for row in rows]

    async def remove(self, event_id: UUID, *, transaction: Any = None) -> None:
        """No error if there is none."""
        await self._fetch(_REMOVE, event_id, transaction=transaction)


class InMemoryTimeoutRepository(InMemoryRepository, TimeoutRepository):
    """For tests and first steps: its time-outs do not survive the process that set them."""


class SQLiteTimeoutRepository(SQLiteRepository, TimeoutRepository): ...


class PostgreSQLTimeoutRepository(PostgreSQLRepository, TimeoutRepository): ...
