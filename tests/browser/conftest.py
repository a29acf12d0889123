"""JupyterLab as a learner meets it: started by `tutorial lab`, seen in Chromium."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tutorial_support.lab import eventually

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

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
# Lets the page's scripts reach JupyterLab: cells out of sight are not in the document.
EXPOSE_APPLICATION = """
const parse = JSON.parse
JSON.parse = (...given) => {
    const value = parse(...given)
    if (value?.exposeAppInBrowser === false) value.exposeAppInBrowser = true
    return value
}
"""
WIDTH, HEIGHT, PIXELS_PER_POINT = 1280, 960, 2


@dataclass
class TutorialLab:
    """`tutorial lab`, with a cache folder and therefore a PostgreSQL server of its own."""

    folder: pathlib.Path
    process: subprocess.Popen[bytes]

    def said(self) -> str:
        return (self.folder / "said").read_text()

    def url(self) -> str:
        """The address it printed, once somebody listens there, which is a moment later."""
        assert self.process.poll() is None, f"tutorial lab has ended:\n{self.said()}"
        found = re.search(r"http://127\.0\.0\.1:(\d+)/\S*token=\w+", self.said())
        return found[0] if found and listens(int(found[1])) else ""

    def interrupt(self) -> None:
        """What Ctrl-C in the terminal does."""
        os.killpg(self.process.pid, signal.SIGINT)

    def processes(self) -> list[str]:
        """Every process that has our folder on its command line or in its environment."""
        return [
            f"{process.pid} {' '.join(process.info['cmdline'] or [])}"
            for process in psutil.process_iter(["cmdline", "environ"])
            if process.pid != os.getpid() and str(self.folder) in str(process.info)
        ]


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def start_tutorial_lab(folder: pathlib.Path) -> TutorialLab:
    folder.chmod(0o755)  # PostgreSQL's account has to reach its files, also when we are root
    command = [pathlib.Path(sys.executable).with_name("tutorial"), "lab", "--no-browser"]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**os.environ, "XDG_CACHE_HOME": str(folder)},
            start_new_session=True,
        )
    return TutorialLab(folder, process)


@pytest.fixture
async def tutorial_lab() -> AsyncIterator[TutorialLab]:
    with tempfile.TemporaryDirectory(prefix="tutorial-lab-") as folder:
        lab = start_tutorial_lab(pathlib.Path(folder))
        yield lab
        if lab.processes():
            os.killpg(lab.process.pid, signal.SIGKILL)
        lab.process.wait()
        await eventually(lambda: lab.processes() == [], timeout_seconds=60)


class NotebookPage:
    """One notebook in JupyterLab: what its menus do, what its cells hold, what it looks like."""

    def __init__(self, page: "Page") -> None:
        self.page = page

    @classmethod
    async def open(cls, browser: "Browser", url: str, file: str) -> "NotebookPage":
        page = await browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=PIXELS_PER_POINT
        )
        await page.add_init_script(EXPOSE_APPLICATION)
        await page.goto(url)
        await page.dblclick(f".jp-DirListing-itemText:has-text('{file}')")
        await page.wait_for_selector(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell")
        opened = cls(page)
        await eventually(opened.is_idle, timeout_seconds=60, what="an idle kernel")
        return opened

    async def menu(self, name: str, entry: str) -> None:
        await self.page.click(f".lm-MenuBar-itemLabel:text-is('{name}')")
        await self.page.click(f".lm-Menu-itemLabel:text-is('{entry}')")

    async def is_idle(self) -> bool:
        return await self._notebook("panel.sessionContext.session?.kernel?.status") == "idle"

    async def code_cells(self) -> list[dict[str, Any]]:
        """Number and outputs of every code cell with code in it, seen on screen or not."""
        cells: list[dict[str, Any]] = await self._notebook(
            "panel.content.model.sharedModel.cells.map(cell => cell.toJSON())"
        )
        return [c for c in cells if c["cell_type"] == "code" and "".join(c["source"]).strip()]

    async def errors(self) -> list[str]:
        return [
            f"{output['ename']}: {output['evalue']}"
            for cell in await self.code_cells()
            for output in cell["outputs"]
            if output["output_type"] == "error"
        ]

    async def has_run(self) -> bool:
        """Whether every cell has been executed, or one has failed and stopped the rest."""
        numbers = [cell["execution_count"] for cell in await self.code_cells()]
        return bool(await self.errors()) or (None not in numbers and await self.is_idle())

    async def picture(self, path: pathlib.Path, *, heading: str) -> None:
        """Write a PNG of what a reader sees with the section `heading` at the top."""
        await self.page.add_style_tag(content=".Toastify { display: none }")
        await self._notebook("window.jupyterapp.shell.collapseLeft()")
        cell = await self._notebook(
            "panel.content.widgets.findIndex(cell => cell.model.sharedModel.source.startsWith(it))",
            f"## {heading}",
        )
        assert cell >= 0, f"no section '{heading}'"
        await self._notebook("panel.content.activeCellIndex = it", cell)
        await self._notebook("panel.content.scrollToItem(it, 'start')", cell)
        await self._notebook("panel.content.widgets[it].node.scrollIntoView()", cell)
        path.parent.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=path, animations="disabled")

    async def _notebook(self, expression: str, it: object = None) -> Any:
        """Evaluate JavaScript about `panel`, the notebook in front, and `it`."""
        panel = "const panel = window.jupyterapp.shell.currentWidget"
        return await self.page.evaluate(f"it => {{ {panel}; return {expression} }}", it)


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
def open_notebook(browser: "Browser") -> Callable[[str, str], Awaitable[NotebookPage]]:
    return partial(NotebookPage.open, browser)


@pytest.fixture
def pictures(tmp_path: pathlib.Path) -> pathlib.Path:
    """Where screenshots go: SCREENSHOTS=docs/images makes the README's."""
    return pathlib.Path(os.environ.get("SCREENSHOTS", tmp_path)).resolve()
