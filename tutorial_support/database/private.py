"""A server of one's own, to crash."""

import asyncio
import os
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from . import databases
from .account import server_account
from .cluster import START_SECONDS, Cluster
from .errors import DatabaseUnavailable
from .server import Server, find_programs, server_folder


class PrivateServer:
    """A throw-away PostgreSQL server. `url` names a database with the course's schema."""

    def __init__(self, cluster: Cluster, url: str) -> None:
        self._cluster, self.url = cluster, url

    def __repr__(self) -> str:
        return "private PostgreSQL server"

    async def kill(self) -> None:
        """End every process of the server at once, with no chance to clean up."""
        self._cluster.request("down")
        endpoint = self._cluster.endpoint()
        if endpoint is not None:
            await asyncio.to_thread(_kill_family, endpoint["postmaster"])

    async def restart(self) -> None:
        """Start the server again after `kill`, on the same port; returns when it has recovered."""
        (self._cluster.folder / "down").unlink(missing_ok=True)
        await self._cluster.join()

    async def stop(self) -> None:
        """Stop the server and remove its files."""
        await self._cluster.stop()
        self._cluster.leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()


def _kill_family(postmaster: int) -> None:
    """Freeze the postmaster, so that it neither reacts nor forks, then kill all of them."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(postmaster)
        parent.suspend()
        family = [*parent.children(recursive=True), parent]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(family, timeout=START_SECONDS)


async def private_server() -> PrivateServer:
    """Start a cluster of your own in a temporary folder. Raises DatabaseUnavailable."""
    programs = find_programs()
    if programs is None:
        raise DatabaseUnavailable("No PostgreSQL programs.")
    account = server_account()
    base = server_folder(account) / "private"
    base.mkdir(parents=True, exist_ok=True, mode=0o755)
    cluster = Cluster(
        folder=Path(tempfile.mkdtemp(dir=base)),
        programs=programs,
        account=account,
        idle_seconds=1.0,
        remove_when_stopped=True,
    )
    url = await cluster.join()
    named = await databases.create_kept(Server(url, cluster.folder / "runs", cluster), "tutorial")
    return PrivateServer(cluster, named.render_as_string(hide_password=False))
