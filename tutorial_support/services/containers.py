"""The servers in Docker, for a machine that has an engine and neither wheel nor program.

`docker run` stays in the foreground, as a child like any other: to end it ends the container.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

LABEL = "eventsource-tutorial.service"
CLIENT = ("HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_CERT_PATH")


@dataclass(frozen=True, kw_only=True)
class Image:
    """What to run. The container's environment holds PASSWORD, of which no list of processes
    tells, and what `environment` makes of port and password."""

    name: str
    port: int = 0  #: inside; 0 for the same as outside
    environment: Callable[[int, str], dict[str, str]] = lambda port, password: {}
    options: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)


REDIS = Image(
    name="redis:8",
    port=6379,
    options=["--user", "redis"],
    command=[
        "sh",
        "-c",
        """printf 'requirepass %s\nappendonly yes\nsave ""\n' "$PASSWORD" | redis-server -""",
    ],
)
KAFKA = Image(
    name="apache/kafka:4.1.1",
    # A client is sent on to the advertised address, so the port is the same inside and outside.
    environment=lambda port, password: {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:19093",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_LISTENERS": f"PLAINTEXT://:{port},CONTROLLER://localhost:19093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    },
)
RABBITMQ = Image(
    name="rabbitmq:4",
    port=5672,
    environment=lambda port, password: {"RABBITMQ_DEFAULT_PASS": password},
)


def engine() -> Path | None:
    """The client of a Docker engine that answers. On Windows nobody would stop the container."""
    docker = shutil.which("docker")
    if docker is None or sys.platform == "win32":
        return None
    asked = subprocess.run(
        [docker, "version"], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return Path(docker) if asked.returncode == 0 else None


def container_name(folder: Path) -> str:
    return f"eventsource-tutorial-{sha256(str(folder).encode()).hexdigest()[:12]}"


def command(docker: Path, image: Image, folder: Path, port: int) -> list[str]:
    """Run it at this port of this machine alone, in place of what a killed client left."""
    name = container_name(folder)
    run = [
        *(str(docker), "run", "--rm", "--init", "--name", name, "--label", LABEL),
        *("--publish", f"127.0.0.1:{port}:{image.port or port}"),
        *("--env-file", str(folder / "container.env")),
        *image.options,
        *(image.name, *image.command),
    ]
    remove = [str(docker), "rm", "--force", "--volumes", name]
    return ["sh", "-c", f"{shlex.join(remove)} >/dev/null 2>&1; exec {shlex.join(run)}"]


def environment_file(image: Image, port: int, password: str) -> str:
    values = {"PASSWORD": password, **image.environment(port, password)}
    return "".join(f"{name}={value}\n" for name, value in values.items())


def client_environment() -> dict[str, str]:
    """What the client needs to find its engine."""
    return {name: os.environ[name] for name in CLIENT if name in os.environ}
