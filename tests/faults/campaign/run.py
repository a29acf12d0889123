"""One run: start actors, kill them and the server at random, let the rest settle, collect."""

import asyncio
import os
import random
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from eventsource import PostgreSQLEventStore
from tests.faults.campaign.actors import consume_all
from tests.faults.campaign.checker import Evidence, SnapshotSeen, Stored, violations
from tests.faults.campaign.domain import TABLES
from tests.faults.campaign.records import read_notes
from tutorial_support.database import private_server
from tutorial_support.lab import eventually

ROOT = Path(__file__).parents[3]
ROLES = {
    "write": 3,
    "command": 1,
    "publish": 2,
    "consume": 1,
    "project": 2,
    "rebuild": 1,
    "read": 2,
}
STREAMS = 6
SETTLE_SECONDS = 90

#: Ways to break the library, which a run must find.
SABOTAGES = {
    "no-guard": "ALTER TABLE events DROP CONSTRAINT uq_events_aggregate_version",
    "no-horizon": (
        "CREATE OR REPLACE FUNCTION event_feed_horizon() RETURNS xid8 LANGUAGE sql STABLE "
        "AS $$ SELECT '9223372036854775807'::xid8 $$"
    ),
    "mark-first": "SELECT",  # the actor does it
}
IS_BUSY = """
SELECT (SELECT count(*) > 50 FROM events) AND EXISTS (SELECT FROM effects)
    AND EXISTS (SELECT FROM projected) AND EXISTS (SELECT FROM snapshots) AS answer
"""
TERMINATE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


