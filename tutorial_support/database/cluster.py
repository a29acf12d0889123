"""A PostgreSQL cluster in a folder of ours: make it, start it once, join it, stop it."""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from sqlalchemy import URL

from . import locks
from .account import Account
from .errors import DatabaseUnavailable
from .explain import explain_log
from .programs import Programs

START_SECONDS = 60.0
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "wal_level": "logical",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_error_statement": "panic",  # the lessons provoke errors: no need to log each statement
}
_leases: dict[Path, int] = {}


@dataclass(frozen=True)
class Cluster:
    """One cluster and the server that runs it.

    `idle_seconds` without a user stop the server. `port` 0 means any free one.
    """

    folder: Path
    programs: Programs
    account: Account
    idle_seconds: float = 10.0
    port: int = 0
    password: str | None = None  # None: generated
    remove_when_stopped: bool = False

    @property
    def data(self) -> Path:
        return self.folder / "cluster" / "data"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def is_supervised(self) -> bool:
        return locks.is_held(self.folder / "supervisor")

    def endpoint(self) -> dict[str, int] | None:
        """Port and postmaster of the running server."""
        try:
            found = json.loads((self.folder / "endpoint").read_text())
        except (OSError, ValueError):
            return None
        return dict(found) if self.is_supervised() else None

    def url(self) -> URL | None:
        """How to reach the server, if it is supposed to run."""
        endpoint = self.endpoint()
        if endpoint is None:
            return None
        password = (self.folder / "cluster" / "password").read_text()
        return URL.create(
            "postgresql+asyncpg", "postgres", password, "127.0.0.1", endpoint["port"], "postgres"
        )

    async def join(self) -> URL:
        """Become a user of the server, starting it if need be, and return its URL.

        The server stays up at least as long as this process. Raises DatabaseUnavailable.
        """
        try:
            await asyncio.to_thread(self._take_lease)
            return await self._answering() or await self._started()
        except OSError as error:
            raise DatabaseUnavailable(explain_log(str(error), self.folder)) from error

    def _take_lease(self) -> None:
        if self.folder in _leases and self._lease_is_current():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o711 if self.account.changes else 0o700)
        # A server that has begun to stop keeps the lease until it is gone.
        lease = locks.hold(self.folder / "lease", shared=True, wait_seconds=START_SECONDS)
        if lease is None:
            raise DatabaseUnavailable(f"The server in {self.folder} does not finish stopping.")
        _leases[self.folder] = lease

    def _lease_is_current(self) -> bool:
        try:
            held, there = os.fstat(_leases[self.folder]), (self.folder / "lease").stat()
        except OSError:
            return False
        return os.path.samestat(held, there)

    def leave(self) -> None:
        """Stop being a user before this process ends."""
        if (lease := _leases.pop(self.folder, None)) is not None:
            os.close(lease)

    def keep_lease_across_exec(self) -> None:
        """Let the program that replaces this process be the user."""
        os.set_inheritable(_leases[self.folder], True)

    async def _answering(self) -> URL | None:
        """The URL, if the server behind it is ours and answers. No process id is trusted."""
        url = self.url()
        if url is None:
            return None
        try:
            connection = await asyncpg.connect(
                url.set(drivername="postgresql").render_as_string(hide_password=False), timeout=5
            )
        except asyncpg.InvalidPasswordError as error:
            raise DatabaseUnavailable(
                "The password of the account `postgres` was changed in the course's server.\n"
                "Start over with an empty one:  tutorial db reset"
            ) from error
        except asyncpg.TooManyConnectionsError:
            return url
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return None
        await connection.close()
        return url

    async def _started(self) -> URL:
        deadline = time.monotonic() + START_SECONDS
        lock = await asyncio.to_thread(
            locks.hold, self.folder / "start", wait_seconds=START_SECONDS
        )
        if lock is None:
            raise DatabaseUnavailable(f"Somebody else is starting the server in {self.folder}.")
        launched_at = None
        try:
            while time.monotonic() < deadline:
                if url := await self._answering():
                    return url
                if not self.is_supervised():
                    if launched_at is not None:
                        raise DatabaseUnavailable(explain_log(self._said(launched_at), self.folder))
                    launched_at = await asyncio.to_thread(self._launch)
                await asyncio.sleep(0.02)
        finally:
            os.close(lock)
        raise DatabaseUnavailable(
            f"PostgreSQL did not answer within {START_SECONDS:.0f} seconds.\n"
            f"Its log: {self.log}"
        )

    def _said(self, since: int) -> str:
        with self.log.open("rb") as log:
            log.seek(since)
            return log.read().decode(errors="replace")

    def _launch(self) -> int:
        """Start the supervisor; return where in the log its story begins."""
        self._remove_half_made()
        if not self.data.exists():
            self._initdb()
        if self.log.exists() and self.log.stat().st_size > 1_000_000:
            self.log.rename(self.log.with_suffix(".log.old"))
        specification = {
            "folder": str(self.folder),
            "command": [self.programs.path("postgres"), "-D", str(self.data), *self._options()],
            "environment": {"PATH": os.defpath, "LC_ALL": "C"},
            "run_as": self.account.run_as(),
            "idle_seconds": self.idle_seconds,
            "port": self.port,
            "remove": self.remove_when_stopped,
        }
        script = Path(__file__).with_name("supervisor.py")
        with self.log.open("ab") as log:
            begin = log.tell()
            subprocess.run(  # noqa: S603  (our own script)
                [sys.executable, "-I", "-S", str(script), json.dumps(specification)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                check=False,
            )
        return begin

    def _options(self) -> list[str]:
        settings = dict(SETTINGS)
        if self.programs.has_extension("pg_stat_statements"):
            settings["shared_preload_libraries"] = "pg_stat_statements"
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def _remove_half_made(self) -> None:
        for folder in self.folder.glob("making-*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _initdb(self) -> None:
        """Make the cluster aside and move it into place when it is whole."""
        aside = Path(tempfile.mkdtemp(prefix="making-", dir=self.folder))
        try:
            if self.account.changes:
                aside.chmod(0o711)
            data, secret = aside / "data", aside / "password"
            data.mkdir(mode=0o700)
            secret.touch(mode=0o600)
            secret.write_text(self.password or secrets.token_urlsafe(24))
            self.account.own(data)
            self.account.own(secret)
            self._run_initdb(data, secret)
            if self.account.changes:
                os.chown(secret, 0, 0)
            aside.rename(self.folder / "cluster")
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _run_initdb(self, data: Path, secret: Path) -> None:
        with tempfile.TemporaryFile() as output:
            # A session of its own: interrupting a kernel must not reach it. A file, not a pipe.
            done = subprocess.run(  # noqa: S603  (a PostgreSQL program we found)
                [
                    self.programs.path("initdb"),
                    *("-D", str(data), "-U", "postgres", "--auth=scram-sha-256"),
                    *(f"--pwfile={secret}", "--encoding=UTF8", "--locale=C", "--no-sync"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C"},
                start_new_session=True,
                check=False,
                **self.account.run_as(),
            )
            if done.returncode:
                output.seek(0)
                said = output.read().decode(errors="replace")
                raise DatabaseUnavailable(explain_log(said, self.folder))

    def request(self, name: str) -> None:
        """Ask the supervisor for something: see supervisor.py."""
        (self.folder / name).touch(mode=0o600)

    async def stop(self) -> bool:
        """Stop the server whoever uses it; whether one was running."""
        if not self.is_supervised():
            return False
        self.request("stop")
        await asyncio.to_thread(self._wait_until_stopped)
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "stop").unlink()
        return True

    def _wait_until_stopped(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self.is_supervised():
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(f"The server in {self.folder} does not stop.")
            time.sleep(0.02)
