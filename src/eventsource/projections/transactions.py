"""Transactions for read models, on PostgreSQL and SQLite alike."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker

from eventsource.asyncpg_pool import AsyncpgPool, executor_for
from eventsource.exceptions import EventStoreConnectionError
from eventsource.repositories.checkpoint import (
    CheckpointRepository,
    PostgreSQLCheckpointRepository,
    SQLiteCheckpointRepository,
)
from eventsource.sqlite_database import SQLiteDatabase, SQLiteTransaction

Row = Any
ReadModelSource = AsyncEngine | async_sessionmaker[AsyncSession] | SQLiteDatabase


class PostgreSQLReadModels:
    """Where read models and their checkpoints are kept together."""

    def __init__(self, source: AsyncEngine | async_sessionmaker[AsyncSession]) -> None:
        AsyncpgPool(source)  # explains what it cannot use
        self._engine = source if isinstance(source, AsyncEngine) else source.kw["bind"]

    @asynccontextmanager
    async def transaction(
        self, joined: AsyncConnection | AsyncSession | None = None
    ) -> AsyncIterator[AsyncConnection]:
        """What handlers get; it commits at the end of the block and is undone by any exception.
        With `joined` the block is a part of that transaction, undone by itself."""
        if joined is not None:
            part = await joined.connection() if isinstance(joined, AsyncSession) else joined
            async with part.begin_nested():
                yield part
            return
        async with AsyncExitStack() as stack:
            try:
                connection = await stack.enter_async_context(self._engine.connect())
            except Exception as error:
                raise EventStoreConnectionError(
                    f"Cannot begin a transaction on {self._engine.url!r}: "
                    f"{type(error).__name__}: {error}"
                ) from error
            async with connection.begin():
                yield connection

    def checkpoints(self, transaction: Any = None) -> CheckpointRepository:
        return PostgreSQLCheckpointRepository(transaction or self._engine)

    async def fetch(self, transaction: Any, statement: str, *arguments: Any) -> list[Row]:
        return await executor_for(transaction).fetch(statement, *arguments)

    async def lock(self, transaction: Any, name: str, *, shared: bool = False) -> None:
        """Wait until no other transaction holds this name, and hold it to the end; those that
        share it hold it together."""
        kind = "_shared" if shared else ""
        await self.fetch(
            transaction,
            f"SELECT pg_advisory_xact_lock{kind}(hashtextextended($1, 0))",  # constant
            f"eventsource.projection:{name}",
        )

    async def known_events(self, transaction: Any, event_ids: Sequence[UUID]) -> set[UUID]:
        """Those of the events that are stored already."""
        rows = await self.fetch(
            transaction, "SELECT event_id FROM events WHERE event_id = ANY($1)", list(event_ids)
        )
        return {row["event_id"] for row in rows}


class SQLiteReadModels:
    """The same on SQLite, where a write transaction is alone: there is nothing to lock."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database

    def transaction(
        self, joined: SQLiteTransaction | None = None
    ) -> AbstractAsyncContextManager[SQLiteTransaction]:
        return self._database.transaction(joined)

    def checkpoints(self, transaction: Any = None) -> CheckpointRepository:
        return SQLiteCheckpointRepository(transaction or self._database)

    async def fetch(self, transaction: Any, statement: str, *arguments: Any) -> list[Row]:
        rows: list[Row] = await transaction.fetch(statement, *arguments)
        return rows

    async def lock(self, transaction: Any, name: str, *, shared: bool = False) -> None:
        await asyncio.sleep(0)

    async def known_events(
        self, transaction: SQLiteTransaction, event_ids: Sequence[UUID]
    ) -> set[UUID]:
        known = "SELECT event_id FROM events WHERE event_id = ?"
        rows = [await transaction.fetchrow(known, event_id) for event_id in event_ids]
        return {UUID(row["event_id"]) for row in rows if row is not None}


ReadModelDatabase = PostgreSQLReadModels | SQLiteReadModels


def read_model_database(source: ReadModelSource) -> ReadModelDatabase:
    """TypeError for anything but a SQLiteDatabase or an asyncpg engine or session factory."""
    if isinstance(source, SQLiteDatabase):
        return SQLiteReadModels(source)
    return PostgreSQLReadModels(source)
