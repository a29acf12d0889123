"""The processes of a run."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.faults.campaign.actor import Orders

ROOT = Path(__file__).parents[3]


class Crew:
    """Starts actors and kills them; `deaths` tells of those that died by themselves."""

    def __init__(self, orders: Callable[[str, str], Orders]) -> None:
        self.actors: dict[Process, str] = {}
        self.deaths: list[str] = []
        self._orders = orders
        self._started = 0

    def having(self, role: str) -> list[Process]:
        return [actor for actor, its in self.actors.items() if its == role]

    async def start(self, role: str) -> None:
        self._started += 1
        orders = self._orders(role, f"{self._started:04}-{role}")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.campaign.actors"),
            cwd=ROOT,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **orders.environment()},
            stdin=PIPE,  # closed when this process ends, be it by SIGKILL: then the actor ends too
            stdout=DEVNULL,
            stderr=PIPE,
        )
        self.actors[process] = role

    async def replace(self, actor: Process) -> None:
        """Kill it and start another like it."""
        role = self.actors[actor]
        await self.end(actor)
        await self.start(role)

    async def end(self, *actors: Process) -> None:
        for actor in actors:
            role = self.actors.pop(actor)
            with suppress(ProcessLookupError):
                actor.kill()
            _, said = await actor.communicate()
            # One that was told to end before it had begun ends by the signal.
            if actor.returncode not in (0, -signal.SIGKILL, -signal.SIGTERM):
                self.deaths.append(f"a {role} actor died by itself: {_last_line(said)}")

    async def let_finish(self, role: str, timeout_seconds: float) -> None:
        """Ask them to end what they have begun."""
        asked = self.having(role)
        for actor in asked:
            actor.send_signal(signal.SIGTERM)
        for actor in asked:
            with suppress(TimeoutError):  # one that never ends leaves work without an answer
                await asyncio.wait_for(actor.wait(), timeout_seconds)
        await self.end(*asked)


def _last_line(said: bytes) -> str:
    return said.decode(errors="replace").strip().rpartition("\n")[2]
