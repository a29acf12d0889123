"""Appending to PostgreSQL: one statement, and finding out what happened when it stored nothing."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from eventsource.asyncpg_pool import AsyncpgPool, Row
from eventsource.events.base import DomainEvent
from eventsource.exceptions import DatabaseError, DuplicateEventError, OptimisticLockError
from eventsource.serialization import encode
from eventsource.stores.interface import AppendResult, is_expected, stream_id_of
from eventsource.stores.postgresql_statements import APPEND, APPEND_WITH_OUTBOX, DIAGNOSE, HEAD
from eventsource.stores.postgresql_table import EventsTable

_UNIQUE_VIOLATION = "23505"
_TRY_AGAIN = {"40001", "40P01"}  # serialization failure, deadlock
_MOST_ATTEMPTS = 50
_LONGEST_WAIT_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Append:
    """One append, from its first statement to its answer."""

    pool: AsyncpgPool
    table: EventsTable
    outbox: bool
    aggregate_id: UUID
    aggregate_type: str
    expected_version: int

    async def run(self, batch: list[DomainEvent]) -> AppendResult:
        """Which constraint refused a row is not asked: tables made by hand name them otherwise.
        What is stored tells a lost race from a repeated append."""
        pending, seen_version = batch, -1
        refusal: DatabaseError | None = None
        for attempt in range(_MOST_ATTEMPTS):
            refusal = None
            try:
                if row := await self._insert(pending):
                    return _result(row)
            except DatabaseError as error:
                if error.sqlstate not in {_UNIQUE_VIOLATION, *_TRY_AGAIN}:
                    raise
                refusal = error
            found = await self._diagnose(batch)
            if found.last is not None and len(found.own_ids) == len(batch):
                return _result(found.last)
            if not is_expected(self.expected_version, found.version):
                raise self._conflict(found.version) from refusal
            if refusal and refusal.sqlstate == _UNIQUE_VIOLATION and found.version == seen_version:
                raise refusal  # nobody else has appended: this is another constraint's doing
            pending = [event for event in batch if event.event_id not in found.own_ids]
            seen_version = found.version
            await asyncio.sleep(_wait_seconds(attempt))
        raise self._conflict(seen_version) from refusal

    async def head(self) -> AppendResult:
        """The answer to an append of nothing."""
        row = await self.pool.fetchrow(
            self.table.fill(HEAD), self.aggregate_id, self.aggregate_type
        )
        return _result(row) if row else AppendResult.successful(0)

    async def _insert(self, events: Sequence[DomainEvent]) -> Row | None:
        statement = APPEND_WITH_OUTBOX if self.outbox else APPEND
        return await self.pool.fetchrow(
            self.table.fill(statement),
            self.aggregate_id,
            self.aggregate_type,
            self.expected_version,
            *self._columns(events),
        )

    def _columns(self, events: Sequence[DomainEvent]) -> tuple[list[Any], ...]:
        if self.expected_version >= 0:
            events = [
                event
                if event.aggregate_version == version
                else event.with_aggregate_version(version)
                for version, event in enumerate(events, start=self.expected_version + 1)
            ]
        return (
            [event.event_id for event in events],
            [event.event_type for event in events],
            [event.tenant_id for event in events],
            [event.actor_id for event in events],
            [event.occurred_at for event in events],
            [encode(event) for event in events],
        )

    async def _diagnose(self, batch: Sequence[DomainEvent]) -> "_Found":
        rows = await self.pool.fetch(
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


def _wait_seconds(attempt: int) -> float:
    """Full jitter, so that writers who collided do not meet again."""
    longest = min(_LONGEST_WAIT_SECONDS, 0.001 * 2**attempt)
    return random.uniform(0, longest)  # noqa: S311  # spreads load, keeps no secret
