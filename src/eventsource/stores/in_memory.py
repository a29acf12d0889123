"""An event store in the memory of one process: for tests and first steps."""

import logging
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

from eventsource.events.base import DomainEvent
from eventsource.events.registry import EventRegistry
from eventsource.memory_database import MemoryDatabase
from eventsource.observability import Tracer, create_tracer
from eventsource.stores import sqlite_statements as sql
from eventsource.stores.paging import Row
from eventsource.stores.sqlite_log import OpenTransaction, SQLiteLog

_log = logging.getLogger(__name__)


class InMemoryEventStore(SQLiteLog[Any]):
    """Keeps events as JSON text in a database of its own: what you read is equal to what you stored
    and never the same object. Safe under concurrent tasks and threads.

    Types that nobody registered are stored with a warning; the other stores refuse them. Give an
    `event_registry` to have them refused here as well.
    """

    _name = "inmemory_event_store"
    _database: MemoryDatabase

    def __init__(
        self,
        *,
        event_registry: EventRegistry | None = None,
        tracer: Tracer | None = None,
        enable_tracing: bool = True,
    ) -> None:
        super().__init__(
            event_registry=event_registry,
            tracer=tracer or create_tracer(__name__, enable_tracing),
            enable_tracing=enable_tracing,
        )
        self._is_strict = event_registry is not None
        self._warned: set[str] = set()
        self._forget()

    def _forget(self) -> None:
        self._database = MemoryDatabase("events")
        self._classes: dict[str, type[DomainEvent]] = {}

    async def clear(self) -> None:
        """Forget everything."""
        self._forget()

    async def get_all_events(self) -> list[DomainEvent]:
        """By time, then position."""
        return [self._event(row) for row in await self._database.fetch(sql.ALL)]

    async def get_event_count(self) -> int:
        return await self.get_global_position()

    async def get_aggregate_ids(self) -> set[UUID]:
        rows = await self._database.fetch(sql.AGGREGATE_IDS)
        return {UUID(row["aggregate_id"]) for row in rows}

    def _begin(self, transaction: object) -> AbstractAsyncContextManager[OpenTransaction]:
        if transaction is not None:
            raise TypeError("InMemoryEventStore has no transactions to join; leave transaction out")
        return self._database.transaction()

    def _check_type(self, event_type: str) -> None:
        registry = self.event_registry
        if self._is_strict:
            registry.get(event_type)
        elif event_type not in registry and event_type not in self._warned:
            self._warned.add(event_type)
            _log.warning(
                "Event type '%s' is not registered. A database would refuse it, because it could "
                "not be read again: decorate the class with @register_event.",
                event_type,
            )

    async def _insert(self, tables: OpenTransaction, events: list[DomainEvent]) -> None:
        await super()._insert(tables, events)
        self._classes.update((str(event.event_id), type(event)) for event in events)

    def _class_stored(self, row: Row) -> type[DomainEvent] | None:
        # The registry comes first: in a notebook its class may be newer than this one.
        return self._classes.get(row["event_id"])
