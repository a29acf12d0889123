"""What the event stores on SQL databases share: whatever surrounds the statements of each."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from eventsource.events.base import DomainEvent
from eventsource.events.registry import EventRegistry, default_registry
from eventsource.observability import (
    ATTR_AGGREGATE_ID,
    ATTR_AGGREGATE_TYPE,
    ATTR_EVENT_COUNT,
    ATTR_EXPECTED_VERSION,
    ATTR_FROM_VERSION,
    Tracer,
)
from eventsource.serialization import EventReader
from eventsource.stores.append_counter import append_counter
from eventsource.stores.append_rule import check_batch, check_expected_version
from eventsource.stores.interface import (
    AppendResult,
    EventStore,
    EventStream,
    ReadOptions,
    StoredEvent,
    check_part,
)
from eventsource.stores.paging import Row
from eventsource.type_conversion import DefaultTypeConverter, TypeConverter

Transaction = TypeVar("Transaction")
#: After which version, and from and to which time.
Part = tuple[int, datetime | None, datetime | None]


class SQLEventStore(EventStore, Generic[Transaction]):
    """`Transaction` is what an append can join."""

    #: What the names of its spans begin with.
    _name: ClassVar[str]

    def __init__(
        self,
        *,
        event_registry: EventRegistry | None,
        tracer: Tracer,
        enable_tracing: bool,
        outbox_enabled: bool = False,
        type_converter: TypeConverter | None = None,
        uuid_fields: Iterable[str] | None = None,
        string_id_fields: Iterable[str] | None = None,
        auto_detect_uuid: bool = True,
    ) -> None:
        self._outbox_enabled = outbox_enabled
        self._tracer = tracer
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
    def event_registry(self) -> EventRegistry:
        return self._reader.registry

    @property
    def outbox_enabled(self) -> bool:
        return self._outbox_enabled

    async def append_events(
        self,
        aggregate_id: UUID,
        aggregate_type: str,
        events: Sequence[DomainEvent],
        expected_version: int,
        *,
        transaction: Transaction | None = None,
    ) -> AppendResult:
        check_expected_version(expected_version)
        batch = check_batch(aggregate_id, aggregate_type, events)
        for event in batch:
            self._check_type(event.event_type)
        with (
            self._tracer.span(
                f"{self._name}.append_events",
                {
                    ATTR_AGGREGATE_ID: str(aggregate_id),
                    ATTR_AGGREGATE_TYPE: aggregate_type,
                    ATTR_EVENT_COUNT: len(batch),
                    ATTR_EXPECTED_VERSION: expected_version,
                },
            ),
            self._count(aggregate_type, len(batch)),
        ):
            return await self._append(
                aggregate_id, aggregate_type, batch, expected_version, transaction
            )

    def _check_type(self, event_type: str) -> None:
        self._reader.registry.get(event_type)  # or nobody could read it again

    @abstractmethod
    async def _append(
        self,
        aggregate_id: UUID,
        aggregate_type: str,
        batch: list[DomainEvent],
        expected_version: int,
        transaction: Transaction | None,
    ) -> AppendResult: ...

    async def get_events(
        self,
        aggregate_id: UUID,
        aggregate_type: str | None = None,
        from_version: int = 0,
        from_timestamp: datetime | None = None,
        to_timestamp: datetime | None = None,
    ) -> EventStream:
        part = from_version, from_timestamp, to_timestamp
        check_part(aggregate_id, aggregate_type, *part)
        with self._tracer.span(
            f"{self._name}.get_events",
            {ATTR_AGGREGATE_ID: str(aggregate_id), ATTR_FROM_VERSION: from_version},
        ):
            return await self._read(aggregate_id, aggregate_type, part)

    @abstractmethod
    async def _read(
        self, aggregate_id: UUID, aggregate_type: str | None, part: Part
    ) -> EventStream: ...

    async def read_stream(
        self, stream_id: str, options: ReadOptions | None = None
    ) -> AsyncIterator[StoredEvent]:
        async for rows in self._stream_pages(stream_id, options or ReadOptions()):
            for row in rows:
                yield self._stored(row)

    async def read_all(self, options: ReadOptions | None = None) -> AsyncIterator[StoredEvent]:
        """As the port says. Holds neither a lock nor a connection while you work."""
        async for rows in self._feed_pages(options or ReadOptions()):
            for row in rows:
                yield self._stored(row)

    @abstractmethod
    def _stream_pages(self, stream_id: str, options: ReadOptions) -> AsyncIterator[list[Row]]: ...

    @abstractmethod
    def _feed_pages(self, options: ReadOptions) -> AsyncIterator[list[Row]]: ...

    @abstractmethod
    def _stored(self, row: Any) -> StoredEvent: ...
