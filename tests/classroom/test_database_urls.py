"""A server of your own: how its URL may look, and one clear message for each mistake."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, make_url

from tutorial_support.database import DatabaseUnavailable, open_database, programs
from tutorial_support.database.server import find_server
from tutorial_support.database.urls import as_dsn, connection_to, parse_url

PASSWORD = "Geheim-7"


@pytest.fixture
def elsewhere(postgres_server: str, empty_cache: Path) -> URL:
    """A server that is not ours, as far as the course knows."""
    return make_url(postgres_server)


@pytest.mark.parametrize("form", ["postgresql+asyncpg", "postgresql", "postgres"])
async def test_a_url_may_have_any_usual_form(elsewhere: URL, empty_cache: Path, form: str) -> None:
    url = elsewhere.set(drivername=form).render_as_string(hide_password=False)
    async with await open_database("11-postgresql", url=url) as database:
        assert database.url.startswith("postgresql+asyncpg://")
        assert await database.fetch("SELECT * FROM events") == []


async def test_the_environment_names_a_server_too(
    elsewhere: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = elsewhere.render_as_string(hide_password=False)
    monkeypatch.setenv("TUTORIAL_DATABASE_URL", f" {url}\n")
    async with await open_database("11-postgresql") as database:
        assert make_url(database.url).port == elsewhere.port


async def test_tls_is_asked_for_by_either_name() -> None:
    libpq = parse_url("postgresql://me@db.example/postgres?sslmode=require")
    sqlalchemy = parse_url("postgresql+asyncpg://me@db.example/postgres?ssl=require")
    assert libpq == sqlalchemy
    assert as_dsn(libpq).endswith("?sslmode=require")


async def test_left_overs_of_killed_runs_go_there_too(elsewhere: URL) -> None:
    url = elsewhere.render_as_string(hide_password=False)
    code = (
        "import asyncio, os, sys\n"
        "from tutorial_support.database import open_database\n"
        "async def main():\n"
        "    print((await open_database('killed', url=os.environ['HERE'])).url, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    killed = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code), stdout=subprocess.PIPE, env={**os.environ, "HERE": url}
    )
    said, _ = await killed.communicate()
    left = make_url(said.decode().strip()).database

    async with await open_database("next", url=url) as database:
        names = await database.fetch("SELECT datname FROM pg_database")
    assert left not in [row["datname"] for row in names]


def mistake(elsewhere: URL, **parts: object) -> str:
    return elsewhere.set(**parts).render_as_string(hide_password=False)  # type: ignore[arg-type]


async def message(url: str) -> str:
    with pytest.raises(DatabaseUnavailable) as caught:
        await open_database("11-postgresql", url=url)
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "cannot be read"),
        ("localhost", "cannot be read"),
        ("postgresql://me:secret@localhost:port/db", "cannot be read"),
        ("sqlite:///my.db", "begins with sqlite://, and the course needs PostgreSQL"),
        ("mysql://me@localhost/db", "begins with mysql://, and the course needs PostgreSQL"),
        ("postgresql://me@localhost/db?sslmode=perhaps", "sslmode"),
        ("postgresql://me:\ud800@localhost:1/db", "cannot be read"),
        ("postgresql://me@\ud800/db", "cannot be read"),
        (f"postgresql://me@{'x' * 300}/db", "There is no host 'xxx"),
        ("postgresql://me@a..b/db", "There is no host 'a..b'"),
        ("postgresql://me@%00/db", "cannot be used"),
        (5, "cannot be read"),
    ],
)
async def test_what_is_no_url_of_postgresql(url: Any, said: str) -> None:
    assert said in await message(url)


async def test_a_wrong_password(elsewhere: URL) -> None:
    said = await message(mistake(elsewhere, password=PASSWORD))
    assert (
        f"{elsewhere.host}:{elsewhere.port} refused the user 'postgres' with this password" in said
    )


async def test_a_wrong_user(elsewhere: URL) -> None:
    said = await message(mistake(elsewhere, username="nobody-here", password=PASSWORD))
    assert "refused the user 'nobody-here'" in said


async def test_a_missing_database(elsewhere: URL) -> None:
    said = await message(mistake(elsewhere, database="not-there"))
    assert "has no database 'not-there'" in said


async def test_an_unknown_host(elsewhere: URL) -> None:
    said = await message(mistake(elsewhere, host="no-such-host.invalid", password=PASSWORD))
    assert said == "There is no host 'no-such-host.invalid': check the database URL."


async def test_nobody_listening(elsewhere: URL) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    said = await message(mistake(elsewhere, port=port, password=PASSWORD))
    assert f"No PostgreSQL server answers at {elsewhere.host}:{port}" in said
    assert "unset TUTORIAL_DATABASE_URL" in said


@pytest.fixture
async def web_server() -> AsyncIterator[int]:
    """The port of something that is not PostgreSQL."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_something_else_listening(elsewhere: URL, web_server: int) -> None:
    said = await message(mistake(elsewhere, port=web_server, password=PASSWORD))
    assert f"What answers at {elsewhere.host}:{web_server} is not PostgreSQL" in said


