"""Runs one PostgreSQL server for as long as somebody uses it.

`cluster.py` starts this file as a script, in a session of its own, with a JSON specification as
its argument. It imports nothing but the standard library, so it is up in some 20 ms. It talks
with the rest of the course through files in the server's folder:

    lease        every user holds a shared lock on it, which dies with the user
    supervisor   we hold an exclusive lock on it while we run
    server       we and every process of PostgreSQL hold this one: it tells when all are gone
    endpoint     port and process id of the server we run
    hold, hurry, stop, down    requests: stay without users, do not wait idle, stop, do not restart
"""

import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.1
QUICK_DEATH_SECONDS = 3.0
QUICK_DEATHS = 4
BUSY = 75


def lock(path: Path, wait_seconds: float) -> int:
    """Hold `path` exclusively, or leave: somebody else supervises this server."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                sys.exit(BUSY)
            time.sleep(0.02)
        else:
            return descriptor


def free_port(wanted: int) -> int:
    """The port `wanted`, if nobody listens on it, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    sys.exit("no free port on 127.0.0.1")


def die_with_supervisor() -> None:
    """Have Linux stop the server when we are killed. Other systems cannot."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGINT)


class Supervisor:
    def __init__(self, specification: dict[str, Any]) -> None:
        self.specification = specification
        self.folder = Path(specification["folder"])
        self.supervisor = lock(self.folder / "supervisor", wait_seconds=1)
        self.server_lock = lock(self.folder / "server", wait_seconds=1)
        self.lease = os.open(self.folder / "lease", os.O_RDWR | os.O_CREAT, 0o600)
        self.server: subprocess.Popen[bytes] | None = None
        self.started = self.last_used = time.monotonic()
        self.quick_deaths = 0
        self.stopping = False

    def asked(self, request: str) -> bool:
        return (self.folder / request).exists()

    def run(self) -> None:
        # No process of PostgreSQL holds the lock we took: whatever the file says is over, and the
        # process id in it may by now be somebody else's, which would keep PostgreSQL from starting.
        (self.folder / "cluster/data/postmaster.pid").unlink(missing_ok=True)
        while not self.over():
            self.keep_alive()
            time.sleep(POLL_SECONDS)
        self.stop()
        if not self.moved():
            for name in ("endpoint", "hold", "hurry", "stop", "down"):
                (self.folder / name).unlink(missing_ok=True)
            if self.specification["remove"]:
                shutil.rmtree(self.folder, ignore_errors=True)

    def over(self) -> bool:
        return (
            self.stopping
            or self.moved()
            or self.asked("stop")
            or self.quick_deaths >= QUICK_DEATHS
            or self.unused()
        )

    def moved(self) -> bool:
        """Whether our folder was moved or deleted under us."""
        try:
            return not os.path.samestat(
                os.fstat(self.supervisor), os.stat(self.folder / "supervisor")
            )
        except OSError:
            return True

    def unused(self) -> bool:
        """Whether nobody came for long enough. The lease then stays ours until we have left."""
        try:
            fcntl.flock(self.lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.last_used = time.monotonic()
            return False
        if self.asked("hold"):
            self.last_used = time.monotonic()
        patience = 0 if self.asked("hurry") else self.specification["idle_seconds"]
        if time.monotonic() - self.last_used >= patience and not self.asked("hold"):
            return True
        fcntl.flock(self.lease, fcntl.LOCK_UN)
        return False

    def keep_alive(self) -> None:
        if self.server is not None and self.server.poll() is not None:
            self.server = None
            quick = time.monotonic() - self.started < QUICK_DEATH_SECONDS
            self.quick_deaths = self.quick_deaths + 1 if quick else 0
        if self.server is None and not self.asked("down") and self.quick_deaths < QUICK_DEATHS:
            self.start()

    def start(self) -> None:
        fixed, self.started = self.specification["port"], time.monotonic()
        port = fixed or free_port(self.last_port())
        self.server = subprocess.Popen(  # noqa: S603
            [*self.specification["command"], "-p", str(port)],
            stdin=subprocess.DEVNULL,
            cwd="/",
            env=self.specification["environment"],
            pass_fds=[self.server_lock],
            start_new_session=True,
            preexec_fn=die_with_supervisor,
            **self.specification["run_as"],
        )
        said = json.dumps({"port": port, "postmaster": self.server.pid})
        aside = self.folder / "endpoint.new"
        aside.write_text(said)
        (self.folder / "port").write_text(str(port))
        aside.rename(self.folder / "endpoint")

    def last_port(self) -> int:
        """The port of the last run, so that a kernel's connections work again after a crash."""
        try:
            return int((self.folder / "port").read_text())
        except (OSError, ValueError):
            return 0

    def stop(self) -> None:
        if self.server is None:
            return
        fast_then_immediate_then_none = ((signal.SIGINT, 20), (signal.SIGQUIT, 5), (signal.SIGKILL, 5))
        for request, seconds in fast_then_immediate_then_none:
            if self.server.poll() is None:
                self.server.send_signal(request)
            try:
                self.server.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
            return


def main() -> None:
    os.umask(0o077)
    supervisor = Supervisor(json.loads(sys.argv[1]))
    if os.fork():
        os._exit(0)

    def stop(*_: object) -> None:
        supervisor.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    supervisor.run()


if __name__ == "__main__":
    main()
