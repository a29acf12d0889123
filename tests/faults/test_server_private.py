"""A server of one's own is killed as by a power cut, and recovers."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from tutorial_support.database import DatabaseUnavailable, private_server
from tutorial_support.lab import eventually

KERNEL = """
import asyncio, sys
from tutorial_support.database import private_server

async def main():
    server = await private_server()
    await server.{before_the_end}
    print("ready", flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


def dsn(url: str) -> str:
    return url.replace("postgresql+asyncpg", "postgresql")


def segment_of_the_server_in(cache: Path) -> str:
    """The id of the shared memory segment that outlives a killed server."""
    (file,) = cache.glob("private-*/cluster/data/postmaster.pid")
    return file.read_text().splitlines()[6].split()[1]


def segments() -> set[str]:
    """The ids of all segments, where the system lists them."""
    table = Path("/proc/sysvipc/shm")
    lines = table.read_text().splitlines()[1:] if table.exists() else []
    return {line.split()[1] for line in lines}


def left_of(cache: Path) -> list[Path]:
    return list(cache.glob("private-*"))


async def test_what_was_committed_is_there_after_a_kill_and_nothing_else(cache: Path) -> None:
    async with await private_server() as server:
        connection = await asyncpg.connect(dsn(server.url))
        await connection.execute("CREATE TABLE mine (note text)")
        await connection.execute("INSERT INTO mine VALUES ('committed')")
        await connection.execute("BEGIN; INSERT INTO mine VALUES ('not committed')")

        await server.kill()
        with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)):
            await connection.execute("COMMIT")
        with pytest.raises(ConnectionRefusedError):
            await asyncpg.connect(dsn(server.url))

        await server.restart()
        connection = await asyncpg.connect(dsn(server.url))
        assert await connection.fetch("SELECT note FROM mine") == [("committed",)]
        await connection.close()


async def test_it_is_fresh_has_the_schema_and_disturbs_nobody(cache: Path) -> None:
    async with await private_server() as one, await private_server() as two:
        assert one.url != two.url
        await one.kill()
        connection = await asyncpg.connect(dsn(two.url))
        assert await connection.fetch("SELECT * FROM events") == []
        await connection.close()


async def test_stopping_leaves_nothing_even_after_a_kill(
    cache: Path, running: Callable[[], list[str]]
) -> None:
    async with await private_server() as server:
        await server.kill()
        segment = segment_of_the_server_in(cache)

    assert left_of(cache) == []
    assert segment not in segments()
    await eventually(lambda: not running(), what="all processes to end")


@pytest.mark.parametrize("before_the_end", ["restart()", "kill()"])
async def test_a_killed_kernel_leaves_nothing(
    cache: Path, running: Callable[[], list[str]], before_the_end: str
) -> None:
    kernel = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KERNEL.format(before_the_end=before_the_end)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert kernel.stdout is not None
    assert await kernel.stdout.readline() == b"ready\n"
    kernel.kill()
    await kernel.communicate()

    await eventually(lambda: not running() and not left_of(cache), timeout_seconds=20)


async def test_what_a_killed_supervisor_left_goes_with_the_next_private_server(
    cache: Path,
) -> None:
    left = cache / "private-0badc0de" / "cluster" / "data"
    left.mkdir(parents=True)

    async with await private_server():
        assert not left.exists()


async def test_without_programs_it_says_what_to_do(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tutorial_support.database.private.find_programs", lambda: None)

    with pytest.raises(DatabaseUnavailable, match=r"kills a PostgreSQL server(.|\n)*make install"):
        await private_server()
