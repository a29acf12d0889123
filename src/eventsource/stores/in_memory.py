"""An event store in the memory of one process: for tests and first steps."""

import logging
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from uuid import UUID

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
    ReadDirection,
    ReadOptions,
    StoredEvent,
    check_of_type,
    check_part,
    parse_stream_id,
    stream_id_of,
    version_to_start_after,
)
from eventsource.type_conversion import DefaultTypeConverter
from eventsource.types import Position

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Row:
    """What a table would hold: the facts to search by, and the event as text."""

    position: int
    event_id: UUID
    aggregate_id: UUID
    aggregate_type: str
    version: int
    tenant_id: UUID | None
    timestamp: datetime
    stored_at: datetime
    cls: type[DomainEvent]
    event_type: str
    payload: str

    @property
    def stream_id(self) -> str:
        return stream_id_of(self.aggregate_id, self.aggregate_type)

    def as_taken(self) -> Taken:
        return Taken(self.event_id, self.stream_id, self.version, self.position)

    def is_in(self, options: ReadOptions) -> bool:
        return (
            options.tenant_id in (None, self.tenant_id)
            and (options.from_timestamp is None or self.timestamp >= options.from_timestamp)
            and (options.to_timestamp is None or self.timestamp <= options.to_timestamp)
            and (options.event_types is None or self.event_type in options.event_types)
            and (options.aggregate_types is None or self.aggregate_type in options.aggregate_types)
        )


