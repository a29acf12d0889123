"""A log with its checkpoints and dead letters on every backend, and managers that end."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from eventsource import (
    CheckpointRepository,
    DLQRepository,
    EventStore,
    InMemoryCheckpointRepository,
    InMemoryDLQRepository,
    InMemoryEventStore,
    PostgreSQLCheckpointRepository,
    PostgreSQLDLQRepository,
    PostgreSQLEventStore,
    RetryPolicy,
    SQLiteCheckpointRepository,
    SQLiteDatabase,
    SQLiteDLQRepository,
    SQLiteEventStore,
    SubscriptionConfig,
    SubscriptionManager,
)
from tests.till import ArticleSold, feed
from tutorial_support.lab import eventually

QUICK = RetryPolicy(max_tries=2, first_delay_seconds=0.001)


@dataclass(frozen=True)
class Log:
    store: EventStore
    checkpoints: CheckpointRepository
    dead_letters: DLQRepository
    database: AsyncEngine | SQLiteDatabase | None

    async def shows(self, count: int) -> None:
        """Even a vacuum elsewhere can hold the feed of PostgreSQL back for a moment."""

        async def has_all() -> bool:
            return len(await feed(self.store)) >= count

        await eventually(has_all, timeout_seconds=20)


@pytest.fixture(params=["in-memory", "sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def log(
    backend: str, request: pytest.FixtureRequest, tmp_path: Path, engine_of: Callable
) -> AsyncIterator[Log]:
    if backend == "in-memory":
        checkpoints, letters = InMemoryCheckpointRepository(), InMemoryDLQRepository()
        yield Log(InMemoryEventStore(), checkpoints, letters, None)
    elif backend == "sqlite":
        async with SQLiteDatabase(tmp_path / "log.db") as sqlite:
            await sqlite.initialize()
            checkpoints, letters = SQLiteCheckpointRepository(sqlite), SQLiteDLQRepository(sqlite)
            yield Log(SQLiteEventStore(sqlite), checkpoints, letters, sqlite)
    else:
        engine = engine_of(request.getfixturevalue("database_url"))
        store = PostgreSQLEventStore(async_sessionmaker(engine))
        checkpoints = PostgreSQLCheckpointRepository(engine)
        yield Log(store, checkpoints, PostgreSQLDLQRepository(engine), engine)


@pytest.fixture
async def manager_of(log: Log) -> AsyncIterator[Callable[..., SubscriptionManager]]:
    """Managers on the log, which are stopped in the end."""
    made: list[SubscriptionManager] = []

    def make(event_bus: Any = None, **options: Any) -> SubscriptionManager:
        made.append(SubscriptionManager(log.store, event_bus, log.checkpoints, **options))
        return made[-1]

    yield make
    for manager in made:
        await manager.stop()


@pytest.fixture
def manager(manager_of: Callable[..., SubscriptionManager], log: Log) -> SubscriptionManager:
    return manager_of(dlq_repo=log.dead_letters)


def quick(**settings: Any) -> SubscriptionConfig:
    """Polls and retries as often as a test likes."""
    return SubscriptionConfig(**{"poll_interval_seconds": 0.05, "retry": QUICK, **settings})


class Seller:
    """A subscriber that remembers which articles were sold, and fails at the rotten ones."""

    def __init__(self, *rotten: str) -> None:
        self.sold: list[str] = []
        self.tries: list[str] = []
        self.rotten = set(rotten)

    def subscribed_to(self) -> list[type[ArticleSold]]:
        return [ArticleSold]

    async def handle(self, event: ArticleSold) -> None:
        self.tries.append(event.article)
        if event.article in self.rotten:
            raise ValueError(f"a rotten {event.article}")
        self.sold.append(event.article)

    async def has(self, *articles: str) -> None:
        """Wait for it, and for nothing more."""
        await eventually(lambda: len(self.sold) >= len(articles), timeout_seconds=20)
        assert self.sold == list(articles)
