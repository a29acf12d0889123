"""The brokers in Docker: by `docker compose`, and by the course where there is no program."""

import asyncio
import json
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from eventsource import EventBusConnectionError
from eventsource.bus import (
    RabbitMQEventBus,
    RabbitMQEventBusConfig,
    RedisEventBus,
    RedisEventBusConfig,
)
from tutorial_support.domain import OrderShipped
from tutorial_support.lab import eventually
from tutorial_support.services import KINDS, Service, open_service
from tutorial_support.services.containers import LABEL
from tutorial_support.services.server import shared_service

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
BROKERS = ("redis", "rabbitmq")

Compose = Callable[..., str]


def a_bus(kind: str, service: Service, group: str) -> Any:
    if kind == "redis":
        prefix = service.name
        redis = RedisEventBusConfig(
            redis_url=service.url, stream_prefix=prefix, consumer_group=group
        )
        return RedisEventBus(redis)
    rabbitmq = RabbitMQEventBusConfig(
        rabbitmq_url=service.url, exchange_name=service.name, consumer_group=group
    )
    return RabbitMQEventBus(rabbitmq)


async def an_event_goes_through(kind: str, service: Service) -> None:
    async with AsyncExitStack() as stack:
        shop, mail = (a_bus(kind, service, group) for group in ("shop", "mail"))
        for bus in (shop, mail):
            stack.push_async_callback(bus.shutdown)
        heard: list[Any] = []
        mail.subscribe_to_all_events(heard.append)
        await mail.start_consuming_in_background()
        event = OrderShipped(aggregate_id=uuid4(), tracking_number="T-1")
        await shop.publish([event])
        await eventually(lambda: heard == [event], timeout_seconds=30)


@pytest.fixture
def compose(engine: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Compose]:
    """The compose file under a project name and on ports of this test's own."""
    for kind in KINDS:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            monkeypatch.setenv(f"{kind.upper()}_PORT", str(probe.getsockname()[1]))
    project = f"tutorial-test-{uuid4().hex[:8]}"

    def run(*arguments: str) -> str:
        done = subprocess.run(
            ["docker", "compose", "--project-name", project, "--profile", "all", *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout

    try:
        yield run
    finally:
        run("down", "--volumes")


def services_of(compose: Compose) -> dict[str, Any]:
    services: dict[str, Any] = json.loads(compose("config", "--format", "json"))["services"]
    return services


@pytest.mark.parametrize("kind", BROKERS)
async def test_compose_gives_a_broker_to_this_machine_alone(
    kind: str, compose: Compose, engine: "DockerClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    compose("up", "--wait", kind)
    (port,) = services_of(compose)[kind]["ports"]
    (container,) = engine.containers.list(filters={"label": f"com.docker.compose.service={kind}"})
    published = container.attrs["NetworkSettings"]["Ports"].values()
    assert [[one["HostIp"] for one in each] for each in published if each] == [["127.0.0.1"]]

    default = str(port["target"])
    named = KINDS[kind].example.replace(default, str(port["published"]))
    monkeypatch.setenv(KINDS[kind].variable, named)
    await an_event_goes_through(kind, await open_service(kind))


def test_compose_takes_the_kafka_of_the_file_at_its_port(compose: Compose) -> None:
    kafka = services_of(compose)["kafka"]
    (port,) = kafka["ports"]
    assert port["host_ip"] == "127.0.0.1"
    assert str(port["target"]) == port["published"]
    listens = kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert listens == f"PLAINTEXT://localhost:{port['published']}"


@pytest.fixture(params=BROKERS)
def only_docker(
    request: pytest.FixtureRequest,
    engine: object,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[str]:
    """A machine with neither wheel nor program of this broker."""
    kind = str(request.param)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(KINDS[kind].variable, raising=False)
    monkeypatch.setitem(KINDS, kind, replace(KINDS[kind], find=lambda: None))
    yield kind
    server = shared_service(KINDS[kind])
    server.leave()
    asyncio.run(server.stop())
    server.forget()


def containers(engine: "DockerClient") -> list[Any]:
    found: list[Any] = engine.containers.list(
        all=True, filters={"label": LABEL}, ignore_removed=True
    )
    return found


async def test_the_course_runs_a_broker_in_docker_with_a_password_for_this_machine_alone(
    only_docker: str, engine: "DockerClient"
) -> None:
    service = await open_service(only_docker)
    await an_event_goes_through(only_docker, service)

    (container,) = containers(engine)
    published = container.attrs["NetworkSettings"]["Ports"].values()
    assert [[one["HostIp"] for one in each] for each in published if each] == [["127.0.0.1"]]
    password = service.url.split("@")[0].rpartition(":")[2]
    assert password not in str(container.attrs["Args"]), "a list of processes would tell it"
    folder = shared_service(KINDS[only_docker]).folder
    secret = folder / "data" / "container.env"
    assert password in secret.read_text()
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600

    service.url = service.url.replace(password, "guest")
    with pytest.raises(EventBusConnectionError):
        await a_bus(only_docker, service, "thief").connect()


async def test_a_killed_container_comes_back_and_leaves_with_its_last_user(
    only_docker: str, engine: "DockerClient"
) -> None:
    service = await open_service(only_docker)
    (killed,) = containers(engine)
    killed.kill()
    await eventually(
        lambda: [c.status for c in containers(engine) if c.id != killed.id] == ["running"],
        timeout_seconds=60,
        what="a new container",
    )
    await an_event_goes_through(only_docker, await open_service(only_docker))
    assert service.url

    shared_service(KINDS[only_docker]).leave()
    await eventually(lambda: not containers(engine), timeout_seconds=60, what="an empty engine")
