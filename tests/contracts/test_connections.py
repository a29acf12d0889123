"""The PostgreSQL event store and its connections."""

import asyncio
import traceback
from collections.abc import Callable
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.pool import StaticPool

from eventsource import (
    DomainEvent,
    EventStoreConnectionError,
    EventStoreError,
    PostgreSQLEventStore,
    register_event,
)
from tutorial_support.lab import eventually


@register_event
class AnchorDropped(DomainEvent):
    aggregate_type: str = "Ship"


def test_the_session_factory_must_be_bound_to_an_asyncpg_engine(engine_of: Callable) -> None:
    with pytest.raises(TypeError, match="bound to an engine"):
        PostgreSQLEventStore(async_sessionmaker())
    with pytest.raises(TypeError, match="async_sessionmaker"):
        PostgreSQLEventStore("postgresql+asyncpg://localhost/x")
    sqlite = create_async_engine("sqlite+aiosqlite://")
    with pytest.raises(ValueError, match=r"sqlite\+aiosqlite"):
        PostgreSQLEventStore(async_sessionmaker(sqlite))


async def test_a_connection_inside_a_transaction_is_not_used(database_url: str) -> None:
    engine = create_async_engine(database_url, poolclass=StaticPool)
    sessions, ship = async_sessionmaker(engine), uuid4()
    store = PostgreSQLEventStore(sessions)
    async with sessions() as session:
        await session.execute(text("SELECT 1"))
        with pytest.raises(EventStoreError, match="somebody's transaction"):
            await store.append_events(ship, "Ship", [AnchorDropped(aggregate_id=ship)], 0)
    assert await store.get_stream_version(ship, "Ship") == 0
    await engine.dispose()


async def test_a_connection_that_came_back_in_a_transaction_is_replaced(
    engine_of: Callable, database_url: str
) -> None:
    engine, ship = engine_of(database_url, pool_size=1, max_overflow=0), uuid4()
    store = PostgreSQLEventStore(async_sessionmaker(engine))
    connection = await engine.raw_connection()
    # What remains when a request is cancelled while SQLAlchemy waits for the answer to its BEGIN.
    await connection.driver_connection.execute("BEGIN")
    connection.close()
    await store.append_events(ship, "Ship", [AnchorDropped(aggregate_id=ship)], 0)
    assert await store.get_stream_version(ship, "Ship") == 1
    assert engine.pool.checkedout() == 0


def url_with(url: str, **parts: object) -> str:
    return make_url(url).set(**parts).render_as_string(hide_password=False)


async def test_a_database_out_of_reach_is_explained(
    store_on: Callable, database_url: str, unused_tcp_port: int
) -> None:
    cases = [
        (url_with(database_url, port=unused_tcp_port), "nothing answers there"),
        (url_with(database_url, host="no.such.host.invalid"), "nothing answers there"),
        (url_with(database_url, username="nobody", password="a-secret-word"), "this password"),
        (url_with(database_url, database="no_such_database"), "'no_such_database'"),
    ]
    for url, reason in cases:
        with pytest.raises(EventStoreConnectionError, match=reason) as error:
            await store_on(url).get_stream_version(uuid4(), "Ship")
        assert error.value.__cause__ is not None
        story = "".join(traceback.format_exception(error.value))
        assert "a-secret-word" not in story


async def test_a_server_that_lets_a_role_not_in_is_explained(
    store_on: Callable, database_url: str, database_connection: asyncpg.Connection
) -> None:
    database = make_url(database_url).database
    role = f"{database}_crowd"
    url = url_with(database_url, username=role, password="a-secret-word")
    cases = [
        (f"CREATE ROLE {role} LOGIN PASSWORD 'a-secret-word' CONNECTION LIMIT 0", "pool_size"),
        (f"ALTER ROLE {role} CONNECTION LIMIT -1", "permission denied for database"),
    ]
    await database_connection.execute(f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")
    for change, reason in cases:
        await database_connection.execute(change)
        with pytest.raises(EventStoreConnectionError, match=reason):
            await store_on(url).get_stream_version(uuid4(), "Ship")
    await database_connection.execute(f"DROP ROLE {role}")


async def test_an_exhausted_pool_is_explained(engine_of: Callable, database_url: str) -> None:
    engine = engine_of(database_url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    store = PostgreSQLEventStore(async_sessionmaker(engine))
    async with engine.connect():
        with pytest.raises(EventStoreConnectionError, match="pool_size"):
            await store.get_stream_version(uuid4(), "Ship")
    assert await store.get_stream_version(uuid4(), "Ship") == 0


async def test_a_connection_lost_in_the_pool_is_replaced(
    store_on: Callable, database_url: str, database_connection: asyncpg.Connection
) -> None:
    store = store_on(database_url)
    await asyncio.gather(*(store.get_stream_version(uuid4(), "Ship") for _ in range(5)))
    await database_connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    ship = uuid4()

    async def append() -> bool:
        try:
            return (
                await store.append_events(ship, "Ship", [AnchorDropped(aggregate_id=ship)], -1)
            ).success
        except EventStoreConnectionError:
            return False

    assert await eventually(append)
