"""One event store after the other, for tests that hold for all of them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from eventsource import EventStore, InMemoryEventStore, PostgreSQLEventStore, SQLiteEventStore
from eventsource.migrations import get_schema
from tutorial_support.database import databases
from tutorial_support.database.server import Server

NEED_NO_SERVER = ("in-memory", "sqlite")

# The table of the oldest tutorial, before there was a position.
MINIMAL_TABLE = """
CREATE TABLE events (
    event_id UUID PRIMARY KEY,
    aggregate_id UUID NOT NULL,
    aggregate_type VARCHAR(255) NOT NULL,
    event_type VARCHAR(255) NOT NULL,
    tenant_id UUID,
    actor_id VARCHAR(255),
    version INTEGER NOT NULL,
    timestamp TIMESTAMP WITH TIME ZONE NOT NULL,
    payload JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_events_aggregate_version UNIQUE (aggregate_id, aggregate_type, version)
)
"""


def schema_of(backend: str) -> str:
    if backend == "postgresql-minimal":
        return MINIMAL_TABLE
    return get_schema("events_partitioned" if backend == "postgresql-partitioned" else "all")


@pytest.fixture
def minimal_table() -> str:
    return MINIMAL_TABLE


async def run_sql(url: str, text: str) -> None:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        await connection.execute(text)
    finally:
        await connection.close()


@pytest.fixture
def load_sql() -> Callable[[str, str], Awaitable[None]]:
    """Run SQL text, of any number of statements, in the database of a URL."""
    return run_sql


@pytest.fixture
async def engine_of() -> AsyncIterator[Callable[[str], AsyncEngine]]:
    """Engines that are disposed in the end, and must have got every connection back."""
    engines: list[AsyncEngine] = []

    def make(url: str, **options: object) -> AsyncEngine:
        engine = create_async_engine(url, **{"pool_size": 5, "max_overflow": 10, **options})
        engines.append(engine)
        return engine

    yield make
    left_out = [engine.pool.checkedout() for engine in engines]  # type: ignore[attr-defined]
    for engine in engines:
        await engine.dispose()
    assert left_out == [0] * len(engines), "a connection was not given back"


@pytest.fixture
def backend() -> str:
    """Which store `event_store` is; tests parametrise it."""
    return "postgresql"


@pytest.fixture
async def events_url(backend: str, request: pytest.FixtureRequest, load_sql) -> str | None:
    """A database with the backend's table; None for the backends that need no server."""
    if backend in NEED_NO_SERVER:
        return None
    if backend == "postgresql":
        return request.getfixturevalue("database_url")
    url = request.getfixturevalue("empty_database_url")
    await load_sql(url, schema_of(backend))
    return url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_events_url(backend: str, _server: Server) -> AsyncIterator[str | None]:
    """The same for a whole module, whose tests then keep to streams of their own."""
    if backend in NEED_NO_SERVER:
        yield None
        return
    url, claim = await databases.create(_server, "tutorial_test", empty=True)
    text = url.render_as_string(hide_password=False)
    await run_sql(text, schema_of(backend))
    yield text
    await databases.drop(_server, claim)


@pytest.fixture
async def event_store(
    backend: str, events_url: str | None, engine_of, tmp_path: Path
) -> AsyncIterator[EventStore]:
    if backend == "in-memory":
        yield InMemoryEventStore()
    elif backend == "sqlite":
        async with SQLiteEventStore(tmp_path / "events.db") as store:
            await store.initialize()
            yield store
    else:
        sessions = async_sessionmaker(engine_of(events_url), expire_on_commit=False)
        yield PostgreSQLEventStore(sessions)


@pytest.fixture
def store_on(engine_of: Callable) -> Callable[..., PostgreSQLEventStore]:
    def make(url: str, **options: object) -> PostgreSQLEventStore:
        return PostgreSQLEventStore(async_sessionmaker(engine_of(url)), **options)

    return make


@pytest.fixture
async def database_connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    yield connection
    await connection.close()
