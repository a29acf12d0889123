"""A server of one's own, to crash."""

import asyncio
import os
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from . import databases, locks
from .choice import find_programs, nothing_found
from .errors import DatabaseUnavailable
from .managed import Location, ManagedServer
from .server import Server, cluster_in

IDLE_SECONDS = 1.0
DEATH_SECONDS = 10.0


class PrivateServer:
    """A throw-away server, PostgreSQL or another. `url` names what is on it for you."""

    def __init__(self, name: str, server: ManagedServer[Any], url: str) -> None:
        self._name, self._server, self.url = name, server, url
        self.folder = server.folder

    def __repr__(self) -> str:
        return f"private {self._name} server"

    async def kill(self) -> None:
        """Kill all processes of the server at once, as near to a power cut as a program gets."""
        endpoint = self._server.endpoint()
        if endpoint is not None and self._server.is_supervised():
            self._server.request("down")
            await asyncio.to_thread(kill_family, endpoint["process"])

    async def restart(self) -> None:
        """Start the server again, on the same port; returns when it has recovered."""
        (self._server.folder / "down").unlink(missing_ok=True)
        await self._server.join()

    async def stop(self) -> None:
        """Stop the server and remove its files."""
        await self._server.stop()
        self._server.leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()


async def private_server() -> PrivateServer:
    """Start a PostgreSQL of your own, with nothing in it but the schema.

    It ends with `stop`, or soon after your process. Raises DatabaseUnavailable, also where only a
    URL or Docker gives a database, for their servers are not ours to kill.
    """
    found = find_programs()
    if found is None:
        raise DatabaseUnavailable(
            "This lesson kills a PostgreSQL server, so it needs PostgreSQL's programs.\n"
            + nothing_found()
        )
    cluster = cluster_in(f"private-{secrets.token_hex(4)}", found, idle_seconds=IDLE_SECONDS)
    server = Server(await start_private(cluster), cluster.folder / "runs")
    url = await databases.create_only(server, databases.COURSE_DATABASE)
    return PrivateServer("PostgreSQL", cluster, url.render_as_string(hide_password=False))


async def start_private(server: ManagedServer[Location]) -> Location:
    """Start a server in a new folder, which is removed when it stops."""
    server.throw_away = True
    home = server.folder.parent
    async with locks.exclusive(home / "private.lock"):
        _remove_leftovers(home)
        await server.become_user()
    return await server.join()


def _remove_leftovers(home: Path) -> None:
    """Remove the folders whose supervisor was killed before it could."""
    for folder in home.glob("private-*"):
        try:
            lease = locks.hold(folder / "lease")
        except FileNotFoundError:  # its supervisor has just removed it
            continue
        if lease is None:
            continue
        if not locks.is_held(folder / "supervisor") and not locks.is_held(folder / "server"):
            shutil.rmtree(folder, ignore_errors=True)
        os.close(lease)


def kill_family(head: int) -> None:
    """Freeze the first process, so that it neither reacts nor forks, then kill all of them."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(head)
        parent.suspend()
        family = [*parent.children(recursive=True), parent]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        deadline = time.monotonic() + DEATH_SECONDS
        while any(map(_is_alive, family)) and time.monotonic() < deadline:
            time.sleep(0.002)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
