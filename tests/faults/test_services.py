"""Brokers of ours: started once, shared, and gone whoever is killed."""

import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NoConnectionError

from tests.fuzzing import fuzz
from tutorial_support.lab import eventually
from tutorial_support.services import (
    KINDS,
    ServiceUnavailable,
    is_available,
    open_service,
    private_service,
)
from tutorial_support.services.own import places
from tutorial_support.services.server import ServiceServer, find_kind, shared_service

USER = """
import asyncio, sys
from tutorial_support.services.server import find_kind, shared_service

async def main(kind):
    server = shared_service(find_kind(kind), idle_seconds=0.5)
    print(await server.join(), flush=True)
    sys.stdin.read()

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if KINDS[name].find() is None:
        pytest.skip(KINDS[name].nothing_found())
    return name


@pytest.fixture
def start_user(empty_cache: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start a process that uses a broker, as a kernel does; it prints the URL."""
    users: list[subprocess.Popen[str]] = []

    def start(kind: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", USER, kind]
        pipe = subprocess.PIPE
        users.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
        return users[-1]

    yield start
    for user in users:
        user.kill()
        user.communicate()


def url_of(user: subprocess.Popen[str]) -> str:
    assert user.stdout is not None
    return user.stdout.readline().strip()


def left_in(cache: Path, pattern: str) -> list[Path]:
    return list(cache.glob(pattern))


def process_of(kind: str) -> psutil.Process:
    endpoint = shared_service(find_kind(kind)).endpoint()
    assert endpoint is not None
    return psutil.Process(endpoint["process"])


async def test_two_cold_starts_share_one_server_and_both_killed_leave_nothing(
    kind: str, start_user: Callable, running: Callable[[], list[str]]
) -> None:
    first, second = start_user(kind), start_user(kind)
    assert url_of(first) == url_of(second) != ""

    first.kill()
    first.wait(10)
    assert shared_service(find_kind(kind)).is_supervised()

    second.kill()
    await eventually(lambda: not running(), timeout_seconds=30, what="all processes to end")


async def test_a_killed_supervisor_takes_all_along_and_the_next_start_finds_room(
    kind: str, empty_cache: Path, running: Callable[[], list[str]]
) -> None:
    first = (await open_service(kind)).url
    watcher = process_of(kind).parent()
    assert watcher is not None
    watcher.kill()
    await eventually(lambda: not running(), timeout_seconds=30, what="all processes to end")

    second = (await open_service(kind)).url

    assert kind == "kafka" or first != second  # a new password; that broker has none
    assert process_of(kind).is_running()


async def test_its_files_are_its_owners_and_it_listens_on_this_machine_only(
    kind: str, empty_cache: Path
) -> None:
    await open_service(kind)
    folder = shared_service(find_kind(kind)).folder

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for secret in (folder / "password", *left_in(folder / "data", "*.conf")):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    addresses = {
        connection.laddr.ip
        for process in psutil.process_iter(["cwd"])
        if (process.info["cwd"] or "").startswith(str(folder))
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses <= {"127.0.0.1", "::1"}


async def test_a_private_redis_is_killed_and_comes_back_with_what_it_had_confirmed(
    empty_cache: Path, running: Callable[[], list[str]]
) -> None:
    async def ask(*command: str) -> object:
        async with Redis.from_url(server.url) as client:
            return await client.execute_command(*command)

    async with await private_service("redis") as server:
        await ask("SET", "kept", "yes")
        await server.kill()
        with pytest.raises(NoConnectionError):
            await ask("GET", "kept")

        await server.restart()
        assert await ask("GET", "kept") == b"yes"

    assert not left_in(empty_cache, "private-*")
    await eventually(lambda: not running(), what="all processes to end")


async def test_names_on_one_server_are_yours_alone(empty_cache: Path) -> None:
    one, two = await open_service("redis"), await open_service("redis")

    assert one.url == two.url
    assert one.name != two.name
    assert one.url not in repr(one)


async def test_a_server_of_your_own_is_used_and_named(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as yours:
        address = f"nobody.invalid:1, 127.0.0.1:{yours.getsockname()[1]}"
        monkeypatch.setenv("TUTORIAL_KAFKA_URL", address)
        service = await open_service("kafka")

    assert service.url == address
    assert repr(service) == "Kafka server: the server of TUTORIAL_KAFKA_URL"
    assert not left_in(empty_cache, "kafka")


@pytest.mark.parametrize("kind", ["redis", "kafka", "rabbitmq"])
async def test_where_nobody_answers_is_said_with_what_to_type(
    kind: str, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    found = find_kind(kind)
    scheme = f"{found.schemes[0]}://me:Geheim-7@" if found.schemes else ""
    monkeypatch.setenv(found.variable, f"{scheme}127.0.0.1:{port}")
    with pytest.raises(ServiceUnavailable, match=f"answers at 127.0.0.1:{port}: start it") as no:
        await open_service(kind)
    assert f"unset {found.variable}" in str(no.value)
    assert "Geheim-7" not in str(no.value)


SCRAPS = ["redis", "amqp", "kafka", "://", ":", "@", "/", "a..b", "127.0.0.1", "[", "0", "9" * 30]


@fuzz
@given(
    kind=st.sampled_from(["redis", "kafka", "rabbitmq"]),
    address=st.lists(st.sampled_from([*SCRAPS, "\udcff", "%00"]) | st.text(max_size=3), max_size=6),
)
def test_an_address_is_read_or_refused_in_words(kind: str, address: list[str]) -> None:
    found = find_kind(kind)
    try:
        assert all(host and 0 < port < 65536 for host, port in places(found, "".join(address)))
    except ServiceUnavailable as error:
        assert f"{found.variable} cannot be read" in str(error)  # noqa: PT017  # some are good


@pytest.mark.parametrize("begin", [open_service, private_service])
async def test_a_missing_server_is_one_message_with_what_to_type_and_no_traceback(
    begin: Callable,
    empty_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setattr("tutorial_support.services.kinds.RABBITMQ_PLACES", ())
    monkeypatch.setattr("shutil.which", lambda *_: None)
    assert not is_available("rabbitmq")

    with pytest.raises(ServiceUnavailable, match=r"rabbitmq(.|\n)*docker compose --profile") as no:
        await begin("rabbitmq")

    InteractiveShell().showtraceback((no.type, no.value, no.tb))
    shown = capsys.readouterr().out
    assert shown.startswith("ServiceUnavailable: There is no RabbitMQ to use.")
    assert "Traceback" not in shown
    assert not left_in(empty_cache, "*rabbitmq*")


async def test_a_server_that_cannot_start_says_what_it_said(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ServiceServer, "start_seconds", 20.0)
    monkeypatch.setattr("tutorial_support.database.supervisor.free_port", lambda *_: 70_000)

    with pytest.raises(ServiceUnavailable, match=r"Redis did not start. It said:\n.*\S"):
        await open_service("redis")
