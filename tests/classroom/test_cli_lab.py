"""`tutorial lab` in a terminal: JupyterLab answers, and the first Ctrl-C ends everything."""

import asyncio
import fcntl
import os
import pty
import re
import subprocess
import sys
import termios
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tutorial_support.database.server import shared_server
from tutorial_support.lab import eventually
from tutorial_support.notebooks import find, number_of

TUTORIAL = Path(sys.executable).with_name("tutorial")
LAB_URL = re.compile(r"http://127\.0\.0\.1:\d+/lab\S*token=\w+")
CTRL_C = b"\x03"


def take_terminal() -> None:
    """Have Ctrl-C, typed there, reach this process."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def text_of(url: str) -> str:
    """The page there, or nothing while nobody listens: JupyterLab says its URL a moment before."""
    with suppress(urllib.error.URLError), urllib.request.urlopen(url, timeout=10) as page:
        return str(page.read().decode())
    return ""


def files_below(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, *command: str, home: Path) -> None:
        self.keyboard, screen = pty.openpty()
        os.set_blocking(self.keyboard, False)
        self.shown = ""
        self.process = subprocess.Popen(
            command,
            stdin=screen,
            stdout=screen,
            stderr=screen,
            env={**os.environ, "HOME": str(home)},
            start_new_session=True,
            preexec_fn=take_terminal,  # noqa: PLW1509  (no thread of the test runs by then)
        )
        os.close(screen)

    def look(self) -> str:
        with suppress(OSError):  # nothing new, or the command has ended
            self.shown += os.read(self.keyboard, 100_000).decode(errors="replace")
        return self.shown

    def lab_url(self) -> str:
        found = LAB_URL.search(self.look())
        return found[0] if found else ""

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.keyboard)


@pytest.fixture
def home(empty_cache: Path) -> Path:
    """An empty home."""
    home = empty_cache.parent / "home"
    home.mkdir()
    return home


@pytest.fixture
def lab(cache: Path, home: Path) -> Iterator[Terminal]:
    numbers = [str(number_of(path)) for path in find()[:1]]
    terminal = Terminal(str(TUTORIAL), "lab", "--no-browser", *numbers, home=home)
    yield terminal
    terminal.close()


async def test_jupyterlab_answers_with_the_server_running_and_ctrl_c_ends_both(
    cache: Path, home: Path, lab: Terminal, running: Callable[[], list[str]]
) -> None:
    url = await eventually(lab.lab_url, timeout_seconds=30, what="JupyterLab's URL")
    page = await eventually(lambda: asyncio.to_thread(text_of, url), what="JupyterLab's page")
    assert "JupyterLab" in page
    server = shared_server()
    assert server is not None
    assert server.is_supervised()

    os.write(lab.keyboard, CTRL_C)

    await eventually(
        lambda: lab.look() and lab.process.poll() is not None, timeout_seconds=20, what="its end"
    )
    assert lab.process.returncode == 0
    await eventually(lambda: not running(), what="the server to stop")
    assert files_below(home) == []
