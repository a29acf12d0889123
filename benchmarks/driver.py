"""Running competitors in turns and comparing each with raw asyncpg in the same round."""

import asyncio
import json
import random
import statistics
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import make_url

from benchmarks.peers import python_of
from benchmarks.plan import COMPETITORS, OURS, RAW, Workload
from eventsource.migrations import get_schema
from tutorial_support.database import private_server

WORKERS = Path(__file__).parent / "workers"


@dataclass(frozen=True)
class Result:
    """The seconds of each round, and the ratios to raw asyncpg of the same round."""

    title: str
    competitor: str
    target: float
    seconds: list[float]  #: for all operations of a round together
    ratios: list[float]
    operations: int = 1

    @property
    def median(self) -> float:
        return statistics.median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """The middle half of the ratios."""
        if len(self.ratios) < 2:
            return self.median, self.median
        low, _, high = statistics.quantiles(self.ratios, n=4, method="inclusive")
        return low, high


class WorkerFailedError(Exception):
    """A competitor's program ended; the message is what it said."""


class WorkerProcess:
    """A competitor's program, asked one measurement at a time."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self.process, self.name = process, name

    async def ask(self, **request: Any) -> float:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        await self.process.stdin.drain()
        answer: float = (await self.line())["answer"]
        return answer

    async def line(self) -> dict[str, Any]:
        assert self.process.stdout
        line = await self.process.stdout.readline()
        if not line:
            raise WorkerFailedError(f"{self.name} ended: see what it said above.")
        said: dict[str, Any] = json.loads(line)
        return said


@asynccontextmanager
async def running(name: str, url: str) -> AsyncIterator[WorkerProcess]:
    """A competitor's program on its own database."""
    process = await asyncio.create_subprocess_exec(
        str(python_of(name)),
        str(WORKERS / COMPETITORS[name]),
        url,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    worker = WorkerProcess(process, name)
    try:
        await worker.line()
        yield worker
    finally:
        if process.returncode is None:
            assert process.stdin
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                process.kill()
                await process.wait()


async def database_for(server_url: str, name: str) -> str:
    """A new database; raw asyncpg and ours get the shipped tables, peers make their own."""
    admin = make_url(server_url).set(drivername="postgresql")
    own = name.replace("-", "_").replace(" ", "_")
    connection = await asyncpg.connect(admin.render_as_string(hide_password=False))
    try:
        await connection.execute(f'CREATE DATABASE "{own}" TEMPLATE template0')
    finally:
        await connection.close()
    url = admin.set(database=own).render_as_string(hide_password=False)
    if name in (RAW, OURS):
        connection = await asyncpg.connect(url)
        await connection.execute(get_schema("all"))
        await connection.close()
    return url


async def measure(
    plan: list[Workload], rounds: int, advance: Callable[[str], None]
) -> AsyncIterator[list[Result]]:
    """The results of one workload after the other, on a durable server of our own."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(await private_server())
        workers = {}
        for name in COMPETITORS:
            url = await database_for(server.url, name)
            workers[name] = await stack.enter_async_context(running(name, url))
        for workload in plan:
            yield await _measure(workload, workers, rounds, advance)


async def _measure(
    workload: Workload,
    workers: dict[str, WorkerProcess],
    rounds: int,
    advance: Callable[[str], None],
) -> list[Result]:
    if workload.before:
        for name in workload.who:
            await workers[name].ask(**workload.before)
    times: dict[str, list[float]] = {name: [] for name in workload.who}
    for number in range(rounds + 1):
        for name in _shuffled(workload.who):
            seconds = await workers[name].ask(**workload.request)
            if number:  # the first round warms up
                times[name].append(seconds)
            advance(f"{workload.title}: {name}")
    raw = times[RAW]
    return [
        Result(
            workload.title,
            name,
            workload.target,
            seconds,
            [one / base for one, base in zip(seconds, raw, strict=True)],
            workload.operations,
        )
        for name, seconds in times.items()
    ]


def _shuffled(names: Iterable[str]) -> list[str]:
    order = list(names)
    random.shuffle(order)
    return order
