"""What a learner waits for: imports, the database, a notebook's database, all notebooks."""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tutorial_support.database import open_database, private_server

ROOT = Path(__file__).resolve().parent.parent
IMPORTS = (
    "import asyncpg, matplotlib.pyplot, eventsource, tutorial_support.database, "
    "tutorial_support.domain, tutorial_support.exercises, tutorial_support.show"
)
#: Seconds that a row should not take on two quiet cores.
TARGETS = {
    "import what a notebook imports": 3.0,
    "start a new PostgreSQL, from nothing": 3.0,
    "clone a notebook's database": 0.5,
    "execute all notebooks by nbval, two workers": 120.0,
    "execute all notebooks by papermill, two workers": 120.0,
}


async def measure_course(console: Console) -> dict[str, float]:
    """Seconds by what was measured; shown as a table."""
    work: list[Callable[[], Awaitable[float]]] = [_imports, _start, _clone, _nbval, _papermill]
    measured: dict[str, float] = {}
    shown = Table("measured", "seconds", "target", title="The course, on this machine")
    for (title, target), measure in zip(TARGETS.items(), work, strict=True):
        with console.status(f"{title} ..."):
            measured[title] = round(await measure(), 2)
        shown.add_row(title, f"{measured[title]:.2f}", f"≤ {target:g}")
    console.print(shown)
    return measured


async def _imports() -> float:
    times = []
    for _ in range(4):
        began = time.perf_counter()
        await _run(sys.executable, "-c", IMPORTS)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


async def _start() -> float:
    began = time.perf_counter()
    server = await private_server()
    seconds = time.perf_counter() - began
    await server.stop()
    return seconds


async def _clone() -> float:
    async with await open_database("benchmark"):  # the server runs, its template is made
        times = []
        for _ in range(5):
            began = time.perf_counter()
            database = await open_database("benchmark-clone")
            times.append(time.perf_counter() - began)
            await database.close()
    return statistics.median(times)


async def _nbval() -> float:
    return await _pytest("--nbval", "notebooks")


async def _papermill() -> float:
    return await _pytest("tests/notebooks/test_parameters.py")


async def _pytest(*arguments: str) -> float:
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "load"]
    if "--nbval" in arguments:
        command[-1] = "loadfile"  # the cells of a notebook belong together
    began = time.perf_counter()
    await _run(*command, *arguments)
    return time.perf_counter() - began


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(said.decode(errors="replace")[-2000:])
