"""Event store and snapshot store with a vault."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any
from uuid import UUID

from eventsource.events.base import DomainEvent
from eventsource.privacy.vault import Vault
from eventsource.snapshots.interface import Snapshot, SnapshotStore
from eventsource.stores.interface import (
    AppendResult,
    EventStore,
    EventStream,
    ReadOptions,
    StoredEvent,
)
from eventsource.stores.paging import read_until_unreadable
from eventsource.stores.wrapper import EventStoreWrapper

_PAGE = 100


class PrivateEventStore(EventStoreWrapper):
    """The event store with a vault: personal data is sealed by appends and opened by reads.

    The outbox of the store holds sealed data, and so does what is published from there.
    """

    def __init__(self, event_store: EventStore, vault: Vault) -> None:
        super().__init__(event_store)
        self._vault = vault

    async def append_events(
        self,
        aggregate_id: UUID,
        aggregate_type: str,
        events: Sequence[DomainEvent],
        expected_version: int,
        *,
        transaction: Any = None,
    ) -> AppendResult:
        """As the port says; SubjectErasedError for data of somebody who was erased."""
        sealed = await self._vault.seal_events(events, transaction=transaction)
        return await super().append_events(
            aggregate_id, aggregate_type, sealed, expected_version, transaction=transaction
        )

    async def get_events(self, *arguments: Any, **options: Any) -> EventStream:
        stream = await super().get_events(*arguments, **options)
        await self._vault.open_events(stream.events)
        return stream

    async def get_events_by_type(self, *arguments: Any, **options: Any) -> list[DomainEvent]:
        events = await super().get_events_by_type(*arguments, **options)
        await self._vault.open_events(events)
        return events

    def read_stream(
        self, stream_id: str, options: ReadOptions | None = None
    ) -> AsyncIterator[StoredEvent]:
        return self._opened(super().read_stream(stream_id, options))

    def read_all(self, options: ReadOptions | None = None) -> AsyncIterator[StoredEvent]:
        return self._opened(super().read_all(options))

    async def _opened(self, stored_events: Any) -> AsyncIterator[StoredEvent]:
        """In pages, so that keys are asked for together."""
        async with aclosing(stored_events):
            unreadable, is_last = None, False
            while not (unreadable or is_last):
                page, unreadable = await read_until_unreadable(stored_events, _PAGE)
                is_last = len(page) < _PAGE
                await self._vault.open_events([each.event for each in page])
                for each in page:
                    yield each
        if unreadable:
            raise unreadable


class PrivateSnapshotStore(SnapshotStore):
    """The snapshot store for aggregates whose state has fields of type Personal."""

    def __init__(self, snapshot_store: SnapshotStore, vault: Vault) -> None:
        self._snapshot_store, self._vault = snapshot_store, vault

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        await self._snapshot_store.save_snapshot(snapshot)

    async def get_snapshot(self, aggregate_id: UUID, aggregate_type: str) -> Snapshot | None:
        snapshot = await self._snapshot_store.get_snapshot(aggregate_id, aggregate_type)
        return snapshot and replace(snapshot, state=await self._vault.open_state(snapshot.state))

    async def delete_snapshot(self, aggregate_id: UUID, aggregate_type: str) -> bool:
        return await self._snapshot_store.delete_snapshot(aggregate_id, aggregate_type)

    async def snapshot_exists(self, aggregate_id: UUID, aggregate_type: str) -> bool:
        return await self._snapshot_store.snapshot_exists(aggregate_id, aggregate_type)

    async def delete_snapshots_by_type(
        self, aggregate_type: str, schema_version_below: int | None = None
    ) -> int:
        return await self._snapshot_store.delete_snapshots_by_type(
            aggregate_type, schema_version_below
        )
