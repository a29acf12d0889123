"""An event store in a SQLite file."""

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Self

from eventsource.events.registry import EventRegistry
from eventsource.observability import Tracer, create_tracer
from eventsource.sqlite_database import SQLiteDatabase, SQLiteTransaction
from eventsource.stores.sqlite_log import SQLiteLog
from eventsource.type_conversion import TypeConverter


class SQLiteEventStore(SQLiteLog[SQLiteTransaction]):
    """Keeps events in one file, for one machine: SQLite has one writer at a time.

    Given a path, the store opens and closes the file: `async with`, or `initialize` and `close`.
    A SQLiteDatabase stays yours to close, and can be shared with repositories, whose writes may
    then be in one transaction with an append. With `outbox_enabled` an append also queues each
    event in `event_outbox`. The other arguments are those of PostgreSQLEventStore.
    """

    _name = "sqlite_event_store"
    _database: SQLiteDatabase

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
        self._database = SQLiteDatabase.of(database)
        self._is_owner = self._database is not database

    @property
    def database(self) -> SQLiteDatabase:
        return self._database

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

    def _begin(
        self, transaction: SQLiteTransaction | None
    ) -> AbstractAsyncContextManager[SQLiteTransaction]:
        return self._database.transaction(transaction)
