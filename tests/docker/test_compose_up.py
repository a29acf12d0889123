"""`docker compose up --wait` gives the database of the README, at the address of the README."""

import os
import pathlib
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from eventsource import AggregateRepository, PostgreSQLEventStore
from eventsource.migrations import get_schema
from tutorial_support.database import open_database
from tutorial_support.domain import OrderAggregate

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

ROOT = pathlib.Path(__file__).resolve().parents[2]
README_URL = "postgresql+asyncpg://postgres:postgres@localhost:5432/eventsource_tutorial"

Compose = Callable[..., None]


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def compose(engine: object, port: int) -> Iterator[Compose]:
    """The compose file under a project name and on a port of this test's own."""
    project = f"tutorial-test-{uuid4().hex[:8]}"

    def run(*arguments: str) -> None:
        subprocess.run(
            ["docker", "compose", "--project-name", project, *arguments],
            cwd=ROOT,
            env={**os.environ, "POSTGRES_PORT": str(port)},
            stdin=subprocess.DEVNULL,
            check=True,
        )

    try:
        yield run
    finally:
        run("down", "--volumes")


@pytest.fixture
def url(port: int) -> str:
    return README_URL.replace(":5432", f":{port}")


@asynccontextmanager
async def order_repository(url: str) -> AsyncIterator[AggregateRepository[OrderAggregate]]:
    engine = create_async_engine(url)
    store = PostgreSQLEventStore(async_sessionmaker(engine, expire_on_commit=False))
    yield AggregateRepository(store, OrderAggregate, "Order")
    await engine.dispose()


def plain(url: str) -> str:
    return url.replace("+asyncpg", "")


async def test_the_library_works_there_and_the_data_outlives_the_container(
    compose: Compose, url: str
) -> None:
    compose("up", "--wait")
    connection = await asyncpg.connect(plain(url))
    await connection.execute(get_schema("all"))
    await connection.close()

    order = OrderAggregate(uuid4())
    order.create("customer-1", Decimal("19.99"))
    async with order_repository(url) as orders:
        await orders.save(order)
    compose("rm", "--stop", "--force", "--volumes")
    compose("up", "--wait")

    async with order_repository(url) as orders:
        assert (await orders.load(order.aggregate_id)).state == order.state


async def test_a_notebook_gets_its_own_database_there(
    compose: Compose, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose("up", "--wait")
    monkeypatch.setenv("TUTORIAL_DATABASE_URL", url)

    async with await open_database("compose-test") as database:
        assert await database.fetch("SELECT * FROM events") == []
        assert database.url != url


async def test_the_server_has_what_the_course_needs(compose: Compose, url: str) -> None:
    compose("up", "--wait")
    connection = await asyncpg.connect(plain(url))

    assert await connection.fetchval("SHOW wal_level") == "logical"
    assert await connection.fetchval("SHOW shared_preload_libraries") == "pg_stat_statements"
    assert await connection.fetchval("SHOW fsync") == "on"

    await connection.close()
