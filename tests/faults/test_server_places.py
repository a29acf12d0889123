"""Where programs and data are: out of reach, or on a disk that is full."""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.small_disk import SmallDisk, small_disk_at
from tutorial_support.database import DatabaseUnavailable, open_database, programs
from tutorial_support.database.account import server_account
from tutorial_support.database.cluster import Cluster
from tutorial_support.database.server import server_home, shared_server
from tutorial_support.paths import NAME


def cluster() -> Cluster:
    found = shared_server()
    assert isinstance(found, Cluster)
    return found


def mode_of(folder: Path) -> int:
    return folder.stat().st_mode & 0o777


def copies_in(cache: Path) -> list[Path]:
    return list(cache.glob("programs-*"))


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A folder of the test's user alone."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def programs_in_closed(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = programs.embedded()
    assert found is not None
    packages = found.folder.parents[2]
    for name in (programs.WHEEL, f"{programs.WHEEL}.libs"):
        shutil.copytree(packages / name, closed / name)
    moved = replace(found, folder=closed / found.folder.relative_to(packages))
    monkeypatch.setattr(programs, "embedded", lambda: moved)


@pytest.mark.usefixtures("programs_in_closed")
async def test_programs_that_the_account_cannot_reach_are_copied_once(
    empty_cache: Path, closed: Path
) -> None:
    for name in ("first", "second"):
        async with await open_database(name) as database:
            assert await database.fetch("SELECT 1 AS one") == [(1,)]

    assert len(copies_in(empty_cache)) == server_account().changes
    assert mode_of(closed) == 0o700


def test_a_cache_that_the_account_cannot_reach_is_left_as_it_is(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(closed))
    account = server_account()

    home = server_home(account)

    assert account.can_use(home.parent)
    assert (home == closed / NAME) is not account.changes
    assert mode_of(closed) == 0o700


async def test_programs_of_the_machine_serve_as_well(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if programs.local() is None:
        pytest.skip("this machine has no PostgreSQL programs of its own")
    monkeypatch.setenv("TUTORIAL_DATABASE", "local")

    async with await open_database("11-postgresql") as database:
        (version,) = await database.fetch("SHOW server_version")
    found = programs.local()
    assert found is not None
    assert version["server_version"].startswith(found.version)


@pytest.fixture
def small_disk(empty_cache: Path) -> Iterator[SmallDisk]:
    """The cache on a disk of its own."""
    with small_disk_at(empty_cache, "20m") as disk:
        yield disk
        shared = cluster()
        shared.leave()
        asyncio.run(shared.stop())


async def open_many() -> None:
    for _ in range(50):
        await open_database("11-postgresql")


def half_made(folder: Path) -> list[Path]:
    return [*folder.rglob("making-*"), *folder.rglob("copying-*")]


async def test_a_full_disk_at_the_first_start_is_one_clear_message(
    small_disk: SmallDisk, empty_cache: Path
) -> None:
    with pytest.raises(DatabaseUnavailable, match=f"The disk is full.*{empty_cache}"):
        await open_database("11-postgresql")
    assert half_made(empty_cache) == []

    small_disk.resize("200m")
    async with await open_database("11-postgresql") as database:
        assert await database.fetch("SELECT 1 AS one") == [(1,)]


async def test_a_disk_that_fills_up_is_one_clear_message_and_recovers(
    small_disk: SmallDisk, empty_cache: Path
) -> None:
    small_disk.resize("200m")
    kept = await open_database("11-postgresql", keep=True)
    await kept.execute("CREATE TABLE mine AS SELECT 'still here' AS note")
    small_disk.fill()

    with pytest.raises(DatabaseUnavailable, match=r"disk .* is full"):
        await open_many()

    small_disk.make_room()
    async with await open_database("11-postgresql", keep=True) as again:
        assert await again.fetch("SELECT note FROM mine") == [("still here",)]
