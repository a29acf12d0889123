"""Processes to kill: a function of the notebook, run by a Python of its own."""

import asyncio
import inspect
import json
import sys
import textwrap
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

# A child ends with its notebook, however that ends: its standard input is closed then.
PROGRAM = """
import asyncio, json, os, sys, threading
{source}
def end_with_the_notebook():
    sys.stdin.read()
    os._exit(0)
values = json.loads(sys.stdin.readline())
threading.Thread(target=end_with_the_notebook, daemon=True).start()
asyncio.run({name}(*values))
"""


class Child:
    """A running child; what it prints is read line by line with `says`. Made by `start_child`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self._name, self._process = name, process

    async def says(self, *, timeout_seconds: float = 30.0) -> str:
        """The next line it prints. RuntimeError, with its last words, if it has ended instead."""
        assert self._process.stdout is not None
        async with asyncio.timeout(timeout_seconds):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} has ended: {await self._last_words()}")
        return line.decode().strip()

    async def wait(self) -> int:
        """Its exit code once it has ended: 0, or -9 if it was killed. RuntimeError if it failed."""
        code = await self._process.wait()
        if code > 0:
            raise RuntimeError(f"{self._name} failed in its process: {await self._last_words()}")
        return code

    def terminate(self) -> None:
        """SIGTERM: ask it to end, as whoever deploys a new version does."""
        self._process.terminate()

    async def kill(self) -> None:
        """SIGKILL: no block is left, no handler runs, nothing is saved. Again is no error."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.kill()

    async def _last_words(self) -> str:
        assert self._process.stderr is not None
        lines = (await self._process.stderr.read()).decode().strip().splitlines()
        return lines[-1] if lines else f"exit code {await self._process.wait()}"


async def start_child(function: Callable[..., Awaitable[object]], *values: str) -> Child:
    """Run an async function in a process of its own, with these values.

    The process gets the function's source and nothing else, so the function must import what it
    uses. The values reach it by standard input, where no list of processes shows a password.
    """
    source = textwrap.dedent(inspect.getsource(function))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM.format(source=source, name=function.__name__)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # interrupting the kernel must not reach it
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(values).encode() + b"\n")
    return Child(function.__name__, process)
