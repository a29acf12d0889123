"""JupyterLab as a learner meets it: started by `tutorial lab`, seen in Chromium."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import psutil

from tutorial_support.lab import eventually
from tutorial_support.paths import NAME, notebooks_folder

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

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
CLONE = ("README.md", "docs", "notebooks", "tutorial_support")
MAIN = "from tutorial_support.cli import main; main()"


@dataclass
class TutorialLab:
    """`tutorial lab` on a copy of the course, with a cache folder and so a server of its own."""

    folder: pathlib.Path
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, folder: pathlib.Path) -> Self:
        folder.chmod(0o755)  # PostgreSQL's account has to reach its files, also when we are root
        clone = folder / "clone"
        clone.mkdir()
        for name in CLONE:  # what a learner types is saved into the notebooks
            source = notebooks_folder().parent / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, clone / name)
        # a notebook that runs pytest meets no plugin that was chosen for these tests
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-c", MAIN, "lab", "--no-browser"],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=clone,
                env={**ours, "XDG_CACHE_HOME": str(folder), "PYTHONPATH": str(clone)},
                start_new_session=True,
            )
        return cls(folder, process)

    def said(self) -> str:
        return (self.folder / "said").read_text()

    def url(self) -> str:
        """The address it printed, once somebody listens there, which is a moment later."""
        assert self.process.poll() is None, f"tutorial lab has ended:\n{self.said()}"
        found = re.search(r"http://127\.0\.0\.1:(\d+)/\S*token=\w+", self.said())
        return found[0] if found and listens(int(found[1])) else ""

    def solved(self) -> set[str]:
        """The exercises that are noted as solved."""
        return {file.name for file in (self.folder / NAME / "solved").glob("*")}

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


class NotebookPage:
    """One notebook in JupyterLab: what its menus do, what its cells hold, what it looks like."""

    def __init__(self, page: "Page") -> None:
        self.page = page

    @classmethod
    async def of(cls, browser: "Browser", url: str, file: str) -> Self:
        """The notebook by its address, in a workspace where nothing else is open."""
        parts = urlsplit(url)
        workspace = f"lab/workspaces/{file.partition('.')[0]}/tree/notebooks/{file}"
        address = f"{parts.scheme}://{parts.netloc}/{workspace}?reset&{parts.query}"
        page = await new_page(browser)
        await page.goto(address)
        return await cls.in_front(page)

    @classmethod
    async def in_front(cls, page: "Page") -> Self:
        """The notebook that the page shows, once its kernel has started."""
        await page.wait_for_selector(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell")
        notebook = cls(page)
        await eventually(notebook.is_idle, timeout_seconds=60, what="an idle kernel")
        return notebook

    async def menu(self, name: str, entry: str) -> None:
        await self.page.click(f".lm-MenuBar-itemLabel:text-is('{name}')")
        await self.page.click(f".lm-Menu-itemLabel:text-is('{entry}')")

    async def is_idle(self) -> bool:
        return await self._notebook("panel.sessionContext.session?.kernel?.status") == "idle"

    async def cells(self) -> list[dict[str, Any]]:
        """All cells as they are in the file, seen on screen or not."""
        found: list[dict[str, Any]] = await self._notebook(
            "panel.content.model.sharedModel.cells.map(cell => cell.toJSON())"
        )
        return [cell | {"source": "".join(cell["source"])} for cell in found]

    async def code_cells(self) -> list[dict[str, Any]]:
        """Number and outputs of every code cell with code in it."""
        return [c for c in await self.cells() if c["cell_type"] == "code" and c["source"].strip()]

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

    async def run_all(self) -> None:
        """Forget the stored outputs and run every cell."""
        await self.menu("Edit", "Clear Outputs of All Cells")
        assert not any(cell["execution_count"] for cell in await self.code_cells())
        await self.menu("Run", "Run All Cells")
        await eventually(self.has_run, timeout_seconds=120, what="the end of the notebook")

    async def select(self, index: int) -> None:
        """Make a cell the active one and bring it into view."""
        await self._notebook("panel.content.activeCellIndex = it", index)
        await self._notebook("panel.content.scrollToItem(it, 'center')", index)
        await self.page.wait_for_selector(".jp-Notebook-cell.jp-mod-active")

    async def type_into(self, index: int, source: str) -> None:
        """Replace what a cell says, by the keyboard."""
        await self.select(index)
        await self.page.click(".jp-Notebook-cell.jp-mod-active .cm-content")
        await self.page.keyboard.press("Control+a")
        await self.page.keyboard.insert_text(source)
        assert (await self.cells())[index]["source"] == source

    async def start(self, index: int) -> None:
        """Run a cell by the keyboard."""
        await self.select(index)
        await self.page.click(".jp-Notebook-cell.jp-mod-active .cm-content")
        await self.page.keyboard.press("Control+Enter")

    async def run(self, index: int) -> str:
        """Run a cell to its end and return what it prints."""
        await self._notebook(
            "panel.content.model.cells.get(it).sharedModel.execution_count = null", index
        )
        await self.start(index)

        async def has_ended() -> bool:
            return (await self.cells())[index]["execution_count"] is not None

        await eventually(has_ended, timeout_seconds=60, what="the end of a cell")
        return await self.printed(index)

    async def printed(self, index: int) -> str:
        """What a cell has printed so far, and the error it ended with."""
        outputs = (await self.cells())[index]["outputs"]
        return "".join(o.get("ename", "") + "".join(o.get("text", "")) for o in outputs)

    async def run_above(self, index: int) -> None:
        """Forget the stored outputs and run all cells before this one."""
        await self.menu("Edit", "Clear Outputs of All Cells")
        await self.select(index)
        await self.menu("Run", "Run All Above Selected Cell")

        async def have_run() -> bool:
            above = [c for c in (await self.cells())[:index] if c["cell_type"] == "code"]
            return all(c["execution_count"] for c in above) and await self.is_idle()

        await eventually(have_run, timeout_seconds=120, what="the end of the cells above")
        assert await self.errors() == []

    async def restart_kernel(self) -> None:
        await self.menu("Kernel", "Restart Kernel and Clear Outputs of All Cells…")
        await self.page.click(".jp-Dialog button:has-text('Restart')")

        async def is_new() -> bool:
            counts = [cell["execution_count"] for cell in await self.code_cells()]
            return not any(counts) and await self.is_idle()

        await eventually(is_new, timeout_seconds=60, what="a new kernel")

    async def close(self) -> None:
        """Shut the kernel down and leave."""
        await self._notebook("panel.sessionContext.shutdown()")
        await self.page.close()

    async def picture(self, path: pathlib.Path, *, heading: str) -> None:
        """Write a PNG of what a reader sees with the section `heading` at the top."""
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


async def new_page(browser: "Browser") -> "Page":
    page = await browser.new_page(
        viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=PIXELS_PER_POINT
    )
    await page.add_init_script(EXPOSE_APPLICATION)
    return page
