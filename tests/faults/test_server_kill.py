"""Killing who uses, who watches and who is the server: nothing is lost, nothing stays."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager, start_new_async_kernel
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from tutorial_support.database import open_database, supervisor
from tutorial_support.database.cluster import Cluster
from tutorial_support.database.server import shared_server
from tutorial_support.lab import eventually

Running = Callable[[], list[str]]


def cluster() -> Cluster:
    found = shared_server()
    assert isinstance(found, Cluster)
    return found


def postmaster() -> psutil.Process:
    endpoint = cluster().endpoint()
    assert endpoint is not None
    return psutil.Process(endpoint["process"])


async def names() -> set[str]:
    async with await open_database("looking-on") as database:
        rows = await database.fetch("SELECT datname FROM pg_database WHERE datallowconn")
    return {row["datname"] for row in rows}


async def test_the_server_stops_soon_after_its_last_user(
    cache: Path, start_user: Callable, running: Running
) -> None:
    first, second = start_user(), start_user()
    port = first.url.port
    assert second.url.port == port

    first.leave()
    await eventually(lambda: psutil.Process(second.process.pid).is_running())
    assert cluster().is_supervised()

    second.leave()
    await eventually(lambda: not running(), what="all processes to end")


async def test_a_killed_user_lets_the_server_stop_and_its_database_goes_at_the_next_start(
    cache: Path, start_user: Callable, running: Running
) -> None:
    user = start_user()
    left = user.url.database

    user.kill()

    await eventually(lambda: not running(), what="all processes to end")
    assert left not in await names()


async def test_a_database_in_use_is_no_left_over(cache: Path, start_user: Callable) -> None:
    user = start_user()
    used = user.url.database

    assert used in await names()


async def test_a_killed_postmaster_comes_back_at_the_same_place_with_every_commit(
    cache: Path,
) -> None:
    database = await open_database("11-postgresql")
    engine = create_async_engine(database.url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE mine AS SELECT 'committed' AS note"))

    killed = postmaster()
    killed.kill()
    killed.wait(10)

    async def note() -> object:
        try:
            async with engine.connect() as connection:
                return (await connection.execute(text("SELECT note FROM mine"))).scalar()
        except (DBAPIError, OSError):
            return None

    assert await eventually(note, timeout_seconds=20) == "committed"
    await engine.dispose()
    await database.close()


async def test_a_killed_supervisor_takes_the_server_along_and_the_next_start_recovers(
    cache: Path, running: Running
) -> None:
    async with await open_database("11-postgresql", keep=True) as database:
        await database.execute("CREATE TABLE mine AS SELECT 'committed' AS note")

    watcher = postmaster().parent()
    assert watcher is not None
    watcher.kill()

    async with await open_database("11-postgresql", keep=True) as again:
        assert await again.fetch("SELECT note FROM mine") == [("committed",)]


async def test_a_supervisor_told_to_terminate_stops_the_server_in_good_order(
    cache: Path, running: Running
) -> None:
    async with await open_database("11-postgresql"):
        watcher = postmaster().parent()
        assert watcher is not None
        watcher.terminate()
        await eventually(lambda: not running(), what="all processes to end")

    assert "database system is shut down" in cluster().log.read_text()
    assert not (cluster().data / "postmaster.pid").exists()


WITHOUT_PARENT_DEATH_SIGNAL = f"""
import runpy, sys
sys.platform = "as macOS"
runpy.run_path({supervisor.__file__!r}, run_name="__main__")
"""


async def test_an_orphan_that_the_system_leaves_running_is_stopped_by_the_next_start(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        options = ["-I", "-S", "-c", WITHOUT_PARENT_DEATH_SIGNAL]
        elsewhere.setattr(Cluster, "supervisor", lambda _: options)
        async with await open_database("11-postgresql", keep=True) as database:
            await database.execute("CREATE TABLE mine AS SELECT 'committed' AS note")
    orphan = postmaster()
    watcher = orphan.parent()
    assert watcher is not None
    watcher.kill()
    watcher.wait(10)
    assert orphan.is_running()

    async with await open_database("11-postgresql", keep=True) as again:
        assert await again.fetch("SELECT note FROM mine") == [("committed",)]
    assert postmaster() != orphan
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE


async def test_closing_after_the_server_was_stopped_leaves_the_database_to_the_next_start(
    cache: Path,
) -> None:
    database = await open_database("11-postgresql")
    left = database.url.rpartition("/")[2]
    await cluster().stop()

    await database.close()

    assert left not in await names()


async def test_a_notebook_goes_on_after_the_server_was_stopped(cache: Path) -> None:
    async with await open_database("11-postgresql") as database:
        await database.execute("CREATE TABLE mine AS SELECT 'committed' AS note")
        await cluster().stop()

        assert await database.fetch("SELECT note FROM mine") == [("committed",)]


KERNEL_OPENS = """
from tutorial_support.database import open_database
database = await open_database("11-postgresql")
"""


@pytest.fixture
async def kernel(cache: Path) -> AsyncIterator[tuple[AsyncKernelManager, AsyncKernelClient]]:
    manager, client = await start_new_async_kernel(kernel_name="python3")
    yield manager, client
    client.stop_channels()
    await manager.shutdown_kernel(now=True)


async def run(client: AsyncKernelClient, code: str) -> None:
    reply = await client.execute_interactive(code, timeout=60, output_hook=lambda _: None)
    assert reply["content"]["status"] == "ok", reply["content"]


async def test_interrupting_and_restarting_a_kernel_leaves_the_server_alone(
    kernel: tuple[AsyncKernelManager, AsyncKernelClient],
) -> None:
    manager, client = kernel
    await run(client, KERNEL_OPENS)
    before = postmaster()

    await manager.interrupt_kernel()
    await run(client, "assert await database.fetch('SELECT 1 AS one') == [(1,)]")
    await manager.restart_kernel(now=True)
    await client.wait_for_ready(timeout=60)
    await run(client, KERNEL_OPENS)

    assert postmaster() == before
    opened = [name for name in await names() if name.startswith("tutorial_11_postgresql")]
    assert len(opened) == 1
