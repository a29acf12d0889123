"""Every repository on every backend."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from eventsource.repositories import checkpoint, dlq, inbox, outbox
from eventsource.sqlite_database import SQLiteDatabase

Source = SQLiteDatabase | AsyncEngine | None


@pytest.fixture(params=["in-memory", "sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def source(
    backend: str, request: pytest.FixtureRequest, tmp_path: Path, engine_of
) -> AsyncIterator[Source]:
    """What the backend's repositories are made on; None in memory."""
    if backend == "in-memory":
        yield None
    elif backend == "sqlite":
        async with SQLiteDatabase(tmp_path / "test.db") as database:
            await database.initialize()
            yield database
    else:
        yield engine_of(request.getfixturevalue("database_url"))


def _make(backend: str, name: str, module: Any, source: Source) -> Any:
    prefix = {"in-memory": "InMemory", "sqlite": "SQLite", "postgresql": "PostgreSQL"}[backend]
    cls = getattr(module, f"{prefix}{name}Repository")
    return cls() if source is None else cls(source)


@pytest.fixture
def checkpoints(backend: str, source: Source) -> checkpoint.CheckpointRepository:
    return _make(backend, "Checkpoint", checkpoint, source)


@pytest.fixture
def dead_letters(backend: str, source: Source) -> dlq.DLQRepository:
    return _make(backend, "DLQ", dlq, source)


@pytest.fixture
def inbox_of(backend: str, source: Source) -> inbox.InboxRepository:
    return _make(backend, "Inbox", inbox, source)


@pytest.fixture
def entries(backend: str, source: Source) -> outbox.OutboxRepository:
    return _make(backend, "Outbox", outbox, source)


@pytest.fixture
def begin(source: Source) -> Callable[[], AbstractAsyncContextManager[Any]]:
    """Begins a transaction of the caller's own."""
    if isinstance(source, SQLiteDatabase):
        return source.transaction
    return source.begin


class _UndoneError(Exception):
    pass


@pytest.fixture
def undone(begin) -> Callable[[], AbstractAsyncContextManager[Any]]:
    """Begins a transaction that is rolled back by an exception."""

    @asynccontextmanager
    async def transaction() -> AsyncIterator[Any]:
        with suppress(_UndoneError):
            async with begin() as transaction:
                yield transaction
                raise _UndoneError

    return transaction
