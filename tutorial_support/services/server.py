"""A Redis, Kafka or RabbitMQ server of ours, and what is said when there is none."""

import asyncio
import os
import secrets
import shutil
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from ..database.container import FETCH_SECONDS
from ..database.errors import ServerUnavailable, indented, said_lines
from ..database.managed import IDLE_SECONDS, ManagedServer
from ..database.private import kill_family
from ..paths import cache_folder
from .containers import engine
from .kinds import KINDS, Kind

SECRET = 0o600


class ServiceUnavailable(ServerUnavailable):
    """No server of this kind can be had."""


class ServiceServer(ManagedServer[str]):
    """It starts empty every time, and its location is its URL."""

    unavailable = ServiceUnavailable

    def __init__(self, kind: Kind, folder: Path, *, idle_seconds: float = IDLE_SECONDS) -> None:
        super().__init__(folder, idle_seconds=idle_seconds)
        self.kind = kind
        if kind.find() is None:
            self.start_seconds = FETCH_SECONDS  # the image may have to be fetched

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)

    def make_room_to_start(self) -> None:
        self.wait_for_orphan()
        shutil.rmtree(self._data, ignore_errors=True)
        self._data.mkdir(mode=0o700)
        _write(self.folder / "password", secrets.token_urlsafe(24))
        from ..database.supervisor import free_port  # which Windows lacks

        _write(self.folder / "port", str(free_port(self.folder)))

    def supervisor(self) -> list[str]:
        return [*super().supervisor(), "--service"]

    def specification(self) -> dict[str, Any]:
        port = int((self.folder / "port").read_text())
        if program := self.kind.find():
            setup = self.kind.set_up(program, self._data, port, self._password)
        elif docker := engine():
            setup = self.kind.set_up_in_docker(docker, self._data, port, self._password)
        else:
            raise ServiceUnavailable(self.kind.nothing_found())
        for name, text in setup.files.items():
            _write(self._data / name, text)
        path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
        return {
            "command": setup.command,
            "helper": setup.helper,
            "environment": {"PATH": path, **setup.environment},
            "directory": str(self._data),
            "run_as": {},
            "port": port,
            "throw_away": self.throw_away,
        }

    def forget(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def url_at(self, endpoint: dict[str, Any]) -> str:
        return self.kind.url.format(port=endpoint["port"], password=self._password)

    async def answers(self, url: str) -> bool:
        endpoint = self.endpoint()
        return endpoint is not None and await asyncio.to_thread(self._ask, endpoint["port"])

    def _ask(self, port: int) -> bool:
        says = self.kind.says.replace(b"{password}", self._password.encode())
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as client:
            client.settimeout(5)
            client.sendall(says)
            return client.recv(16).startswith(self.kind.hears)
        return False

    def explain(self, said: str) -> ServiceUnavailable:
        return ServiceUnavailable(
            f"{self.kind.name} did not start. It said:\n{indented(said_lines(said)[-8:])}\n"
            f"Its files are in {self.folder}."
        )

    def stop_orphan(self) -> None:
        endpoint = self.endpoint()
        with suppress(psutil.Error):
            # It works in our folder, so the process id is not somebody else's by now.
            if endpoint and psutil.Process(endpoint["process"]).cwd() == str(self._data):
                kill_family(endpoint["process"])

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _password(self) -> str:
        return (self.folder / "password").read_text()


def find_kind(name: str) -> Kind:
    """Raises ValueError for a kind of server the course does not have."""
    if name not in KINDS:
        raise ValueError(f"There is no service {name!r}. There are: {', '.join(KINDS)}.")
    return KINDS[name]


def shared_service(kind: Kind, *, idle_seconds: float = IDLE_SECONDS) -> ServiceServer:
    """The one that all kernels and tests share."""
    return ServiceServer(kind, cache_folder() / kind.profile, idle_seconds=idle_seconds)


def private_folder(kind: Kind) -> Path:
    return cache_folder() / f"private-{kind.profile}-{secrets.token_hex(4)}"


def _write(path: Path, text: str) -> None:
    path.touch(mode=SECRET)
    path.write_text(text)
