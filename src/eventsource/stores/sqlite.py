"""An event store in a SQLite file."""

import json
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self
from uuid import UUID, uuid4

from eventsource.events.base import DomainEvent
from eventsource.events.registry import EventRegistry, default_registry
from eventsource.exceptions import PositionNotFoundError, UnreadableEventError
from eventsource.observability import (
    ATTR_AGGREGATE_ID,
    ATTR_AGGREGATE_TYPE,
    ATTR_EVENT_COUNT,
    ATTR_EXPECTED_VERSION,
    ATTR_FROM_VERSION,
    Tracer,
    create_tracer,
)
from eventsource.serialization import EventReader, encode
from eventsource.sqlite_database import Row, SQLiteDatabase, SQLiteTransaction
from eventsource.stores import sqlite_statements as sql
from eventsource.stores.append_counter import append_counter
from eventsource.stores.append_rule import (
    ExclusiveAppend,
    Taken,
    check_batch,
    check_expected_version,
)
from eventsource.stores.interface import (
    AppendResult,
    EventStore,
    EventStream,
    ReadOptions,
    StoredEvent,
    check_of_type,
    check_part,
    parse_stream_id,
    version_to_start_after,
)
from eventsource.stores.paging import Cursor, by_direction, pages
from eventsource.type_conversion import DefaultTypeConverter, TypeConverter
from eventsource.types import Position

_LAST_VERSION = (2**31, "")
_LAST_POSITION = (1, 0)


