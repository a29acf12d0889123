"""Databases for every test that wants one; cache folders for tests of the servers."""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from tutorial_support.database import DatabaseUnavailable, databases, locks, managed
from tutorial_support.database.server import Server, find_server, shared_server
from tutorial_support.paths import NAME, cache_folder, jupyter_environment
from tutorial_support.services import KINDS, is_available, open_service

T = TypeVar("T")
STOP_SECONDS = 30

os.environ.update(jupyter_environment())  # before any notebook kernel starts
# pytest keeps the last temporary folders, and would keep them outside of the course's own
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(cache_folder() / "pytest"))
Path(os.environ["PYTEST_DEBUG_TEMPROOT"]).mkdir(parents=True, exist_ok=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The server of the test run need not wait for another user."""
    if hasattr(session.config, "workerinput"):
        return
    with suppress(DatabaseUnavailable):
        server = shared_server()
        if server is not None and server.is_supervised():
            server.request("hurry")


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


def _new_cache() -> Path:
    """A folder for XDG_CACHE_HOME that the server's account can reach; pytest's are closed."""
    folder = Path(tempfile.mkdtemp(prefix="cache-")).resolve()
    folder.chmod(0o755)
    return folder


def processes_of(folder: Path) -> list[str]:
    """Command lines of the running processes that name `folder` or work in it."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        words = [*(process.info["cmdline"] or ()), process.info["cwd"] or ""]
        if str(folder) in " ".join(words) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(" ".join(words))
    return found


def _stop_servers(cache: Path) -> None:
    """Stop the servers below `cache` as `tutorial db stop` does; they leave nothing running."""
    for folder in [folder for folder in managed._leases if folder.is_relative_to(cache)]:
        os.close(managed._leases.pop(folder))
    for lock in cache.glob("**/supervisor"):
        if locks.is_held(lock):
            lock.with_name("stop").touch()
    deadline = time.monotonic() + STOP_SECONDS
    while (running := processes_of(cache)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert running == []


@pytest.fixture
def running(cache: Path) -> Callable[[], list[str]]:
    """Asks which processes work in the test's cache."""
    return lambda: processes_of(cache)


@pytest.fixture
def empty_cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The course's folder in a cache of the test's own, where it is not made yet."""
    named = (kind.variable for kind in KINDS.values())
    for name in ("TUTORIAL_DATABASE", "TUTORIAL_DATABASE_URL", *named):
        monkeypatch.delenv(name, raising=False)
    for name in jupyter_environment():  # who runs a notebook changes them: they are put back
        monkeypatch.setenv(name, os.environ[name])
    folder = _new_cache()
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    try:
        yield folder / NAME
    finally:
        _stop_servers(folder)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def _made_cache() -> Iterator[Path]:
    folder = _new_cache()
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("TUTORIAL_DATABASE_URL", raising=False)
        environment.setenv("XDG_CACHE_HOME", str(folder))
        run_apart(find_server)
        _stop_servers(folder)
    yield folder / NAME
    shutil.rmtree(folder)


@pytest.fixture
def cache(_made_cache: Path, empty_cache: Path) -> Path:
    """The course's folder in a cache of the test's own, with a server that is made and stopped."""
    subprocess.run(["cp", "-a", str(_made_cache), str(empty_cache)], check=True)
    return empty_cache


def _broker_url(kind: str) -> str:
    if not is_available(kind):
        pytest.skip(KINDS[kind].nothing_found())
    return run_apart(lambda: open_service(kind)).url


@pytest.fixture(scope="session")
def redis_url() -> str:
    return _broker_url("redis")


@pytest.fixture(scope="session")
def kafka_url() -> str:
    return _broker_url("kafka")


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    return _broker_url("rabbitmq")
