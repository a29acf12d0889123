"""A server from PostgreSQL's programs: its cluster, its settings, its place on the disk."""

import asyncio
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from .account import Account
from .errors import DatabaseUnavailable, explain_failed_start
from .managed import IDLE_SECONDS, ORPHAN_SECONDS, POLL_SECONDS
from .postgresql_server import PostgreSQLServer
from .programs import Programs

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "wal_level": "logical",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_error_statement": "panic",  # lessons provoke errors: do not log every statement
}
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}


class Cluster(PostgreSQLServer):
    """A cluster of our own.

    `port` 0 means any free one, `password` None a generated one; a `throw_away` cluster is removed
    when it stops.
    """

    def __init__(
        self,
        folder: Path,
        programs: Programs,
        account: Account,
        *,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        super().__init__(folder, idle_seconds=idle_seconds)
        self.programs, self.account = programs, account
        self.port = 0
        self.password: str | None = None

    @property
    def data(self) -> Path:
        return self.folder / "cluster" / "data"

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(self._passable)

    @property
    def _passable(self) -> int:
        """Mode of a folder the server's account must walk through, and nobody else read."""
        return 0o711 if self.account.changes else 0o700

    def specification(self) -> dict[str, Any]:
        # In the data folder, not in /dev/shm, where a killed server would leave it for ever.
        settings = {**SETTINGS, "dynamic_shared_memory_type": "mmap"}
        if self.programs.has_library("pg_stat_statements"):
            settings["shared_preload_libraries"] = "pg_stat_statements"
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return {
            "command": [
                *(self.programs.path("postgres"), "-D", str(self.data), *options),
                *("-p", "{port}"),
            ],
            "environment": ENVIRONMENT,
            "run_as": self.account.run_as(),
            "port": self.port,
            "throw_away": self.throw_away,
        }

    def make_room_to_start(self) -> None:
        self.wait_for_orphan()
        if self.port and is_taken(self.port):
            raise DatabaseUnavailable(
                f"Port {self.port} is taken by another program. Stop that one, or choose another "
                f"port:  tutorial db start --port {self.port + 1}"
            )
        for half_made in self.folder.glob("making-*"):
            _remove(half_made)
        if not self.data.exists():
            self._make()
        _spread(self.data / "base")

    def forget(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop_orphan(self) -> None:
        endpoint = self.endpoint()
        if endpoint is not None and asyncio.run(self.answers(self.url_at(endpoint))):
            # It takes our password, so the process id in its data is not somebody else's.
            self._run("pg_ctl", "stop", "-D", str(self.data), "-m", "fast", "-w")

    def _make(self) -> None:
        """Make the cluster aside and move it into place when it is whole."""
        aside = Path(tempfile.mkdtemp(prefix="making-", dir=self.folder))
        try:
            aside.chmod(self._passable)
            data, password = aside / "data", aside / "password"
            data.mkdir(mode=0o700)
            password.touch(mode=0o600)
            password.write_text(self.password or secrets.token_urlsafe(24))
            self.account.own(data)
            self.account.own(password)
            self._initdb(data, password)
            os.chown(password, os.geteuid(), os.getegid())
            aside.rename(self.folder / "cluster")
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _initdb(self, data: Path, password: Path) -> None:
        options = (
            *("-D", str(data), "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={password}"),
            *("--encoding=UTF8", "--locale=C", "--no-sync"),
        )
        code, said = self._run("initdb", *options)
        if code:
            raise explain_failed_start(said, self.folder)

    def _run(self, program: str, *options: str) -> tuple[int, str]:
        """Run a program as the server's account: its exit code and what it said."""
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [self.programs.path(program), *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=ENVIRONMENT,
                start_new_session=True,  # interrupting a kernel must not reach it
                check=False,
                **self.account.run_as(),
            )
            output.seek(0)
            return done.returncode, output.read().decode(errors="replace")


def _spread(databases: Path) -> None:
    """Let ext4 choose another part of the disk for each database.

    Where databases were dropped in the last minutes, it looks at each of their inodes again for
    each of 350 new files, before it takes one: to clone a database then takes 0.3 s, not 0.02. On
    other file systems this does nothing.
    """
    if chattr := shutil.which("chattr"):
        command = [chattr, "+T", str(databases)]
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def _remove(half_made: Path) -> None:
    """Remove what a killed start has left; its initdb may live on for a moment and write there."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    while half_made.exists() and time.monotonic() < deadline:
        shutil.rmtree(half_made, ignore_errors=True)
        time.sleep(POLL_SECONDS)


def is_taken(port: int) -> bool:
    """Whether a program listens on `port` at an address that `localhost` means."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family) as probe:
                probe.settimeout(1)
                probe.connect((address, port))
        except OSError:
            continue
        return True
    return False
