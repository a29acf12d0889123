"""Databases for every test that wants one, on the server the whole test run shares."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from tests.brokers import broker
from tutorial_support.database import databases
from tutorial_support.database.server import Server, find_server
from tutorial_support.paths import jupyter_environment

os.environ.update(jupyter_environment())  # before any notebook kernel starts


T = TypeVar("T")


def run_apart(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `work` on an event loop of its own, whatever loop the test uses."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(work())).result()


@pytest.fixture(scope="session")
def _server() -> Server:
    return run_apart(find_server)


@pytest.fixture(scope="session")
def postgres_server(_server: Server) -> str:
    """URL of the server's maintenance database."""
    return _server.url.render_as_string(hide_password=False)


def _database(server: Server, *, empty: bool) -> Iterator[str]:
    url, claim = run_apart(lambda: databases.create(server, "tutorial_test", empty=empty))
    yield url.render_as_string(hide_password=False)
    run_apart(lambda: databases.drop(server, claim))


@pytest.fixture
def database_url(_server: Server) -> Iterator[str]:
    """URL of a fresh database with the shipped schema."""
    yield from _database(_server, empty=False)


@pytest.fixture
def empty_database_url(_server: Server) -> Iterator[str]:
    """URL of a fresh database with nothing in it."""
    yield from _database(_server, empty=True)


def _broker_url(kind: str) -> Iterator[str]:
    with broker(kind) as server:
        yield server.url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    yield from _broker_url("redis")


@pytest.fixture(scope="session")
def kafka_url() -> Iterator[str]:
    yield from _broker_url("kafka")


@pytest.fixture(scope="session")
def rabbitmq_url() -> Iterator[str]:
    yield from _broker_url("rabbitmq")
