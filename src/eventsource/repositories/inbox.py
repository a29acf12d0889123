"""What a consumer has already processed, so that an event delivered twice has one effect.

The idempotent receiver of Hohpe and Woolf, "Enterprise Integration Patterns" (2003).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker

from eventsource.repositories.sql import (
    InMemoryRepository,
    PostgreSQLRepository,
    SQLiteRepository,
    SQLRepository,
    block_on,
    check_event_id,
    days_ago,
    memory_statements,
    now,
)
from eventsource.sqlite_database import SQLiteTransaction

Effect = Callable[[Any], Awaitable[None]]


_RECORD = """
INSERT INTO event_inbox (consumer, event_id, recorded_at) VALUES ($1, $2, $3)
ON CONFLICT (consumer, event_id) DO NOTHING
RETURNING consumer
"""

_FIND = "SELECT consumer FROM event_inbox WHERE consumer = $1 AND event_id = $2"

_CLEANUP = "DELETE FROM event_inbox WHERE recorded_at <= $1 RETURNING consumer"


class InboxRepository(SQLRepository):
    """Which events each consumer has processed."""

    schema = "inbox"

    async def record(self, consumer: str, event_id: UUID, *, transaction: Any = None) -> bool:
        """Take the event for this consumer; False if it was taken before.

        In the transaction of your effect both are stored or neither. Somebody else who takes the
        same event meanwhile waits for the end of that transaction.
        """
        check_event_id(event_id)
        rows = await self._fetch(_RECORD, consumer, event_id, now(), transaction=transaction)
        return bool(rows)

    async def once(self, consumer: str, event_id: UUID, effect: Effect) -> bool:
        """Run `effect(transaction)` unless this consumer has processed the event; whether it ran.

        What the effect stores in the transaction is stored together with the inbox entry. If it
        raises, neither is, and the next delivery tries again. The transaction is an AsyncSession
        (or what the repository was made on), a SQLiteTransaction, or None in memory.
        """
        async with self._transaction() as transaction:
            if is_first := await self.record(consumer, event_id, transaction=transaction):
                await effect(transaction)
        return is_first

    async def is_recorded(self, consumer: str, event_id: UUID) -> bool:
        check_event_id(event_id)
        return bool(await self._fetch(_FIND, consumer, event_id))

    async def cleanup(self, days: float = 30) -> int:
        """Forget events recorded at least so many days ago; how many. An older event delivered
        again would have its effect again: keep them longer than anything redelivers."""
        return len(await self._fetch(_CLEANUP, days_ago(days)))

    def _transaction(self) -> AbstractAsyncContextManager[Any]:
        raise NotImplementedError


class InMemoryInboxRepository(InMemoryRepository, InboxRepository):
    """For tests and first steps. Safe under concurrent tasks and threads."""

    def __init__(self) -> None:
        super().__init__()
        self._running: dict[tuple[str, UUID], Future[None]] = {}

    async def record(self, consumer: str, event_id: UUID, *, transaction: Any = None) -> bool:
        if transaction is not None:
            memory_statements(transaction)
        return await self.once(consumer, event_id, _no_effect)

    async def once(self, consumer: str, event_id: UUID, effect: Effect) -> bool:
        key, mine = (consumer, event_id), Future[None]()
        while (rival := self._running.setdefault(key, mine)) is not mine:
            # `wait`, unlike `await`, leaves the rival alone when this task is cancelled.
            await asyncio.wait([asyncio.wrap_future(rival)])
        try:
            if await self.is_recorded(consumer, event_id):
                return False
            await effect(None)
            await super().record(consumer, event_id)
        finally:
            del self._running[key]
            mine.set_result(None)
        return True


async def _no_effect(_: Any) -> None: ...


class SQLiteInboxRepository(SQLiteRepository, InboxRepository):
    """On a SQLiteDatabase, which you open and close, or in a transaction of one."""

    def _transaction(self) -> AbstractAsyncContextManager[SQLiteTransaction]:
        return block_on(self._source)


class PostgreSQLInboxRepository(PostgreSQLRepository, InboxRepository):
    """On an engine or session factory each call is a transaction of its own; on a connection or
    session it joins the caller's, and an effect that raises undoes only itself."""

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection | AsyncSession]:
        source = self._source
        if isinstance(source, AsyncConnection | AsyncSession):
            async with source.begin_nested():
                yield source
        else:
            factory = async_sessionmaker(source) if isinstance(source, AsyncEngine) else source
            async with factory.begin() as session:
                yield session
