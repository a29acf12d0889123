"""An event store in PostgreSQL, over asyncpg."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import datetime
from typing import Self, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_sessionmaker

from eventsource.asyncpg_pool import AsyncpgPool, AsyncpgTransaction, Executor, Row
from eventsource.events.base import DomainEvent
from eventsource.events.registry import EventRegistry
from eventsource.exceptions import DatabaseError, SchemaError, UnreadableEventError
from eventsource.observability import Tracer, create_tracer
from eventsource.stores import postgresql_statements as sql
from eventsource.stores.interface import (
    AppendResult,
    EventStream,
    ReadOptions,
    StoredEvent,
    check_of_type,
    stream_id_of,
)
from eventsource.stores.paging import stream_pages
from eventsource.stores.postgresql_append import Append
from eventsource.stores.postgresql_pages import Feed, filters
from eventsource.stores.postgresql_table import EventsTable, probe
from eventsource.stores.sql import Part, SQLEventStore
from eventsource.type_conversion import DefaultTypeConverter, TypeConverter
from eventsource.types import Position

T = TypeVar("T")
Need = Callable[[EventsTable], str | None]

_UNDEFINED = {"42P01", "42703", "42883"}  # table, column, function


class PostgreSQLEventStore(SQLEventStore[AsyncConnection | AsyncSession]):
    """Works on the shipped tables, plain or partitioned, and on a minimal `events` table, which
    only lacks the global feed. You own the engine and dispose it.

    An append is a transaction of its own, unless it joins yours; with `outbox_enabled` it also
    queues each event in `event_outbox`. Text in free-form data such as `metadata` comes back as a
    UUID or a time where `type_converter` says so: by default for keys ending in `_id`, except
    `string_id_fields`, for `uuid_fields`, and for keys ending in `_at`. Fields with a type never
    change type.
    """

    _name = "postgresql_event_store"

    def __init__(
        self,
        session_factory: async_sessionmaker[AsyncSession],
        *,
        event_registry: EventRegistry | None = None,
        outbox_enabled: bool = False,
        tracer: Tracer | None = None,
        enable_tracing: bool = True,
        type_converter: TypeConverter | None = None,
        uuid_fields: Iterable[str] | None = None,
        string_id_fields: Iterable[str] | None = None,
        auto_detect_uuid: bool = True,
    ) -> None:
        super().__init__(
            event_registry=event_registry,
            outbox_enabled=outbox_enabled,
            tracer=tracer or create_tracer(__name__, enable_tracing),
            enable_tracing=enable_tracing,
            type_converter=type_converter,
            uuid_fields=uuid_fields,
            string_id_fields=string_id_fields,
            auto_detect_uuid=auto_detect_uuid,
        )
        self._session_factory = session_factory
        self._pool = AsyncpgPool(session_factory)
        self._known_table: EventsTable | None = None
        self._feed = Feed(self._fetch)

    @classmethod
    def with_strict_uuid_detection(
        cls,
        session_factory: async_sessionmaker[AsyncSession],
        uuid_fields: Iterable[str],
        *,
        event_registry: EventRegistry | None = None,
        outbox_enabled: bool = False,
        enable_tracing: bool = True,
    ) -> Self:
        """In free-form data only these keys hold UUIDs."""
        return cls(
            session_factory,
            event_registry=event_registry,
            outbox_enabled=outbox_enabled,
            enable_tracing=enable_tracing,
            type_converter=DefaultTypeConverter.strict(uuid_fields),
        )

    @property
    def session_factory(self) -> async_sessionmaker[AsyncSession]:
        return self._session_factory

    async def _append(
        self,
        aggregate_id: UUID,
        aggregate_type: str,
        batch: list[DomainEvent],
        expected_version: int,
        transaction: AsyncConnection | AsyncSession | None,
    ) -> AppendResult:
        executor = self._pool if transaction is None else AsyncpgTransaction(transaction)
        return await self._with_table(
            lambda table: table.append_problem(outbox=self._outbox_enabled),
            lambda table: Append(
                executor,
                table,
                self._outbox_enabled,
                aggregate_id,
                aggregate_type,
                expected_version,
            ).run(batch),
            executor,
        )

    async def _read(
        self, aggregate_id: UUID, aggregate_type: str | None, part: Part
    ) -> EventStream:
        from_version, *times = part
        if aggregate_type and from_version <= 0 and not any(times):
            rows = await self._fetch(sql.STREAM, aggregate_id, aggregate_type)
        else:
            statement = sql.STREAM_PART if aggregate_type else sql.STREAMS_OF_ID
            rows = await self._fetch(statement, aggregate_id, aggregate_type, *part)
        return self._stream(aggregate_id, aggregate_type, rows)

    def _stream(
        self, aggregate_id: UUID, aggregate_type: str | None, rows: list[Row]
    ) -> EventStream:
        if not rows:
            return EventStream.empty(aggregate_id, aggregate_type or "Unknown")
        last = rows[-1]
        return EventStream(
            aggregate_id,
            aggregate_type or last["only_type"] or "Unknown",
            [self._event(aggregate_id, row) for row in rows if row["payload"] is not None],
            last["stream_version"],
        )

    async def get_events_by_type(
        self,
        aggregate_type: str,
        tenant_id: UUID | None = None,
        from_timestamp: datetime | None = None,
    ) -> list[DomainEvent]:
        check_of_type(aggregate_type, tenant_id, from_timestamp)
        rows = await self._fetch(
            sql.BY_TYPE, aggregate_type, tenant_id is None, _text(tenant_id), from_timestamp
        )
        return [self._event(row["aggregate_id"], row) for row in rows]

    async def event_exists(self, event_id: UUID) -> bool:
        return bool(await self._fetch(sql.EVENT_EXISTS, event_id))

    async def get_stream_version(self, aggregate_id: UUID, aggregate_type: str) -> int:
        rows = await self._fetch(sql.HEAD, aggregate_id, aggregate_type)
        return int(rows[0]["version"]) if rows else 0

    async def get_feed_end(self) -> Position:
        """As the port says; an append under way can hold it back."""
        return await self._feed.end()

    def read_all(self, options: ReadOptions | None = None) -> AsyncIterator[StoredEvent]:
        """As the port says; ends at the oldest append still under way in this database, whose
        events, and those after them, a later read delivers. Holds no connection while you work."""
        return super().read_all(options)

    def _stream_pages(self, stream_id: str, options: ReadOptions) -> AsyncIterator[list[Row]]:
        statements = sql.STREAM_PAGE_FORWARD, sql.STREAM_PAGE_BACKWARD
        return stream_pages(self._fetch, statements, filters(options), stream_id, options)

    def _feed_pages(self, options: ReadOptions) -> AsyncIterator[list[Row]]:
        return self._feed.pages(options)

    def _event(self, aggregate_id: UUID, row: Row) -> DomainEvent:
        return self._reader.read(
            row["event_type"],
            row["payload"],
            lambda: f"{aggregate_id}:{row['aggregate_type']}/{row['version']}",
            version=row["version"],
        )

    def _stored(self, row: Row) -> StoredEvent:
        stream, kind, event_type, version, stored_at, payload, global_position, transaction = row
        stream_id = stream_id_of(stream, kind)
        try:
            event = self._reader.read(
                event_type,
                payload,
                lambda: f"{stream_id}/{version}, position {Position(transaction, global_position)}",
                version=version,
            )
        except UnreadableEventError as error:
            raise error.at(Position(transaction, global_position), payload) from error.__cause__
        return StoredEvent(event, stream_id, version, global_position, stored_at, transaction)

    async def _fetch(
        self, statement: str, *arguments: object, need: Need = EventsTable.stream_problem
    ) -> list[Row]:
        return await self._with_table(
            need, lambda table: self._pool.fetch(table.fill(statement), *arguments), self._pool
        )

    async def _with_table(
        self, need: Need, work: Callable[[EventsTable], Awaitable[T]], executor: Executor
    ) -> T:
        """Do the work on the table as it was last seen, and look again if that no longer fits."""
        table = await self._table(need, executor)
        try:
            return await work(table)
        except DatabaseError as error:
            if error.sqlstate not in _UNDEFINED:
                raise
        self._known_table = None
        return await work(await self._table(need, executor))

    async def _table(self, need: Need, executor: Executor) -> EventsTable:
        table = self._known_table
        if table is None or need(table):
            table = self._known_table = await probe(executor)
            if problem := need(table):
                raise SchemaError(problem)
        return table


def _text(tenant_id: UUID | None) -> str | None:
    return None if tenant_id is None else str(tenant_id)
