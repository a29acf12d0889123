"""Events waiting to be published: the transactional outbox.

The event store adds an entry in the transaction of the event. `eventsource.outbox` publishes them.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

from eventsource.events.base import DomainEvent
from eventsource.repositories import outbox_statements as sql
from eventsource.repositories.sql import (
    InMemoryRepository,
    PostgreSQLRepository,
    Row,
    SQLiteRepository,
    SQLRepository,
    block_on,
    days_ago,
    now,
    record,
    seconds_long,
    storable,
)
from eventsource.serialization import encode

PENDING, FAILED = "pending", "failed"
_EVERYTHING = 2**62


class OutboxEntry(NamedTuple):
    """One event to publish. `event_data` is the JSON text of the whole event; `status` is pending,
    published, or failed for an entry that waits for you to decide."""

    id: UUID
    event_id: UUID
    event_type: str
    aggregate_id: UUID
    aggregate_type: str
    tenant_id: UUID | None
    event_data: str
    created_at: datetime
    status: str = PENDING
    published_at: datetime | None = None
    retry_count: int = 0
    last_error: str | None = None

    @property
    def stream(self) -> tuple[UUID, str]:
        return self.aggregate_id, self.aggregate_type


@dataclass(frozen=True, slots=True)
class OutboxStats:
    """Depth and age of the outbox. `avg_retries` is that of pending entries."""

    pending_count: int = 0
    published_count: int = 0
    failed_count: int = 0
    oldest_pending: datetime | None = None
    avg_retries: float = 0.0

    @property
    def oldest_pending_age_seconds(self) -> float:
        """0 if nothing is pending."""
        if self.oldest_pending is None:
            return 0.0
        return max(0.0, (now() - self.oldest_pending).total_seconds())


class OutboxRepository(SQLRepository):
    """Entries in the order in which each stream grew. Ids that are not there are no error."""

    schema = "outbox"
    _later: ClassVar[str]

    async def add_event(self, event: DomainEvent, *, transaction: Any = None) -> UUID:
        """The id of the new entry. Stores with `outbox_enabled` do this by themselves."""
        entry = sql.new_entry(event, encode(event), now())
        await self._fetch(sql.ADD, *entry, transaction=transaction)
        return entry[0]

    async def claim(self, limit: int, lease_seconds: float) -> list[OutboxEntry]:
        """At most `limit` entries to publish, in order, that nobody else gets meanwhile.

        Whoever claims the first unpublished entry of a stream has the stream: no two claims hold
        entries of one stream. After `lease_seconds` what is still pending can be claimed again. A
        stream whose first entry waits for a retry, or has failed, gives nothing.
        """
        # To look at a long backlog as a whole takes seconds, and is needed only if streams that
        # cannot go on now fill its beginning.
        for oldest in (10 * limit, _EVERYTHING):
            if entries := await self._claim(limit, lease_seconds, oldest):
                return entries
        return []

    async def mark_published(self, *entry_ids: UUID) -> None:
        statement = sql.MARK_PUBLISHED.replace("{is_listed}", self._is_listed)
        await self._fetch(statement, self._list(entry_ids), now())

    async def release(self, *entry_ids: UUID) -> None:
        """Give claimed entries back before their lease ends."""
        await self._fetch(
            sql.RELEASE.replace("{is_listed}", self._is_listed), self._list(entry_ids)
        )

    async def increment_retry(
        self, entry_id: UUID, error: str | None = None, *, delay_seconds: float = 0.0
    ) -> None:
        """Count an attempt that failed; the next may begin after the delay."""
        statement = sql.INCREMENT_RETRY.replace("{later}", self._later)
        text = None if error is None else storable(error)
        await self._fetch(statement, entry_id, text, self._delay(delay_seconds))

    async def mark_failed(self, entry_id: UUID, error: str) -> None:
        """Park the entry. It holds back its stream, and no other, until it is requeued or marked
        published."""
        await self._fetch(sql.MARK_FAILED, entry_id, storable(error))

    async def requeue(self, entry_id: UUID) -> None:
        """Try a parked entry again, with its attempts counted from 0."""
        await self._fetch(sql.REQUEUE, entry_id)

    async def get_pending_events(self, limit: int = 100) -> list[OutboxEntry]:
        """Oldest first, claimed or not."""
        return self._entries(await self._fetch(sql.WITH_STATUS, PENDING, limit))

    async def get_failed_events(self, limit: int = 100) -> list[OutboxEntry]:
        """Parked entries, oldest first."""
        return self._entries(await self._fetch(sql.WITH_STATUS, FAILED, limit))

    async def cleanup_published(self, days: float = 7) -> int:
        """Delete what was published at least so many days of 24 hours ago; how many."""
        return len(await self._fetch(sql.CLEANUP, days_ago(days)))

    async def get_stats(self) -> OutboxStats:
        (row,) = await self._fetch(sql.STATS)
        return record(OutboxStats, row, avg_retries=float(row["avg_retries"] or 0))

    def _entries(self, rows: list[Row]) -> list[OutboxEntry]:
        return [OutboxEntry._make(row[:-1]) for row in rows]  # the last column is the sequence

    async def _claim(self, limit: int, lease_seconds: float, oldest: int) -> list[OutboxEntry]:
        raise NotImplementedError

    def _delay(self, seconds: float) -> Any:
        raise NotImplementedError


class _SQLiteOutbox(OutboxRepository):
    """For the SQLite files and for the one in memory."""

    _later = "$3"

    async def _claim(self, limit: int, lease_seconds: float, oldest: int) -> list[OutboxEntry]:
        async with block_on(self._source) as transaction:
            fetch = self._statements_on(transaction).fetch
            heads = await fetch(sql.HEADS_SQLITE, limit, now(), oldest)
            rows = []
            for head in heads:
                stream = head["aggregate_id"], head["aggregate_type"], head["sequence"]
                rows += await fetch(sql.STREAM_SQLITE, *stream, limit // len(heads))
                await fetch(sql.LEASE_SQLITE, head["id"], self._delay(lease_seconds))
        return _up_to_parked(self._entries(sorted(rows, key=itemgetter("sequence"))))

    def _entries(self, rows: list[Row]) -> list[OutboxEntry]:
        return [record(OutboxEntry, row) for row in rows]

    def _delay(self, seconds: float) -> datetime:
        return now() + seconds_long(seconds)


class InMemoryOutboxRepository(InMemoryRepository, _SQLiteOutbox):
    """For tests and first steps. Safe under concurrent tasks and threads."""


class SQLiteOutboxRepository(SQLiteRepository, _SQLiteOutbox):
    """On a SQLiteDatabase, which you open and close, or in a transaction of one."""


class PostgreSQLOutboxRepository(PostgreSQLRepository, OutboxRepository):
    """On an engine or session factory each call is a transaction of its own; on a connection or
    session it joins the caller's. Leases and retries go by the clock of the server."""

    _later = "now() + $3::interval"

    async def _claim(self, limit: int, lease_seconds: float, oldest: int) -> list[OutboxEntry]:
        lease = self._delay(lease_seconds)
        return _up_to_parked(self._entries(await self._fetch(sql.CLAIM, limit, lease, oldest)))

    def _delay(self, seconds: float) -> timedelta:
        return seconds_long(seconds)


def _up_to_parked(found: list[OutboxEntry]) -> list[OutboxEntry]:
    """What may go out now: nothing that stands behind a parked entry of its stream."""
    held_back, entries = set(), []
    for entry in found:
        if entry.status == FAILED:
            held_back.add(entry.stream)
        elif entry.stream not in held_back:
            entries.append(entry)
    return entries