@pytest.fixture
async def server_with_roles(cache: Path) -> URL:
    """A server with users that are no superusers."""
    url = (await find_server()).url
    async with connection_to(url) as connection:
        await connection.execute(f"CREATE ROLE modest LOGIN PASSWORD '{PASSWORD}'")
        await connection.execute(f"CREATE ROLE maker LOGIN CREATEDB PASSWORD '{PASSWORD}'")
    return url


async def test_a_user_who_may_not_make_databases(server_with_roles: URL) -> None:
    said = await message(mistake(server_with_roles, username="modest", password=PASSWORD))
    assert "may not make databases" in said
    assert "ALTER ROLE ... CREATEDB" in said


async def test_a_user_who_may_make_databases_needs_no_more(server_with_roles: URL) -> None:
    async with await open_database("11-postgresql"):  # the superuser's template is there already
        url = mistake(server_with_roles, username="maker", password=PASSWORD)
        async with await open_database("11-postgresql", url=url) as database:
            assert await database.fetch("SELECT * FROM events") == []


async def test_a_choice_that_is_none(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTORIAL_DATABASE", "oracle")
    with pytest.raises(DatabaseUnavailable, match="'oracle', and knows only embedded, local"):
        await find_server()


async def test_a_url_asked_for_and_not_given(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUTORIAL_DATABASE", "url")
    with pytest.raises(DatabaseUnavailable, match="export TUTORIAL_DATABASE_URL="):
        await find_server()


async def test_a_forced_server_of_ours_comes_before_a_url(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUTORIAL_DATABASE", "embedded")
    monkeypatch.setenv("TUTORIAL_DATABASE_URL", "postgresql://nobody@localhost:1/nothing")
    assert (await find_server()).runs.is_relative_to(cache)


@pytest.fixture
def nothing_there(empty_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with no wheel, no programs and no Docker engine."""
    monkeypatch.setattr(programs, "WHEEL", "no_such_wheel")
    monkeypatch.setattr(programs, "USUAL_PLACES", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    for found in (programs.embedded, programs.local):
        monkeypatch.setattr(programs, found.__name__, found.__wrapped__)


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("", "There is no PostgreSQL to use"),
        ("embedded", "its package is not installed"),
        ("local", "this machine has no PostgreSQL programs"),
        ("docker", "no Docker engine answers"),
    ],
)
@pytest.mark.usefixtures("nothing_there")
async def test_no_server_to_be_had(monkeypatch: pytest.MonkeyPatch, choice: str, said: str) -> None:
    monkeypatch.setenv("TUTORIAL_DATABASE", choice)
    with pytest.raises(DatabaseUnavailable, match=said) as caught:
        await find_server()
    assert "make install" in str(caught.value)
    assert "TUTORIAL_DATABASE_URL" in str(caught.value)


def test_a_notebook_shows_the_message_alone() -> None:
    cell = (
        "from tutorial_support.database import open_database\n"
        "await open_database('11-postgresql', url='postgresql://me:Geheim-7@localhost:1/db')"
    )
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=NoColor", "-c", cell],
        capture_output=True,
        text=True,
        check=False,
    )
    shown = done.stdout + done.stderr
    assert "DatabaseUnavailable: No PostgreSQL server answers at localhost:1" in shown
    assert "Traceback" not in shown
    assert "Geheim-7" not in shown