class InMemoryEventStore(EventStore):
    """Keeps events as JSON text, like a database: what you read is equal to what you stored and
    never the same object. Safe under concurrent tasks and threads.

    Types that nobody registered are stored with a warning; SQL stores refuse them. Give an
    `event_registry` to have them refused here as well.
    """

    def __init__(
        self,
        *,
        event_registry: EventRegistry | None = None,
        tracer: Tracer | None = None,
        enable_tracing: bool = True,
    ) -> None:
        self._strict_registry = event_registry
        self._registry = event_registry or default_registry
        self._tracer = tracer or create_tracer(__name__, enable_tracing)
        self._count = append_counter(enable_tracing)
        self._reader = EventReader(self._registry, DefaultTypeConverter())
        self._rows: list[_Row] = []
        self._by_id: dict[UUID, _Row] = {}
        self._streams: dict[tuple[UUID, str], list[_Row]] = {}
        self._warned: set[str] = set()
        # Never held across an await, so it serves any number of event loops.
        self._lock = threading.Lock()

    async def append_events(
        self,
        aggregate_id: UUID,
        aggregate_type: str,
        events: Sequence[DomainEvent],
        expected_version: int,
        *,
        transaction: Any = None,
    ) -> AppendResult:
        if transaction is not None:
            raise TypeError("InMemoryEventStore has no transactions to join; leave transaction out")
        check_expected_version(expected_version)
        batch = check_batch(aggregate_id, aggregate_type, events)
        for event in batch:
            self._check_registered(event.event_type)
        with (
            self._tracer.span(
                "inmemory_event_store.append_events",
                {
                    ATTR_AGGREGATE_ID: str(aggregate_id),
                    ATTR_AGGREGATE_TYPE: aggregate_type,
                    ATTR_EVENT_COUNT: len(batch),
                    ATTR_EXPECTED_VERSION: expected_version,
                },
            ),
            self._count(aggregate_type, len(batch)),
        ):
            append = ExclusiveAppend(aggregate_id, aggregate_type, expected_version)
            with self._lock:
                return self._append(append, batch)

    def _append(self, append: ExclusiveAppend, batch: list[DomainEvent]) -> AppendResult:
        stream = self._streams.setdefault((append.aggregate_id, append.aggregate_type), [])
        known = [row for event in batch if (row := self._by_id.get(event.event_id))]
        answer = append.answer(batch, _head(stream), [row.as_taken() for row in known])
        if isinstance(answer, AppendResult):
            return answer
        rows = [_row(event, place) for place, event in enumerate(answer, len(self._rows) + 1)]
        self._rows += rows
        self._by_id.update((row.event_id, row) for row in rows)
        stream += rows
        return _head(stream)

    def _check_registered(self, event_type: str) -> None:
        if self._strict_registry is not None:
            self._strict_registry.get(event_type)
        elif event_type not in self._registry and event_type not in self._warned:
            self._warned.add(event_type)
            _log.warning(
                "Event type '%s' is not registered. A database would refuse it, because it could "
                "not be read again: decorate the class with @register_event.",
                event_type,
            )

    async def get_events(
        self,
        aggregate_id: UUID,
        aggregate_type: str | None = None,
        from_version: int = 0,
        from_timestamp: datetime | None = None,
        to_timestamp: datetime | None = None,
    ) -> EventStream:
        check_part(aggregate_id, aggregate_type, from_version, from_timestamp, to_timestamp)
        options = ReadOptions(from_timestamp=from_timestamp, to_timestamp=to_timestamp)
        with self._tracer.span(
            "inmemory_event_store.get_events",
            {ATTR_AGGREGATE_ID: str(aggregate_id), ATTR_FROM_VERSION: from_version},
        ):
            stream = self._stream_rows(aggregate_id, aggregate_type)
            types = {row.aggregate_type for row in stream}
            events = [
                self._event(row)
                for row in stream
                if row.version > from_version and row.is_in(options)
            ]
            return EventStream(
                aggregate_id,
                aggregate_type or (types.pop() if len(types) == 1 else "Unknown"),
                events,
                max((row.version for row in stream), default=0),
            )

    async def get_events_by_type(
        self,
        aggregate_type: str,
        tenant_id: UUID | None = None,
        from_timestamp: datetime | None = None,
    ) -> list[DomainEvent]:
        check_of_type(aggregate_type, tenant_id, from_timestamp)
        rows = [
            row
            for row in self._snapshot()
            if row.aggregate_type == aggregate_type
            and tenant_id in (None, row.tenant_id)
            and (from_timestamp is None or row.timestamp > from_timestamp)
        ]
        return [self._event(row) for row in sorted(rows, key=lambda row: row.timestamp)]

    async def event_exists(self, event_id: UUID) -> bool:
        with self._lock:
            return event_id in self._by_id

    async def get_stream_version(self, aggregate_id: UUID, aggregate_type: str) -> int:
        with self._lock:
            return len(self._streams.get((aggregate_id, aggregate_type), ()))

    async def get_feed_end(self) -> Position:
        with self._lock:
            return Position(0, len(self._rows))

    async def read_stream(
        self, stream_id: str, options: ReadOptions | None = None
    ) -> AsyncIterator[StoredEvent]:
        options = options or ReadOptions()
        start = version_to_start_after(options)
        rows = self._stream_rows(*parse_stream_id(stream_id))
        for row in _selected([row for row in rows if row.version > start], options):
            yield self._stored(row)

    async def read_all(self, options: ReadOptions | None = None) -> AsyncIterator[StoredEvent]:
        options = options or ReadOptions()
        rows = self._snapshot()
        start = options.from_position
        if isinstance(start, Position):
            start = start.sequence if start.transaction == 0 else len(rows) + 1
        if start > len(rows):
            raise PositionNotFoundError(options.from_position)
        for row in _selected(rows[max(start, 0) :], options):
            yield self._stored(row)

    async def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._rows.clear()
            self._by_id.clear()
            self._streams.clear()

    async def get_all_events(self) -> list[DomainEvent]:
        """By time, then position."""
        rows = sorted(self._snapshot(), key=lambda row: row.timestamp)
        return [self._event(row) for row in rows]

    async def get_event_count(self) -> int:
        return await self.get_global_position()

    async def get_aggregate_ids(self) -> set[UUID]:
        return {row.aggregate_id for row in self._snapshot()}

    def _snapshot(self) -> list[_Row]:
        with self._lock:
            return list(self._rows)

    def _stream_rows(self, aggregate_id: UUID, aggregate_type: str | None) -> list[_Row]:
        with self._lock:
            if aggregate_type is not None:
                return list(self._streams.get((aggregate_id, aggregate_type), ()))
            rows = [row for row in self._rows if row.aggregate_id == aggregate_id]
        return sorted(rows, key=lambda row: (row.version, row.aggregate_type))

    def _event(self, row: _Row) -> DomainEvent:
        # The registry first: in a notebook its class may be newer than the one that was stored.
        return self._reader.read(
            row.event_type,
            row.payload,
            lambda: f"{row.stream_id}/{row.version}",
            fallback=row.cls,
        )

    def _stored(self, row: _Row) -> StoredEvent:
        try:
            event = self._event(row)
        except UnreadableEventError as error:
            raise error.at(Position(0, row.position), row.payload) from error.__cause__
        return StoredEvent(event, row.stream_id, row.version, row.position, row.stored_at)


def _row(event: DomainEvent, position: int) -> _Row:
    return _Row(
        position,
        event.event_id,
        event.aggregate_id,
        event.aggregate_type,
        event.aggregate_version,
        event.tenant_id,
        event.occurred_at,
        datetime.now(UTC),
        type(event),
        event.event_type,
        encode(event),
    )


def _head(stream: list[_Row]) -> AppendResult:
    if not stream:
        return AppendResult.successful(0)
    return AppendResult.successful(stream[-1].version, stream[-1].position)


def _selected(rows: list[_Row], options: ReadOptions) -> Iterator[_Row]:
    backward = options.direction is ReadDirection.BACKWARD
    ordered = reversed(rows) if backward else iter(rows)
    return islice((row for row in ordered if row.is_in(options)), options.limit)
