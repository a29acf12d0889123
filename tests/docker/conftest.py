"""The Docker engine that the environment names, and proof that a test leaves nothing in it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from docker import DockerClient


def everything_in(engine: "DockerClient") -> set[str]:
    containers = {f"container {c.name}" for c in engine.containers.list(all=True)}
    volumes = {f"volume {v.name}" for v in engine.volumes.list()}
    return containers | volumes | {f"network {n.name}" for n in engine.networks.list()}


@pytest.fixture
def engine() -> Iterator["DockerClient"]:
    import docker

    client = docker.from_env()
    before = everything_in(client)
    yield client
    left = everything_in(client) - before
    client.close()
    assert left == set()
