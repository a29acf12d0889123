"""Appending to PostgreSQL: one statement, and finding out what happened when it stored nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from eventsource.asyncpg_pool import AsyncpgTransaction, Executor, Row
from eventsource.backoff import back_off
from eventsource.events.base import DomainEvent
from eventsource.exceptions import DatabaseError, DuplicateEventError, OptimisticLockError
from eventsource.serialization import encode
from eventsource.stores.append_rule import is_expected, with_versions
from eventsource.stores.interface import AppendResult, stream_id_of
from eventsource.stores.postgresql_statements import APPEND, APPEND_WITH_OUTBOX, DIAGNOSE, HEAD
from eventsource.stores.postgresql_table import EventsTable

_UNIQUE_VIOLATION = "23505"
_ISOLATION = "SELECT current_setting('transaction_isolation') AS isolation"
_MOST_ATTEMPTS = 50
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.001, 0.05


@dataclass(frozen=True, slots=True)
class Append:
    """One append, from its first statement to its answer."""

    executor: Executor
    table: EventsTable
    outbox: bool
    aggregate_id: UUID
    aggregate_type: str
    expected_version: int

    async def run(self, batch: list[DomainEvent]) -> AppendResult:
        """Which constraint refused a row is not asked: tables made by hand name them otherwise.
        What is stored tells a lost race from a repeated append."""
        if not batch:
            return await self._head()
        pending, seen_version = batch, -1
        refusal: DatabaseError | None = None
        for attempt in range(_MOST_ATTEMPTS):
            refusal = None
            try:
                if row := await self._insert(pending):
                    return _result(row)
            except DatabaseError as error:
                if not self._may_try_again(error):
                    raise
                refusal = error
            found = await self._diagnose(batch)
            if found.last is not None and len(found.own_ids) == len(batch):
                return _result(found.last)
            if not is_expected(self.expected_version, found.version):
                raise self._conflict(found.version) from refusal
            if refusal and refusal.sqlstate == _UNIQUE_VIOLATION and found.version == seen_version:
                raise await self._unexplained(refusal)
            pending = [event for event in batch if event.event_id not in found.own_ids]
            seen_version = found.version
            await back_off(attempt, _FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS)
        raise self._conflict(seen_version) from refusal

    def _may_try_again(self, error: DatabaseError) -> bool:
        # A caller's transaction that lost a race of transactions can only be repeated as a whole.
        joined = isinstance(self.executor, AsyncpgTransaction)
        return error.sqlstate == _UNIQUE_VIOLATION or (error.is_lost_race and not joined)

    async def _unexplained(self, refusal: DatabaseError) -> DatabaseError:
        """A row was refused, yet nobody seems to have appended."""
        if isinstance(self.executor, AsyncpgTransaction):
            level = await self.executor.fetchrow(_ISOLATION)
            if level is not None and level["isolation"] != "read committed":
                return DatabaseError(
                    f"Stream {stream_id_of(self.aggregate_id, self.aggregate_type)} has grown "
                    f"since this {level['isolation']} transaction began. Repeat the transaction.",
                    "40001",
                )
        return refusal  # another constraint's doing

    async def _head(self) -> AppendResult:
        """The answer to an append of nothing."""
        rows = await self.executor.fetch_or_undo(
            self.table.fill(HEAD), self.aggregate_id, self.aggregate_type
        )
        return _result(rows[0]) if rows else AppendResult.successful(0)

    async def _insert(self, events: Sequence[DomainEvent]) -> Row | None:
        statement = APPEND_WITH_OUTBOX if self.outbox else APPEND
        rows = await self.executor.fetch_or_undo(
            self.table.fill(statement),
            self.aggregate_id,
            self.aggregate_type,
            self.expected_version,
            *self._columns(events),
        )
        return rows[0] if rows else None

    def _columns(self, events: Sequence[DomainEvent]) -> tuple[list[Any], ...]:
        if self.expected_version >= 0:
            events = with_versions(events, self.expected_version)
        return (
            [event.event_id for event in events],
            [event.event_type for event in events],
            [event.tenant_id for event in events],
            [event.actor_id for event in events],
            [event.occurred_at for event in events],
            [encode(event) for event in events],
        )

    async def _diagnose(self, batch: Sequence[DomainEvent]) -> "_Found":
        rows = await self.executor.fetch(
            self.table.fill(DIAGNOSE),
            self.aggregate_id,
            self.aggregate_type,
            [event.event_id for event in batch],
        )
        taken = [row for row in rows if row["event_id"] is not None]
        for row in taken:
            if (row["aggregate_id"], row["aggregate_type"]) != (
                self.aggregate_id,
                self.aggregate_type,
            ):
                holder = stream_id_of(row["aggregate_id"], row["aggregate_type"])
                raise DuplicateEventError(row["event_id"], f"an event of stream {holder}")
        return _Found(
            rows[0]["head_version"],
            frozenset(row["event_id"] for row in taken),
            taken[-1] if taken else None,
        )

    def _conflict(self, actual_version: int) -> OptimisticLockError:
        return OptimisticLockError(self.aggregate_id, self.expected_version, actual_version)


@dataclass(frozen=True, slots=True)
class _Found:
    version: int
    own_ids: frozenset[UUID]
    last: Row | None


def _result(row: Row) -> AppendResult:
    return AppendResult.successful(row["version"], row["position"], row["transaction"])