@dataclass
class Report:
    """What a run did, and what it found."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    events: int = 0
    duplicates: int = 0
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        done = ", ".join(f"{n} x {what}" for what, n in sorted(self.faults.items()))
        return f"seed {self.seed}: {self.events} events, {self.duplicates} duplicates; {done}"


class Run:
    """Everything of one run; `seed` decides what is attacked when."""

    def __init__(self, seed: int, seconds: float, sabotage: str = "") -> None:
        self.seconds, self.sabotage = seconds, sabotage
        self.random = random.Random(seed)  # a schedule that can be repeated
        self.report = Report(seed)
        self.streams = [UUID(int=self.random.getrandbits(128), version=4) for _ in range(STREAMS)]
        self.actors: dict[Process, str] = {}
        self.started = 0
        self.deaths: list[str] = []

    async def go(self) -> Report:
        with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
            self.folder = Path(folder)
            async with await private_server() as server:
                self.server = server
                self.engine = create_async_engine(server.url, pool_pre_ping=True)
                try:
                    await self._under_fire()
                    found = violations(await self._evidence())
                finally:
                    for actor in list(self.actors):
                        await self._end(actor)
                    await self.engine.dispose()
        self.report.violations = self.deaths + found
        return self.report

    async def _under_fire(self) -> None:
        await self._execute(TABLES)
        for role, count in ROLES.items():
            for _ in range(count):
                await self._start(role)
        await eventually(self._is_busy, timeout_seconds=SETTLE_SECONDS)
        if self.sabotage:
            await self._execute(SABOTAGES[self.sabotage])
        deadline = asyncio.get_running_loop().time() + self.seconds
        while asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(self.random.uniform(0.2, 1.2))
            await self._attack()
        await self._settle()

    async def _attack(self) -> None:
        kind = self.random.choices(["actor", "backends", "server"], [8, 2, 1])[0]
        if kind == "actor":
            actor = self.random.choice(list(self.actors))
            role = self.actors[actor]
            await self._end(actor)
            await self._start(role)
            self.report.faults[f"{role} killed"] += 1
        elif kind == "backends":
            with suppress(asyncpg.PostgresError, OSError):
                await self._execute(TERMINATE)
            self.report.faults["all connections cut"] += 1
        else:
            await self.server.kill()
            await asyncio.sleep(self.random.uniform(0, 0.5))
            await self.server.restart()
            self.report.faults["server killed"] += 1

    async def _settle(self) -> None:
        """Writers finish what they began; then the others catch up with the log."""
        for actor in [a for a, role in self.actors.items() if role == "command"]:
            await self._end(actor)
        for actor in [a for a, role in self.actors.items() if role == "rebuild"]:
            await self._end(actor)
        writers = [a for a, role in self.actors.items() if role == "write"]
        for writer in writers:
            writer.send_signal(signal.SIGTERM)
        for writer in writers:
            with suppress(TimeoutError):  # one that never ends leaves appends without an answer
                await asyncio.wait_for(writer.wait(), SETTLE_SECONDS)
            await self._end(writer)
        with suppress(AssertionError):  # what has not come by then, the checker names
            await eventually(self._is_settled, timeout_seconds=SETTLE_SECONDS)
        for actor in list(self.actors):
            await self._end(actor)
        await consume_all(async_sessionmaker(self.engine))

    async def _is_busy(self) -> bool:
        """Every kind of actor has begun to work."""
        with suppress(DBAPIError):  # the first projection has not made its table yet
            return bool((await self._row(IS_BUSY)).answer)
        return False

    async def _is_settled(self) -> bool:
        row = await self._row(
            "SELECT (SELECT count(*) FROM events) AS log, "
            "(SELECT count(*) FROM event_outbox WHERE status = 'pending') AS pending, "
            "(SELECT count(*) FROM projected) AS projected"
        )
        return row.pending == 0 and row.projected >= row.log

    async def _start(self, role: str) -> None:
        self.started += 1
        notes = self.folder / f"{self.started:04}-{role}.jsonl"
        seed = str(self.random.random())
        streams = ",".join(map(str, self.streams))
        arguments = role, self.server.url, str(notes), seed, streams, self.sabotage
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.campaign.actors", *arguments),
            cwd=ROOT,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=DEVNULL,
            stderr=PIPE,
        )
        self.actors[process] = role

    async def _end(self, actor: Process) -> None:
        role = self.actors.pop(actor)
        with suppress(ProcessLookupError):
            actor.kill()
        _, said = await actor.communicate()
        # One that was told to end before it had begun ends by the signal.
        if actor.returncode not in (0, -signal.SIGKILL, -signal.SIGTERM):
            self.deaths.append(f"a {role} actor died by itself: {last_line(said)}")

    async def _evidence(self) -> Evidence:
        store = PostgreSQLEventStore(async_sessionmaker(self.engine))
        evidence = Evidence(records=read_notes(self.folder))
        async for stored in store.read_all():
            event = stored.event
            evidence.log.append(
                Stored(
                    str(stored.event_id),
                    str(stored.aggregate_id),
                    stored.stream_position,
                    event.model_dump()["amount"],
                )
            )
        for name in ("delivered", "effects"):
            rows = await self._rows(f"SELECT * FROM {name} ORDER BY place")
            setattr(
                evidence,
                name,
                [Stored(str(r.event_id), str(r.stream), r.version) for r in rows],
            )
        rows = await self._rows("SELECT event_id FROM projected ORDER BY place")
        evidence.projected = [str(row.event_id) for row in rows]
        rows = await self._rows("SELECT aggregate_id, version, state FROM snapshots")
        evidence.snapshots = [
            SnapshotSeen(str(r.aggregate_id), r.version, r.state["total"]) for r in rows
        ]
        row = await self._row("SELECT count(*) AS n FROM event_outbox WHERE status <> 'published'")
        evidence.pending = row.n
        self.report.events = len(evidence.log)
        self.report.duplicates = len(evidence.delivered) - len(
            {row.event_id for row in evidence.delivered}
        )
        return evidence

    async def _execute(self, statements: str) -> None:
        connection = await asyncpg.connect(self.server.url.replace("+asyncpg", ""))
        try:
            await connection.execute(statements)
        finally:
            await connection.close()

    async def _rows(self, query: str) -> list:
        async with self.engine.connect() as connection:
            return list(await connection.execute(text(query)))

    async def _row(self, query: str) -> object:
        (row,) = await self._rows(query)
        return row


def last_line(said: bytes) -> str:
    return said.decode(errors="replace").strip().rpartition("\n")[2]
