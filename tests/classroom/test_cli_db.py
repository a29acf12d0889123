"""`tutorial db`, as typed: what it prints, what it does, how it exits."""

import re
import socket
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from tutorial_support.database import open_database
from tutorial_support.database.server import shared_server
from tutorial_support.lab import eventually

Tutorial = Callable[..., str]
SEED_URL = "postgresql+asyncpg://postgres:postgres@localhost:{}/eventsource_tutorial"


async def ask(url: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url.strip().replace("postgresql+asyncpg", "postgresql"))
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


def in_server_folder(name: str) -> Path:
    server = shared_server()
    assert server is not None
    return server.folder / name


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


async def test_a_started_server_runs_without_users_until_it_is_stopped(
    tutorial: Tutorial, cache: Path, running: Callable[[], list[str]]
) -> None:
    assert "No server is running" in tutorial("db", "status", exits=3)
    assert "tutorial db start" in tutorial("db", "url", exits=1)

    assert "until you type:  tutorial db stop" in tutorial("db", "start")

    in_server_folder("hurry").touch()  # it would go at once, were it not held
    url = tutorial("db", "url")
    assert await ask(url, "SELECT * FROM events") == []
    said = tutorial("db", "status")
    assert re.search(r"PostgreSQL \d+\.\d+ runs at 127.0.0.1:\d+", said)
    assert re.search(r"eventsource_tutorial +\d+ kB", said)

    assert tutorial("db", "stop") == "Stopped.\n"
    await eventually(lambda: not running(), what="all processes to end")
    assert tutorial("db", "stop") == "No server was running.\n"


async def test_the_server_of_the_written_examples_stands_apart(
    tutorial: Tutorial, cache: Path, free_port: int
) -> None:
    tutorial("db", "start")
    mine = tutorial("db", "url")
    await ask(mine, "CREATE TABLE mine (note text)")

    said = tutorial("db", "start", "--seed-credentials", "--port", str(free_port))

    assert SEED_URL.format(free_port) in said
    assert await ask(SEED_URL.format(free_port), "SELECT * FROM events") == []
    assert await ask(SEED_URL.format(free_port), "SELECT to_regclass('mine')") == [(None,)]
    assert tutorial("db", "url") == mine
    assert tutorial("db", "status").count(" runs at ") == 2


def test_a_chosen_port_is_used_and_a_running_server_is_not_moved(
    tutorial: Tutorial, cache: Path, free_port: int
) -> None:
    tutorial("db", "start", "--port", str(free_port))
    assert f":{free_port}/" in tutorial("db", "url")

    said = tutorial("db", "start", "--port", str(free_port + 1), exits=1)
    assert f"runs already, at port {free_port}" in said
    assert "tutorial db stop && tutorial db start --port" in said


def test_a_taken_port_is_refused(tutorial: Tutorial, cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = tutorial("db", "start", "--seed-credentials", "--port", str(port), exits=1)
    assert f"Port {port} is taken by another program" in said


def test_a_port_that_is_none_is_refused(tutorial: Tutorial) -> None:
    assert "--port" in tutorial("db", "start", "--port", "80", exits=2)


def test_psql_starts_the_server_and_passes_on_what_follows(tutorial: Tutorial, cache: Path) -> None:
    said = tutorial("db", "psql", "--", "-tA", "-c", "SELECT count(*) FROM events")
    assert said == "0\n"
    said = tutorial("db", "psql", "--database", "postgres", answer="SELECT current_database();")
    assert "postgres" in said
    assert "does not exist" in tutorial("db", "psql", "--database", "nowhere", exits=2)


def test_psql_never_shows_the_password_to_other_users(tutorial: Tutorial, cache: Path) -> None:
    secret = in_server_folder("cluster/password")
    program = "\\! cat /proc/*/cmdline | tr '\\0' ' '"
    assert secret.read_text() not in tutorial("db", "psql", answer=program)


async def test_resetting_asks_then_throws_everything_away(tutorial: Tutorial, cache: Path) -> None:
    tutorial("db", "start")
    await ask(tutorial("db", "url"), "CREATE TABLE mine (note text)")

    assert "Nothing was thrown away" in tutorial("db", "reset", answer="n\n", exits=1)
    assert await ask(tutorial("db", "url"), "SELECT to_regclass('mine')") == [("mine",)]

    assert "Gone" in tutorial("db", "reset", answer="y\n")
    assert not in_server_folder("cluster").exists()
    tutorial("db", "start")
    assert await ask(tutorial("db", "url"), "SELECT to_regclass('mine')") == [(None,)]


async def test_resetting_one_database_leaves_the_others(tutorial: Tutorial, cache: Path) -> None:
    await open_database("11-postgresql", keep=True)
    await open_database("12-other", keep=True)

    said = tutorial("db", "reset", "--yes", "tutorial_13", exits=1)
    assert "There is no database tutorial_13 of the course" in said
    assert "tutorial_11_postgresql" in said
    assert "no database postgres" in tutorial("db", "reset", "--yes", "postgres", exits=1)

    tutorial("db", "reset", "--yes", "tutorial_11_postgresql")
    said = tutorial("db", "status")
    assert "tutorial_12_other" in said
    assert "tutorial_11_postgresql" not in said


async def test_a_server_of_your_own_is_shown_and_left_alone(
    tutorial: Tutorial, cache: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: str
) -> None:
    monkeypatch.setenv("TUTORIAL_DATABASE_URL", postgres_server)

    assert "the server of TUTORIAL_DATABASE_URL" in tutorial("db", "status")
    assert tutorial("db", "url") == f"{postgres_server}\n"
    assert tutorial("db", "psql", "--", "-tA", "-c", "SELECT 1") == "1\n"
    for command in ("stop", "reset"):
        said = tutorial("db", command, answer="y\n", exits=1)
        assert "neither starts nor stops" in said
