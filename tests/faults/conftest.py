"""Processes that use the course's server, to be killed."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import URL, make_url

USER = """
import asyncio, sys
from tutorial_support.database import open_database
from tutorial_support.database.server import find_server

async def main(idle_seconds):
    await find_server(idle_seconds=idle_seconds)
    database = await open_database("11-postgresql")
    print(database.url, flush=True)
    sys.stdin.read()
    await database.close()

asyncio.run(main(float(sys.argv[1])))
"""


@dataclass
class User:
    """A process with a database open, as a kernel has one."""

    process: subprocess.Popen[str]

    @property
    def url(self) -> URL:
        """Waits until the database is open."""
        assert self.process.stdout is not None
        return make_url(self.process.stdout.readline().strip())

    def leave(self) -> None:
        self.process.communicate(timeout=30)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)


@pytest.fixture
def start_user(empty_cache: Path) -> Iterator[Callable[..., User]]:
    """Start a user; the server it starts stops `idle_seconds` after its last user."""
    users: list[User] = []

    def start(idle_seconds: float = 0.5) -> User:
        process = subprocess.Popen(
            [sys.executable, "-c", USER, str(idle_seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        users.append(User(process))
        return users[-1]

    yield start
    for user in users:
        user.kill()
        for pipe in (user.process.stdin, user.process.stdout):
            assert pipe is not None
            pipe.close()
