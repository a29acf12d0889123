"""Dead letters: events that a projection could not process, kept until somebody decides."""

import json
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from eventsource.events.base import DomainEvent
from eventsource.events.confidential import masked
from eventsource.exceptions import SerializationError
from eventsource.repositories.sql import (
    InMemoryRepository,
    PostgreSQLRepository,
    Row,
    SQLiteRepository,
    SQLRepository,
    check_event_id,
    days_ago,
    now,
    record,
    storable,
)

FAILED, RETRYING, RESOLVED = "failed", "retrying", "resolved"
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # behind a backslash that is escaped: plain text


@dataclass(frozen=True, slots=True)
class DLQEntry:
    """One event that one projection failed on. `status` is failed, retrying or resolved."""

    id: int
    event_id: UUID
    projection_name: str
    event_type: str
    event_data: dict[str, Any]
    error_message: str
    error_stacktrace: str
    retry_count: int
    first_failed_at: datetime
    last_failed_at: datetime
    status: str = FAILED
    resolved_at: datetime | None = None
    resolved_by: str | None = None


@dataclass(frozen=True, slots=True)
class DLQStats:
    """Resolved entries do not count."""

    total_failed: int = 0
    total_retrying: int = 0
    affected_projections: int = 0
    oldest_failure: datetime | None = None


@dataclass(frozen=True, slots=True)
class ProjectionFailureCount:
    """Entries of one projection that are not resolved."""

    projection_name: str
    failure_count: int
    oldest_failure: datetime
    most_recent_failure: datetime


def _to_text(event_type: str, event_id: UUID, data: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(dict(data), allow_nan=False, ensure_ascii=False)
        text.encode()  # a lone surrogate has no UTF-8
    except (TypeError, ValueError, RecursionError) as error:
        raise SerializationError(event_type, f"event {event_id} is no JSON: {error}") from error
    if _NUL.search(text):
        raise SerializationError(
            event_type, f"event {event_id} holds the character U+0000, which PostgreSQL cannot keep"
        )
    return text


_ADD = """
INSERT INTO dead_letter_queue AS stored (
    event_id, projection_name, event_type, event_data, error_message, error_stacktrace,
    retry_count, first_failed_at, last_failed_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
ON CONFLICT (event_id, projection_name) DO UPDATE SET
    event_type = excluded.event_type,
    event_data = excluded.event_data,
    error_message = excluded.error_message,
    error_stacktrace = excluded.error_stacktrace,
    retry_count = excluded.retry_count,
    last_failed_at = excluded.last_failed_at,
    status = 'failed',
    resolved_at = NULL,
    resolved_by = NULL
"""

_ENTRIES = """
SELECT id, event_id, projection_name, event_type, CAST(event_data AS TEXT) AS event_data,
    error_message, error_stacktrace, retry_count, first_failed_at, last_failed_at, status,
    resolved_at, resolved_by
FROM dead_letter_queue
"""

_LIST = (
    _ENTRIES
    + """
WHERE projection_name = coalesce($1, projection_name) AND status = $2
ORDER BY first_failed_at DESC, id DESC
LIMIT $3
"""
)

_GET = _ENTRIES + "WHERE id = $1"

_MARK_RETRYING = "UPDATE dead_letter_queue SET status = 'retrying' WHERE id = $1"

_MARK_RESOLVED = """
UPDATE dead_letter_queue SET status = 'resolved', resolved_at = $2, resolved_by = $3 WHERE id = $1
"""

_STATS = """
SELECT count(*) FILTER (WHERE status = 'failed') AS total_failed,
    count(*) FILTER (WHERE status = 'retrying') AS total_retrying,
    count(DISTINCT projection_name) AS affected_projections,
    min(first_failed_at) AS oldest_failure
FROM dead_letter_queue
WHERE status <> 'resolved'
"""

_COUNTS = """
SELECT projection_name, count(*) AS failure_count, min(first_failed_at) AS oldest_failure,
    max(last_failed_at) AS most_recent_failure
FROM dead_letter_queue
WHERE status <> 'resolved'
GROUP BY projection_name
"""

_DELETE_RESOLVED = """
DELETE FROM dead_letter_queue WHERE status = 'resolved' AND resolved_at <= $1 RETURNING id
"""


class DLQRepository(SQLRepository):
    """One entry for each event and projection. Ids that are not there are no error."""

    schema = "dlq"

    async def add_failed_event(  # noqa: PLR0917  # as users of older versions call it
        self,
        event_id: UUID,
        projection_name: str,
        event_type: str,
        event_data: Mapping[str, Any],
        error: BaseException,
        retry_count: int = 0,
        *,
        event: DomainEvent | None = None,
        transaction: Any = None,
    ) -> None:
        """A further failure updates the entry and opens it again; `first_failed_at` stays.

        Give the `event`, and what the error says of its personal data is masked.
        SerializationError for data that is no JSON object, or that PostgreSQL could not keep.
        """
        check_event_id(event_id)
        data = _to_text(event_type, event_id, event_data)
        # Of `error` itself, wherever it is handled.
        message = storable(masked(str(error) or type(error).__name__, event))
        stacktrace = storable(masked("".join(traceback.format_exception(error)), event))
        values = event_id, projection_name, event_type, data, message, stacktrace, retry_count
        await self._fetch(_ADD, *values, now(), transaction=transaction)

    async def get_failed_events(
        self, projection_name: str | None = None, status: str = FAILED, limit: int = 100
    ) -> list[DLQEntry]:
        """Those that failed first lately come first."""
        return [_entry(row) for row in await self._fetch(_LIST, projection_name, status, limit)]

    async def get_failed_event_by_id(self, entry_id: int) -> DLQEntry | None:
        rows = await self._fetch(_GET, entry_id)
        return _entry(rows[0]) if rows else None

    async def mark_retrying(self, entry_id: int) -> None:
        await self._fetch(_MARK_RETRYING, entry_id)

    async def mark_resolved(self, entry_id: int, resolved_by: str | UUID) -> None:
        await self._fetch(_MARK_RESOLVED, entry_id, now(), str(resolved_by))

    async def get_failure_stats(self) -> DLQStats:
        (row,) = await self._fetch(_STATS)
        return record(DLQStats, row)

    async def get_projection_failure_counts(self) -> list[ProjectionFailureCount]:
        """Most failures first, then by name."""
        counts = [record(ProjectionFailureCount, row) for row in await self._fetch(_COUNTS)]
        return sorted(counts, key=lambda count: (-count.failure_count, count.projection_name))

    async def delete_resolved_events(self, older_than_days: float = 30) -> int:
        """How many were deleted: those resolved at least so many days of 24 hours ago."""
        return len(await self._fetch(_DELETE_RESOLVED, days_ago(older_than_days)))


def _entry(row: Row) -> DLQEntry:
    return record(DLQEntry, row, event_data=json.loads(row["event_data"]))


class InMemoryDLQRepository(InMemoryRepository, DLQRepository): ...


class SQLiteDLQRepository(SQLiteRepository, DLQRepository): ...


class PostgreSQLDLQRepository(PostgreSQLRepository, DLQRepository): ...
