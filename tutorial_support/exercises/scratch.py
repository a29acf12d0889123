"""A store on a database of its own, so that a check neither sees nor leaves anything."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from eventsource import PostgreSQLEventStore
from tutorial_support.database import Database, open_database

TStore = TypeVar("TStore", bound=PostgreSQLEventStore)


@asynccontextmanager
async def scratch_store(
    name: str, db: Database, make: Callable[[async_sessionmaker[AsyncSession]], TStore]
) -> AsyncIterator[tuple[TStore, AsyncEngine]]:
    """A store that `make` makes, and its engine, on a fresh database beside the notebook's."""
    async with await open_database(name, url=db.url) as database:
        engine = create_async_engine(database.url)
        try:
            yield make(async_sessionmaker(engine, expire_on_commit=False)), engine
        finally:
            await engine.dispose()
