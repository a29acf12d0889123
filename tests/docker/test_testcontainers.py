"""The course's own server in Docker, where a machine has nothing else."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from tutorial_support.database import open_database
from tutorial_support.database.container import IMAGE, LABEL, DockerServer
from tutorial_support.database.server import shared_server
from tutorial_support.lab import eventually

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


@pytest.fixture
async def server(
    engine: "DockerClient", monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> AsyncIterator[DockerServer]:
    monkeypatch.delenv("TUTORIAL_DATABASE_URL", raising=False)
    monkeypatch.setenv("TUTORIAL_DATABASE", "docker")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    server = shared_server()
    assert isinstance(server, DockerServer)
    yield server
    server.leave()
    await server.stop()
    server.forget()


def containers(engine: "DockerClient", server: DockerServer) -> list["Container"]:
    found: list[Container] = engine.containers.list(
        all=True, filters={"label": f"{LABEL}={server.folder}"}, ignore_removed=True
    )
    return found


async def test_notebooks_share_one_container_and_each_has_its_database(engine, server):
    async with await open_database("one") as one, await open_database("two") as two:
        await one.execute("CREATE TABLE mine (id int)")

        assert await one.fetch("SELECT * FROM events") == []
        assert await two.fetch("SELECT to_regclass('mine') IS NULL AS absent") == [(True,)]
        (container,) = containers(engine, server)
        assert container.image.tags == [IMAGE]


async def test_only_this_machine_can_reach_it(engine, server):
    async with await open_database("loopback"):
        (container,) = containers(engine, server)
        published = container.attrs["NetworkSettings"]["Ports"]["5432/tcp"]

        assert {port["HostIp"] for port in published} == {"127.0.0.1"}


async def test_a_killed_container_comes_back_with_what_was_kept(engine, server):
    kept = await open_database("killed", keep=True)
    await kept.execute("CREATE TABLE notes (note text); INSERT INTO notes VALUES ('still here')")

    (killed,) = containers(engine, server)
    killed.kill()

    await eventually(
        lambda: [c.status for c in containers(engine, server) if c.id != killed.id] == ["running"],
        timeout_seconds=60,
        what="a new container",
    )
    again = await open_database("killed", keep=True)
    assert await again.fetch("SELECT note FROM notes") == [("still here",)]


async def test_it_stops_when_its_last_user_is_gone(engine, server):
    async with await open_database("last-user"):
        assert len(containers(engine, server)) == 1

    server.leave()

    await eventually(
        lambda: not containers(engine, server), timeout_seconds=60, what="an empty engine"
    )
