"""An event store around another one."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from eventsource.events.base import DomainEvent
from eventsource.stores.interface import (
    AppendResult,
    EventStore,
    EventStream,
    ReadOptions,
    StoredEvent,
)
from eventsource.types import Position


class EventStoreWrapper(EventStore):
    """Passes every call on. Override what shall differ."""

    def __init__(self, event_store: EventStore) -> None:
        self._event_store = event_store

    async def append_events(
        self,
        aggregate_id: UUID,
        aggregate_type: str,
        events: Sequence[DomainEvent],
        expected_version: int,
        *,
        transaction: Any = None,
    ) -> AppendResult:
        return await self._event_store.append_events(
            aggregate_id, aggregate_type, events, expected_version, transaction=transaction
        )

    async def get_events(
        self,
        aggregate_id: UUID,
        aggregate_type: str | None = None,
        from_version: int = 0,
        from_timestamp: datetime | None = None,
        to_timestamp: datetime | None = None,
    ) -> EventStream:
        return await self._event_store.get_events(
            aggregate_id, aggregate_type, from_version, from_timestamp, to_timestamp
        )

    async def get_events_by_type(
        self,
        aggregate_type: str,
        tenant_id: UUID | None = None,
        from_timestamp: datetime | None = None,
    ) -> list[DomainEvent]:
        return await self._event_store.get_events_by_type(aggregate_type, tenant_id, from_timestamp)

    async def event_exists(self, event_id: UUID) -> bool:
        return await self._event_store.event_exists(event_id)

    async def get_stream_version(self, aggregate_id: UUID, aggregate_type: str) -> int:
        return await self._event_store.get_stream_version(aggregate_id, aggregate_type)

    async def get_feed_end(self) -> Position:
        return await self._event_store.get_feed_end()

    def read_stream(
        self, stream_id: str, options: ReadOptions | None = None
    ) -> AsyncIterator[StoredEvent]:
        return self._event_store.read_stream(stream_id, options)

    def read_all(self, options: ReadOptions | None = None) -> AsyncIterator[StoredEvent]:
        return self._event_store.read_all(options)
