"""A real browser, and `tutorial lab` to look at in it."""

import os
import pathlib
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.jupyterlab import TutorialLab
from tests.conftest import run_apart
from tutorial_support.lab import eventually

if TYPE_CHECKING:
    from playwright.async_api import Browser

BROWSERS = ("chromium", "google-chrome", "chrome")
# Root needs no-sandbox; the rest keeps Chromium from calling home.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def tutorial_lab() -> Iterator[TutorialLab]:
    with tempfile.TemporaryDirectory(prefix="tutorial-lab-") as folder:
        lab = TutorialLab.start(pathlib.Path(folder))
        yield lab
        if lab.processes():
            os.killpg(lab.process.pid, signal.SIGKILL)
        lab.process.wait()
        run_apart(lambda: eventually(lambda: lab.processes() == [], timeout_seconds=60))


@pytest.fixture
async def url(tutorial_lab: TutorialLab) -> str:
    """The address that `tutorial lab` printed."""
    return await eventually(tutorial_lab.url, timeout_seconds=60, what="JupyterLab's address")


@pytest.fixture
async def browser() -> AsyncIterator["Browser"]:
    from playwright.async_api import async_playwright

    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert path, f"none of these browsers is on the PATH: {', '.join(BROWSERS)}"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
def pictures(tmp_path: pathlib.Path) -> pathlib.Path:
    """Where screenshots go: SCREENSHOTS=docs/images makes the README's."""
    return pathlib.Path(os.environ.get("SCREENSHOTS", tmp_path)).resolve()
