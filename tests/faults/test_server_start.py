"""Starting the course's server: from nothing, at once, and over what an accident left."""

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tutorial_support.database import DatabaseUnavailable, open_database
from tutorial_support.database.account import server_account
from tutorial_support.database.cluster import Cluster
from tutorial_support.database.server import seed_server, shared_server
from tutorial_support.lab import eventually


def cluster() -> Cluster:
    found = shared_server()
    assert isinstance(found, Cluster)
    return found


async def test_eight_that_start_at_once_share_one_server(
    empty_cache: Path, start_user: Callable
) -> None:
    users = [start_user() for _ in range(8)]

    urls = [user.url for user in users]

    assert len({url.database for url in urls}) == 8
    assert len({(url.port, url.password) for url in urls}) == 1


async def test_a_first_start_that_was_killed_is_done_again(
    empty_cache: Path, start_user: Callable
) -> None:
    killed = start_user()
    folder = cluster().folder
    await eventually(lambda: list(folder.glob("making-*/data/base")), timeout_seconds=20)
    killed.kill()
    assert not (folder / "cluster").exists()

    async with await open_database("11-postgresql") as database:
        assert await database.fetch("SELECT 1 AS one") == [(1,)]
    assert list(folder.glob("making-*")) == []


async def test_a_first_start_that_was_interrupted_is_done_again(empty_cache: Path) -> None:
    interrupted = asyncio.create_task(open_database("11-postgresql"))
    await eventually(lambda: list(cluster().folder.glob("making-*/data/base")), timeout_seconds=20)
    interrupted.cancel()
    with pytest.raises(asyncio.CancelledError):
        await interrupted

    async with await open_database("11-postgresql") as database:
        assert await database.fetch("SELECT 1 AS one") == [(1,)]


async def test_one_process_may_ask_for_several_at_once(cache: Path) -> None:
    asked = [open_database("11-postgresql") for _ in range(4)]
    databases = await asyncio.gather(*asked)

    assert len({database.url for database in databases}) == 4
    for database in databases:
        await database.close()


def spread(folder: Path) -> bool:
    folder.mkdir()
    command = ["chattr", "+T", folder]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def is_spread(folder: Path) -> bool:
    said = subprocess.run(["lsattr", "-d", folder], capture_output=True, text=True, check=False)
    return "T" in said.stdout.split(" ")[0]


@pytest.mark.skipif(not shutil.which("lsattr"), reason="only Linux has ext4")
async def test_databases_are_spread_over_the_disk_where_it_can_be_said(cache: Path) -> None:
    async with await open_database("11-postgresql"):
        assert is_spread(cluster().data / "base") == spread(cluster().folder / "can-be-said")


@pytest.fixture
def innocent() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the account the server has, as a process id that was given out again."""
    process = subprocess.Popen(["sleep", "60"], **server_account().run_as())
    yield process
    process.kill()
    process.wait()


async def test_a_stale_process_id_is_not_trusted(
    cache: Path, innocent: subprocess.Popen[bytes]
) -> None:
    stale = cluster().data / "postmaster.pid"
    stale.write_text(f"{innocent.pid}\n{cluster().data}\n1\n5432\n\n127.0.0.1\n0 0\nready\n")
    os.chown(stale, cluster().data.stat().st_uid, cluster().data.stat().st_gid)

    async with await open_database("11-postgresql") as database:
        assert await database.fetch("SELECT 1 AS one") == [(1,)]
    assert innocent.poll() is None


async def test_a_server_of_another_version_is_left_alone(cache: Path) -> None:
    older = cache / "postgresql-9" / "cluster" / "data" / "PG_VERSION"
    older.parent.mkdir(parents=True)
    older.write_text("9\n")

    async with await open_database("11-postgresql"):
        pass

    assert [path for path in older.parents[2].rglob("*") if path.is_file()] == [older]


async def test_kept_data_moves_with_the_folder(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    database = await open_database("11-postgresql", keep=True)
    await database.execute("CREATE TABLE mine AS SELECT 'still here' AS note")
    old = cluster()

    new_home = cache.parent / "elsewhere"
    new_home.mkdir()
    shutil.move(cache, new_home / cache.name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(new_home))

    async with await open_database("11-postgresql", keep=True) as moved:
        assert await moved.fetch("SELECT note FROM mine") == [("still here",)]
    assert old.folder != cluster().folder
    assert not old.folder.exists()


async def test_a_deleted_folder_is_made_anew(cache: Path) -> None:
    async with await open_database("11-postgresql"):
        pass
    removing = await asyncio.create_subprocess_exec("rm", "-rf", str(cache))
    assert await removing.wait() == 0

    async with await open_database("11-postgresql") as database:
        assert await database.fetch("SELECT 1 AS one") == [(1,)]


async def test_damaged_data_is_one_clear_message(cache: Path) -> None:
    (cluster().data / "global" / "pg_control").write_bytes(b"")

    with pytest.raises(DatabaseUnavailable, match="tutorial db reset") as caught:
        await open_database("11-postgresql")

    assert "pg_control" in str(caught.value)


@pytest.mark.parametrize("place", ["a-file", "a-file/below"])
async def test_a_cache_that_is_no_folder_is_one_clear_message(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (empty_cache.parent / "a-file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(empty_cache.parent / place))

    with pytest.raises(DatabaseUnavailable, match="XDG_CACHE_HOME"):
        await open_database("11-postgresql")


async def test_a_taken_port_is_one_clear_message(cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(DatabaseUnavailable, match=f"Port {port} is taken by another program"):
            await seed_server(port).join()


SUDO = [] if os.geteuid() == 0 else ["sudo", "-n"]
