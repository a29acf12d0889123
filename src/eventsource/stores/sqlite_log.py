"""What the event stores on SQLite share, whether it is in a file or in memory."""

import json
from abc import abstractmethod
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Protocol
from uuid import UUID

from eventsource.events.base import DomainEvent
from eventsource.exceptions import (
    DuplicateEventError,
    OptimisticLockError,
    PositionNotFoundError,
    UnreadableEventError,
)
from eventsource.repositories import outbox_statements as outbox
from eventsource.serialization import encode
from eventsource.stores import sqlite_statements as sql
from eventsource.stores.append_rule import is_expected, with_versions
from eventsource.stores.interface import (
    AppendResult,
    EventStream,
    ReadOptions,
    StoredEvent,
    check_of_type,
    stream_id_of,
)
from eventsource.stores.paging import Cursor, Row, by_direction, pages, stream_pages
from eventsource.stores.sql import Part, SQLEventStore, Transaction
from eventsource.types import Position

_LAST_POSITION = (0, 2**63 - 1)


class Tables(Protocol):
    """What runs statements: a database, or a transaction of one."""

    async def fetch(self, statement: str, *arguments: Any) -> list[Row]: ...


class OpenTransaction(Tables, Protocol):
    async def execute_many(self, statement: str, rows: Iterable[Iterable[Any]]) -> None: ...


class SQLiteLog(SQLEventStore[Transaction]):
    """The event store itself. Where its tables are is all that is left to say."""

    _database: Tables

    @abstractmethod
    def _begin(
        self, transaction: Transaction | None
    ) -> AbstractAsyncContextManager[OpenTransaction]:
        """A block in which nobody else writes: all of it is stored or nothing."""

    def _class_stored(self, row: Row) -> type[DomainEvent] | None:
        """The class of an event whose type nobody has registered, if it is known."""
        return None

    async def _append(
        self,
        aggregate_id: UUID,
        aggregate_type: str,
        batch: list[DomainEvent],
        expected_version: int,
        transaction: Transaction | None,
    ) -> AppendResult:
        stream = aggregate_id, aggregate_type
        async with self._begin(transaction) as tables:
            # Nobody else writes meanwhile, so it may look first.
            ids = json.dumps([str(event.event_id) for event in batch])
            known = {UUID(row["event_id"]): row for row in await tables.fetch(sql.TAKEN, ids)}
            for event_id, row in known.items():
                if _stream_id(row) != stream_id_of(*stream):
                    raise DuplicateEventError(event_id, f"an event of stream {_stream_id(row)}")
            new = [event for event in batch if event.event_id not in known]
            if known and not new:
                return _result(max(known.values(), key=itemgetter("version")))
            head = _result(*await tables.fetch(sql.HEAD, *stream))
            if not new:
                return head
            if not is_expected(expected_version, head.new_version):
                raise OptimisticLockError(aggregate_id, expected_version, head.new_version)
            await self._insert(tables, with_versions(new, head.new_version))
            return _result(*await tables.fetch(sql.HEAD, *stream))

    async def _insert(self, tables: OpenTransaction, events: list[DomainEvent]) -> None:
        rows = events, [encode(event) for event in events], [datetime.now(UTC)] * len(events)
        await tables.execute_many(sql.INSERT, map(_row, *rows))
        if self._outbox_enabled:
            await tables.execute_many(outbox.ADD, map(outbox.new_entry, *rows))

    async def _read(
        self, aggregate_id: UUID, aggregate_type: str | None, part: Part
    ) -> EventStream:
        rows = await self._database.fetch(sql.STREAM, aggregate_id, aggregate_type, *part)
        return EventStream(
            aggregate_id,
            aggregate_type or rows[0]["only_type"] or "Unknown",
            [self._event(row) for row in rows if row["payload"] is not None],
            rows[0]["stream_version"],
        )

    async def get_events_by_type(
        self,
        aggregate_type: str,
        tenant_id: UUID | None = None,
        from_timestamp: datetime | None = None,
    ) -> list[DomainEvent]:
        check_of_type(aggregate_type, tenant_id, from_timestamp)
        rows = await self._database.fetch(sql.BY_TYPE, aggregate_type, tenant_id, from_timestamp)
        return [self._event(row) for row in rows]

    async def event_exists(self, event_id: UUID) -> bool:
        return bool(await self._database.fetch(sql.EVENT_EXISTS, event_id))

    async def get_stream_version(self, aggregate_id: UUID, aggregate_type: str) -> int:
        rows = await self._database.fetch(sql.HEAD, aggregate_id, aggregate_type)
        return rows[0]["version"] if rows else 0

    async def get_feed_end(self) -> Position:
        rows = await self._database.fetch(sql.FEED_END)
        return Position(0, rows[0]["position"])

    def _stream_pages(self, stream_id: str, options: ReadOptions) -> AsyncIterator[list[Row]]:
        statements = sql.STREAM_PAGE_FORWARD, sql.STREAM_PAGE_BACKWARD
        return stream_pages(self._database.fetch, statements, _filters(options), stream_id, options)

    async def _feed_pages(self, options: ReadOptions) -> AsyncIterator[list[Row]]:
        statement = by_direction(options, sql.FEED_PAGE_FORWARD, sql.FEED_PAGE_BACKWARD)

        async def page(after: Cursor, before: Cursor, size: int) -> list[Row]:
            return await self._database.fetch(statement, *after, size, *_filters(options), *before)

        start = (0, await self._resume_point(options.from_position))
        columns = "transaction_id", "global_position"
        async for rows in pages(page, options, columns, start, _LAST_POSITION):
            yield rows

    async def _resume_point(self, position: int | Position) -> int:
        if isinstance(position, Position):
            start, is_ours = position.sequence, position.transaction == 0
        else:
            start, is_ours = max(position, 0), True
        if start and not (is_ours and await self._database.fetch(sql.LOG_REACHES, start)):
            raise PositionNotFoundError(position)
        return start

    def _event(self, row: Row, at: str = "") -> DomainEvent:
        return self._reader.read(
            row["event_type"],
            row["payload"],
            lambda: f"{_stream_id(row)}/{row['version']}{at}",
            version=row["version"],
            fallback=self._class_stored(row),
        )

    def _stored(self, row: Row) -> StoredEvent:
        place = row["global_position"]
        try:
            event = self._event(row, f", position {place}")
        except UnreadableEventError as error:
            raise error.at(Position(0, place), row["payload"]) from error.__cause__
        stored_at = datetime.fromisoformat(row["created_at"])
        return StoredEvent(event, _stream_id(row), row["version"], place, stored_at)


def _result(head: Row | None = None) -> AppendResult:
    if head is None:
        return AppendResult.successful(0)
    return AppendResult.successful(head["version"], head["global_position"])


def _filters(options: ReadOptions) -> tuple[object, ...]:
    return (
        options.from_timestamp,
        options.to_timestamp,
        options.tenant_id,
        _json(options.event_types),
        _json(options.aggregate_types),
    )


def _json(names: Collection[str] | None) -> str | None:
    return None if names is None else json.dumps(list(names))


def _stream_id(row: Row) -> str:
    return stream_id_of(row["aggregate_id"], row["aggregate_type"])


def _row(event: DomainEvent, payload: str, now: datetime) -> tuple[object, ...]:
    return (
        event.event_id,
        event.aggregate_id,
        event.aggregate_type,
        event.event_type,
        event.tenant_id,
        event.actor_id,
        event.aggregate_version,
        event.occurred_at,
        payload,
        now,
    )
