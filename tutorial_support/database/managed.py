"""A server of ours that all processes of a machine user share: join it, start it once, stop it."""

import asyncio
import json
import os
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Generic, TypeVar

from . import locks
from .errors import ServerUnavailable

Location = TypeVar("Location")  # what `join` tells of where the server is

IDLE_SECONDS = 10.0
POLL_SECONDS = 0.02
STOP_SECONDS = 60.0
GRACE_SECONDS = 1.0
ORPHAN_SECONDS = 20.0
LOG_BYTES = 1_000_000
_leases: dict[Path, int] = {}


class ManagedServer(ABC, Generic[Location]):
    """One server in `folder`, run by a supervisor process (see supervisor.py).

    `idle_seconds` after its last user has gone the server stops; a `throw_away` server is removed
    then.
    """

    start_seconds = 60.0
    unavailable: type[ServerUnavailable]

    def __init__(self, folder: Path, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self.folder = folder
        self.idle_seconds = idle_seconds
        self.throw_away = False

    @abstractmethod
    def prepare(self) -> None:
        """Make the folder and what the server needs in it, unless it is there."""

    @abstractmethod
    def make_room_to_start(self) -> None:
        """Make the data, unless it is there, and see that nothing is in the way."""

    def supervisor(self) -> list[str]:
        """Arguments for Python that run the supervisor."""
        return ["-I", "-S", str(Path(__file__).with_name("supervisor.py"))]

    @abstractmethod
    def specification(self) -> dict[str, Any]:
        """What the supervisor must know besides the folder and the idle time."""

    @abstractmethod
    def forget(self) -> None:
        """Remove the stopped server with all its data."""

    @abstractmethod
    def url_at(self, endpoint: dict[str, Any]) -> Location:
        """The URL of the server that listens there."""

    @abstractmethod
    async def answers(self, url: Location) -> bool:
        """Whether the server there is up and takes our password. No process id is trusted."""

    @abstractmethod
    def explain(self, said: str) -> ServerUnavailable:
        """One clear message out of what a program or the operating system said."""

    def stop_orphan(self) -> None:
        """Stop the server of a killed supervisor where the system does not, as on macOS."""

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def is_supervised(self) -> bool:
        return locks.is_held(self.folder / "supervisor")

    def endpoint(self) -> dict[str, Any] | None:
        """Host, port and, where it is a process of this machine, process id of the server."""
        try:
            found = json.loads((self.folder / "endpoint").read_text())
        except (OSError, ValueError):
            return None
        # The server of a folder that was moved is about to stop.
        here = str(self.folder)
        return dict(found) if found.get("folder", here) == here else None

    def url(self) -> Location | None:
        """The URL of the server, if it ought to be running."""
        endpoint = self.endpoint() if self.is_supervised() else None
        return self.url_at(endpoint) if endpoint else None

    async def join(self) -> Location:
        """Become a user of the server, starting it if need be, and return its URL.

        The server stays up at least as long as this process. Raises ServerUnavailable.
        """
        try:
            await self.become_user()
            return await self._answering() or await self._started()
        except TimeoutError as error:
            raise self.unavailable(
                f"The server neither starts nor stops ({error}). Its log: {self.log}"
            ) from error
        except OSError as error:
            raise self.explain(str(error)) from error

    async def become_user(self) -> None:
        """Keep the server, once it runs, from stopping for want of users."""
        self.prepare()
        file, lease = self.folder / "lease", _leases.get(self.folder)
        if lease is None or not _is_open_at(lease, file):
            # A server that has begun to stop keeps the lease until it is gone.
            lease = await locks.wait_for(file, shared=True, seconds=self.start_seconds)
            self.leave()
            _leases[self.folder] = lease

    def leave(self) -> None:
        """Stop being a user before this process ends."""
        if (lease := _leases.pop(self.folder, None)) is not None:
            os.close(lease)

    def keep_lease_across_exec(self) -> None:
        """Let the program that replaces this process be the user."""
        os.set_inheritable(_leases[self.folder], True)

    def request(self, name: str) -> None:
        """Ask the supervisor for something; supervisor.py lists what there is."""
        (self.folder / name).touch(mode=0o600)

    async def stop(self) -> bool:
        """Stop the server, whoever uses it. Tells whether one was running."""
        if not self.is_supervised():
            return False
        self.request("stop")
        await asyncio.to_thread(self._wait_until_stopped)
        return True

    def _wait_until_stopped(self) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        while self.is_supervised():
            if time.monotonic() > deadline:
                raise self.unavailable(f"The server does not stop. Its log: {self.log}")
            time.sleep(POLL_SECONDS)
        while self.throw_away and self.folder.exists():  # the supervisor is removing it
            if time.monotonic() > deadline:
                raise self.unavailable(f"The server has stopped. Remove its folder {self.folder}")
            time.sleep(POLL_SECONDS)

    def wait_for_orphan(self) -> None:
        """Wait until the server of a killed supervisor is gone: Linux has told it to go."""
        began = time.monotonic()
        while locks.is_held(self.folder / "server"):
            waited = time.monotonic() - began
            if waited > ORPHAN_SECONDS:
                raise self.unavailable(
                    f"Processes of the last server still work in {self.folder}.\n"
                    "They end when their work is done: try again in a moment."
                )
            if waited > GRACE_SECONDS:
                self.stop_orphan()
            time.sleep(POLL_SECONDS)

    async def _answering(self) -> Location | None:
        url = self.url()
        return url if url and await self.answers(url) else None

    async def _started(self) -> Location:
        deadline = time.monotonic() + self.start_seconds
        async with locks.exclusive(self.folder / "start", seconds=self.start_seconds):
            log_begins: int | None = None
            while time.monotonic() < deadline:
                if url := await self._answering():
                    return url
                if not self.is_supervised():
                    if log_begins is not None:
                        raise self.explain(self._logged_since(log_begins))
                    log_begins = await asyncio.to_thread(self._launch)
                await asyncio.sleep(POLL_SECONDS)
        raise TimeoutError(f"no answer within {self.start_seconds:.0f} s")

    def _launch(self) -> int:
        """Start the supervisor; return where in the log its story begins."""
        self.make_room_to_start()
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.old"))
        specification = {"folder": str(self.folder), "idle_seconds": self.idle_seconds}
        argument = json.dumps(specification | self.specification())
        self.log.touch(mode=0o600)
        with self.log.open("ab") as log:
            begin = log.tell()
            subprocess.run(
                [sys.executable, *self.supervisor(), argument],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,  # interrupting a kernel must not reach the server
                check=False,
            )
        return begin

    def _logged_since(self, begin: int) -> str:
        with self.log.open("rb") as log:
            log.seek(begin)
            return log.read().decode(errors="replace")


def _is_open_at(descriptor: int, path: Path) -> bool:
    """Whether `path` is still the file we opened: somebody may have moved the folder."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
