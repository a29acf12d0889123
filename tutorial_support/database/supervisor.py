"""Runs one server for as long as somebody uses it.

The course starts this file as a script, in a session of its own, with a JSON specification as its
argument. It imports nothing but the standard library, so it is up in some 20 ms. It talks with
the rest of the course through files in the server's folder:

    lease        every user holds a shared lock on it, which dies with the user
    supervisor   we hold an exclusive lock on it while we run
    server       so do we, and every process of the server: when it is free, all of them are gone
    endpoint     where the server listens, and its process id
    stop         a request: stop, whoever uses the server
    hold         a request: do not stop for want of users
    hurry        a request: stop as soon as the last user has gone
    down         a request: leave a dead server dead while this file exists
"""

import contextlib
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

POLL_SECONDS = 0.2
QUICK_DEATH_SECONDS = 3.0
QUICK_DEATHS = 4
REQUESTS = ("stop", "hold", "hurry", "down")


def lock(path: Path) -> int:
    """Hold `path` exclusively, or leave, for then somebody else supervises this server."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + 1  # others look whether it is held, for a moment each
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                sys.exit(f"{path} is held: another supervisor is at work")
            time.sleep(0.01)
        else:
            return descriptor


class Supervisor:
    """Keeps a server alive while it has users; how to run the server is up to a subclass."""

    def __init__(self, specification: dict[str, Any]) -> None:
        self.specification = specification
        self.folder = Path(specification["folder"])
        self.supervisor_lock = lock(self.folder / "supervisor")
        self.server_lock = lock(self.folder / "server")
        self.lease = os.open(self.folder / "lease", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.started = self.last_used = time.monotonic()
        self.quick_deaths = 0
        self.terminated = False

    def start(self) -> None:
        raise NotImplementedError

    def is_alive(self) -> bool:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def run(self) -> None:
        for name in ("endpoint", *REQUESTS):
            (self.folder / name).unlink(missing_ok=True)
        self.start()
        while not self.is_over():
            time.sleep(POLL_SECONDS)
            if not self.is_alive() and not self.asked("down"):
                self.revive()
        self.stop()
        if self.was_moved():
            return
        for name in ("endpoint", *REQUESTS):
            (self.folder / name).unlink(missing_ok=True)
        if self.specification.get("throw_away"):
            remove_shared_memory(self.folder / "cluster/data/postmaster.pid")
            shutil.rmtree(self.folder, ignore_errors=True)

    def asked(self, request: str) -> bool:
        return (self.folder / request).exists()

    def is_over(self) -> bool:
        return (
            self.terminated
            or self.quick_deaths >= QUICK_DEATHS
            or self.was_moved()
            or self.asked("stop")
            or self.is_unused()
        )

    def was_moved(self) -> bool:
        """Whether our folder was moved or deleted under us."""
        held = os.fstat(self.supervisor_lock)
        try:
            return not os.path.samestat(held, (self.folder / "supervisor").stat())
        except OSError:
            return True

    def is_unused(self) -> bool:
        """Whether nobody has used us for long enough; the lease is then ours until we have left."""
        now = time.monotonic()
        try:
            fcntl.flock(self.lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.last_used = now
            return False
        if self.asked("hold"):
            self.last_used = now
        elif self.asked("hurry") or now - self.last_used >= self.specification["idle_seconds"]:
            return True
        fcntl.flock(self.lease, fcntl.LOCK_UN)
        return False

    def revive(self) -> None:
        quick = time.monotonic() - self.started < QUICK_DEATH_SECONDS
        self.quick_deaths = self.quick_deaths + 1 if quick else 0
        if self.quick_deaths < QUICK_DEATHS:
            self.started = time.monotonic()
            self.start()

    def publish(self, host: str, port: int, **more: int) -> None:
        """Say where the server is, all at once."""
        aside = self.folder / "endpoint.new"
        where = {"folder": str(self.folder), "host": host, "port": port}
        aside.write_text(json.dumps(where | more))
        aside.replace(self.folder / "endpoint")


class ProcessSupervisor(Supervisor):
    """Runs the server as a child."""

    server: subprocess.Popen[bytes] | None = None
    stops: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGTERM, 20), (signal.SIGKILL, 5))

    def start(self) -> None:
        port = self.specification["port"] or free_port(self.folder)
        self.server = self.child(self.command(port))
        (self.folder / "port").write_text(str(port))
        self.publish("127.0.0.1", port, process=self.server.pid)

    def command(self, port: int) -> list[str]:
        return [word.replace("{port}", str(port)) for word in self.specification["command"]]

    def child(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            cwd=self.specification.get("directory", "/"),
            env=self.specification["environment"],
            pass_fds=[self.server_lock],
            start_new_session=True,
            preexec_fn=self.stop_when_parent_dies,  # noqa: PLW1509  (we have one thread)
            **self.specification["run_as"],
        )

    def stop_when_parent_dies(self) -> None:
        """Have Linux stop this process when its parent is killed. Other systems cannot."""
        if sys.platform == "linux":
            pr_set_pdeathsig = 1
            ctypes.CDLL(None).prctl(pr_set_pdeathsig, self.stops[0][0])

    def is_alive(self) -> bool:
        return self.server is not None and self.server.poll() is None

    def stop(self) -> None:
        # In good order a server would only write down what is about to be removed.
        for request, seconds in self.stops[1 if self.specification["throw_away"] else 0 :]:
            if self.server is None or not self.is_alive():
                return
            self.server.send_signal(request)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.server.wait(seconds)


class PostgresSupervisor(ProcessSupervisor):
    # What PostgreSQL calls a fast and an immediate shutdown come first.
    stops = ((signal.SIGINT, 20), (signal.SIGQUIT, 5), (signal.SIGKILL, 5))

    def start(self) -> None:
        if self.server is None:
            # Nobody but us holds the server's lock, so this file is of a server long gone, and the
            # process id in it may by now be somebody else's, which would keep PostgreSQL from
            # starting.
            (self.folder / "cluster/data/postmaster.pid").unlink(missing_ok=True)
        super().start()


class ServiceSupervisor(ProcessSupervisor):
    """Runs a server with a program that has to run beside it, if it needs one."""

    helper: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self.specification["helper"] and (self.helper is None or self.helper.poll() is not None):
            self.helper = self.child(self.specification["helper"])
        super().start()

    def stop(self) -> None:
        super().stop()
        if self.helper is not None:
            self.helper.kill()
            self.helper.wait()


def free_port(folder: Path | None = None) -> int:
    """The folder's port of last time if it is free, so that clients find the server again."""
    try:
        last = int((folder / "port").read_text()) if folder else 0
    except (OSError, ValueError):
        last = 0
    for port in (last, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    sys.exit("no free port on 127.0.0.1")


def remove_shared_memory(postmaster_file: Path) -> None:
    """Give back the small System V segment that a killed PostgreSQL leaves, and would reuse."""
    try:
        segment = int(postmaster_file.read_text().splitlines()[6].split()[1])
    except (OSError, ValueError, IndexError):
        return  # it stopped in good order
    ipc_rmid = 0
    ctypes.CDLL(None).shmctl(segment, ipc_rmid, None)


def supervise(kind: type[Supervisor]) -> None:
    """Supervise in a process that belongs to nobody, and return from this one at once."""
    os.umask(0o077)
    supervisor = kind(json.loads(sys.argv[-1]))
    if os.fork():
        os._exit(0)

    def terminate(*_: object) -> None:
        supervisor.terminated = True

    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    supervisor.run()


if __name__ == "__main__":
    supervise(ServiceSupervisor if "--service" in sys.argv else PostgresSupervisor)