class SQLiteEventStore(EventStore):
    """Keeps events in one file, for one machine: SQLite has one writer at a time.

    Given a path, the store opens and closes the file: `async with`, or `initialize` and `close`.
    A SQLiteDatabase stays yours to close, and can be shared with repositories, whose writes may
    then be in one transaction with an append. With `outbox_enabled` an append also queues each
    event in `event_outbox`. The other arguments are those of PostgreSQLEventStore.
    """

    def __init__(
        self,
        database: SQLiteDatabase | str | Path,
        event_registry: EventRegistry | None = None,
        *,
        outbox_enabled: bool = False,
        tracer: Tracer | None = None,
        enable_tracing: bool = True,
        type_converter: TypeConverter | None = None,
        uuid_fields: Iterable[str] | None = None,
        string_id_fields: Iterable[str] | None = None,
        auto_detect_uuid: bool = True,
    ) -> None:
        self._database = SQLiteDatabase.of(database)
        self._is_owner = self._database is not database
        self._outbox_enabled = outbox_enabled
        self._tracer = tracer or create_tracer(__name__, enable_tracing)
        self._count = append_counter(enable_tracing)
        self._reader = EventReader(
            event_registry or default_registry,
            type_converter
            or DefaultTypeConverter(
                uuid_fields=uuid_fields,
                string_id_fields=string_id_fields,
                auto_detect_uuid=auto_detect_uuid,
            ),
        )

    @property
    def database(self) -> SQLiteDatabase:
        return self._database

    @property
    def event_registry(self) -> EventRegistry:
        return self._reader.registry

    @property
    def outbox_enabled(self) -> bool:
        return self._outbox_enabled

    @property
    def is_connected(self) -> bool:
        return self._database.is_open

    async def initialize(self) -> None:
        """Open the file if it is not open, and create the tables it lacks."""
        await self._database.initialize()

    async def close(self) -> None:
        """Close the file, unless the store was given a SQLiteDatabase. Again is no error."""
        if self._is_owner:
            await self._database.close()

    async def __aenter__(self) -> Self:
        await self._database.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def append_events(
        self,
        aggregate_id: UUID,
        aggregate_type: str,
        events: Sequence[DomainEvent],
        expected_version: int,
        *,
        transaction: SQLiteTransaction | None = None,
    ) -> AppendResult:
        check_expected_version(expected_version)
        batch = check_batch(aggregate_id, aggregate_type, events)
        for event in batch:
            self._reader.registry.get(event.event_type)  # or nobody could read it again
        append = ExclusiveAppend(aggregate_id, aggregate_type, expected_version)
        with (
            self._tracer.span(
                "sqlite_event_store.append_events",
                {
                    ATTR_AGGREGATE_ID: str(aggregate_id),
                    ATTR_AGGREGATE_TYPE: aggregate_type,
                    ATTR_EVENT_COUNT: len(batch),
                    ATTR_EXPECTED_VERSION: expected_version,
                },
            ),
            self._count(aggregate_type, len(batch)),
        ):
            async with self._database.transaction(transaction) as open_transaction:
                return await self._append(open_transaction, append, batch)

    async def _append(
        self, transaction: SQLiteTransaction, append: ExclusiveAppend, batch: list[DomainEvent]
    ) -> AppendResult:
        ids = json.dumps([str(event.event_id) for event in batch])
        taken = [_taken(row) for row in await transaction.fetch(sql.TAKEN, ids)]
        answer = append.answer(batch, await _head(transaction, append), taken)
        if isinstance(answer, AppendResult):
            return answer
        now, payloads = datetime.now(UTC), [encode(event) for event in answer]
        await transaction.execute_many(sql.INSERT, map(_row, answer, payloads, [now] * len(answer)))
        if self._outbox_enabled:
            await transaction.execute_many(
                sql.INSERT_OUTBOX, map(_outbox_row, answer, payloads, [now] * len(answer))
            )
        return await _head(transaction, append)

    async def get_events(
        self,
        aggregate_id: UUID,
        aggregate_type: str | None = None,
        from_version: int = 0,
        from_timestamp: datetime | None = None,
        to_timestamp: datetime | None = None,
    ) -> EventStream:
        check_part(aggregate_id, aggregate_type, from_version, from_timestamp, to_timestamp)
        with self._tracer.span(
            "sqlite_event_store.get_events",
            {ATTR_AGGREGATE_ID: str(aggregate_id), ATTR_FROM_VERSION: from_version},
        ):
            rows = await self._database.fetch(
                sql.STREAM, aggregate_id, aggregate_type, from_version, from_timestamp, to_timestamp
            )
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
        row = await self._database.fetchrow(sql.HEAD, aggregate_id, aggregate_type)
        return int(row["version"]) if row else 0

    async def get_feed_end(self) -> Position:
        rows = await self._database.fetch(sql.FEED_END)
        return Position(0, rows[0]["position"])

    async def read_stream(
        self, stream_id: str, options: ReadOptions | None = None
    ) -> AsyncIterator[StoredEvent]:
        options = options or ReadOptions()
        aggregate_id, aggregate_type = parse_stream_id(stream_id)
        statement = by_direction(options, sql.STREAM_PAGE_FORWARD, sql.STREAM_PAGE_BACKWARD)

        async def page(after: Cursor, before: Cursor, size: int) -> list[Row]:
            return await self._database.fetch(
                statement, size, *_filters(options), *after, *before, aggregate_id, aggregate_type
            )

        # Pages exclude their bounds, and no type sorts before the empty text.
        start = (max(version_to_start_after(options), 0) + 1, "")
        columns = "version", "aggregate_type"
        async for rows in pages(page, options, columns, start, _LAST_VERSION):
            for row in rows:
                yield self._stored(row)

    async def read_all(self, options: ReadOptions | None = None) -> AsyncIterator[StoredEvent]:
        """As the port says. Holds no lock while you work."""
        options = options or ReadOptions()
        statement = by_direction(options, sql.FEED_PAGE_FORWARD, sql.FEED_PAGE_BACKWARD)

        async def page(after: Cursor, before: Cursor, size: int) -> list[Row]:
            return await self._database.fetch(statement, size, *_filters(options), *after, *before)

        start = (0, await self._resume_point(options.from_position))
        columns = "transaction_id", "global_position"
        async for rows in pages(page, options, columns, start, _LAST_POSITION):
            for row in rows:
                yield self._stored(row)

    async def _resume_point(self, position: int | Position) -> int:
        if isinstance(position, Position):
            start, is_ours = position.sequence, position.transaction == 0
        else:
            start, is_ours = max(position, 0), True
        if start and not (is_ours and await self._database.fetch(sql.LOG_REACHES, start)):
            raise PositionNotFoundError(position)
        return start

    def _event(self, row: Row) -> DomainEvent:
        return self._reader.read(
            row["event_type"],
            row["payload"],
            lambda: f"{_stream_id(row)}/{row['version']}",
            version=row["version"],
        )

    def _stored(self, row: Row) -> StoredEvent:
        try:
            event = self._reader.read(
                row["event_type"],
                row["payload"],
                lambda: f"{_stream_id(row)}/{row['version']}, position {row['global_position']}",
                version=row["version"],
            )
        except UnreadableEventError as error:
            raise error.at(Position(0, row["global_position"]), row["payload"]) from error.__cause__
        return StoredEvent(
            event,
            _stream_id(row),
            row["version"],
            row["global_position"],
            datetime.fromisoformat(row["created_at"]),
        )


async def _head(transaction: SQLiteTransaction, append: ExclusiveAppend) -> AppendResult:
    row = await transaction.fetchrow(sql.HEAD, append.aggregate_id, append.aggregate_type)
    return AppendResult.successful(*row) if row else AppendResult.successful(0)


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
    return f"{row['aggregate_id']}:{row['aggregate_type']}"


def _taken(row: Row) -> Taken:
    return Taken(UUID(row["event_id"]), _stream_id(row), row["version"], row["global_position"])


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


def _outbox_row(event: DomainEvent, payload: str, now: datetime) -> tuple[object, ...]:
    return (
        uuid4(),
        event.event_id,
        event.event_type,
        event.aggregate_id,
        event.aggregate_type,
        event.tenant_id,
        payload,
        now,
    )
