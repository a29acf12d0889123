"""One run: start actors, kill them and the servers at random, let the rest settle, collect."""

import asyncio
import random
import tempfile
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import UUID

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from tests.faults.campaign.actor import Orders
from tests.faults.campaign.brokers import TABLE, consume_all, prepare
from tests.faults.campaign.checker import Evidence, violations
from tests.faults.campaign.crew import Crew
from tests.faults.campaign.domain import TABLES
from tests.faults.campaign.evidence import collect, fetch
from tests.faults.campaign.sabotage import SABOTAGES
from tutorial_support.database import private_server
from tutorial_support.database.private import PrivateServer
from tutorial_support.lab import eventually
from tutorial_support.services import KINDS, is_available, private_service

ROLES = {
    "write": 3,
    "command": 1,
    "publish": 2,
    "consume": 2,
    "project": 2,
    "rebuild": 1,
    "read": 2,
    "subscribe": 2,
}
STREAMS = 6
START_SECONDS, SETTLE_SECONDS = 300, 180  # patient: the machine may be busy
LEAST_FAULTS = 5  # however slow the machine is
SABOTAGED_SETTLE_SECONDS = 5  # what is lost never comes

#: What shows that a role has begun, what it does, and that it has come to the end of the log.
IS_BUSY = {
    "write": "(SELECT count(*) > 50 FROM events)",
    "command": "EXISTS (SELECT FROM snapshots)",
    "consume": "EXISTS (SELECT FROM effects)",
    "project": "EXISTS (SELECT FROM projected)",
    "subscribe": "EXISTS (SELECT FROM subscribed) AND EXISTS (SELECT FROM handled)",
}
DOES = {"publish": "delivered", "consume": "effects", "subscribe": "handled"}
IS_SETTLED = {
    "publish": "NOT EXISTS (SELECT FROM event_outbox WHERE status = 'pending')",
    "consume": "(SELECT count(DISTINCT event_id) FROM effects) >= (SELECT count(*) FROM events)",
    "project": "(SELECT count(*) FROM projected) >= (SELECT count(*) FROM events)",
    "subscribe": "(SELECT least((SELECT count(*) FROM subscribed), "
    "(SELECT count(DISTINCT event_id) FROM handled)) >= (SELECT count(*) FROM events))",
}
TERMINATE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


def broker_of(seed: int) -> str:
    """Each run has another broker, of those that this machine has."""
    brokers = [TABLE, *filter(is_available, KINDS)]
    return brokers[seed % len(brokers)]


@dataclass
class Report:
    """What a run did, and what it found."""

    seed: int
    broker: str
    faults: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def count(self, evidence: Evidence) -> None:
        def again(rows: list) -> int:
            return len(rows) - len({row.event_id for row in rows})

        self.counts["events"] = len(evidence.log)
        self.counts["delivered again"] = again(evidence.delivered)
        self.counts["handled again"] = again(evidence.handled)
        self.counts["leaders"] = len({row.term for row in evidence.subscribed})

    def __str__(self) -> str:
        counts = ", ".join(f"{n} {what}" for what, n in self.counts.items())
        faults = ", ".join(f"{n} x {what}" for what, n in sorted(self.faults.items()))
        return f"seed {self.seed} over {self.broker}: {counts}; {faults}"


class Run:
    """Everything of one run; `seed` decides what is attacked when."""

    def __init__(self, seed: int, seconds: float, sabotage: str = "", broker: str = "") -> None:
        self.seconds, self.sabotage = seconds, sabotage
        self.broken = SABOTAGES.get(sabotage)
        self.random = random.Random(seed)  # a schedule that can be repeated
        self.report = Report(seed, broker or broker_of(seed))
        self.roles = ROLES
        if self.broken:
            self.report.broker = self.broken.broker
            self.roles = {role: ROLES[role] for role in self.broken.roles}
        self.streams = [
            str(UUID(int=self.random.getrandbits(128), version=4)) for _ in range(STREAMS)
        ]
        self.crew = Crew(self._orders)
        self.broker: PrivateServer | None = None

    async def go(self) -> Report:
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="campaign-"))
            self.folder = Path(folder)
            self.server = await stack.enter_async_context(await private_server())
            self.engine = create_async_engine(self.server.url, pool_pre_ping=True)
            stack.push_async_callback(self.engine.dispose)
            if self.report.broker != TABLE:
                service = await private_service(self.report.broker)
                self.broker = await stack.enter_async_context(service)
                await prepare(self.report.broker, self.broker)
            try:
                await self._under_fire()
                await self._settle()
                evidence = await collect(self.engine, self.folder)
            finally:
                await self.crew.end(*self.crew.actors)
        self.report.count(evidence)
        self.report.violations = self.crew.deaths + violations(evidence)
        return self.report

    def _orders(self, role: str, name: str) -> Orders:
        return Orders(
            role,
            self.server.url,
            notes=str(self.folder / f"{name}.jsonl"),
            seed=self.random.random(),
            streams=self.streams,
            sabotage=self.sabotage,
            broker=self.report.broker,
            broker_url=self.broker.url if self.broker else "",
        )

    async def _under_fire(self) -> None:
        await self._execute(TABLES)
        for role, count in self.roles.items():
            for _ in range(count):
                await self.crew.start(role)
        await eventually(partial(self._all, IS_BUSY), timeout_seconds=START_SECONDS)
        if self.broken:
            await self._execute(self.broken.statement)
        attack = self._kill_victims if self.broken else self._attack
        clock = asyncio.get_running_loop().time
        deadline, least = clock() + self.seconds, 0 if self.broken else LEAST_FAULTS
        while clock() < deadline or self.report.faults.total() < least:
            await asyncio.sleep(self.random.uniform(0.2, 1.2))
            self.report.faults[await attack()] += 1

    async def _kill_victims(self) -> str:
        """All of one role; and wait until its successors work, so that a gap shows."""
        if not (self.broken and self.broken.victims):
            return "nothing"
        role = self.random.choice(self.broken.victims)
        for actor in self.crew.having(role):
            await self.crew.replace(actor)
        ((before,),) = await fetch(self.engine, f"SELECT count(*) FROM {DOES[role]}")
        grown = f"(SELECT count(*) > {before + 5} FROM {DOES[role]})"
        await eventually(partial(self._all, {role: grown}), timeout_seconds=START_SECONDS)
        return f"{role} killed"

    async def _kill_one_of(self, *roles: str) -> str:
        role = self.random.choices(roles, [ROLES[role] for role in roles])[0]
        await self.crew.replace(self.random.choice(self.crew.having(role)))
        return f"{role} killed"

    async def _attack(self) -> str:
        kinds = {"actor": 8, "backends": 2, "server": 1}
        # The course's Kafka-protocol broker keeps what it has in memory alone.
        if self.broker and self.report.broker != "kafka":
            kinds["broker"] = 1
        kind = self.random.choices(list(kinds), list(kinds.values()))[0]
        if kind == "actor":
            return await self._kill_one_of(*ROLES)
        if kind == "backends":
            with suppress(asyncpg.PostgresError, OSError):
                await self._execute(TERMINATE)
            return "all connections cut"
        server = self.broker if kind == "broker" and self.broker else self.server
        await server.kill()
        await asyncio.sleep(self.random.uniform(0, 0.5))
        await server.restart()
        return f"{self.report.broker if kind == 'broker' else 'postgresql'} killed"

    async def _settle(self) -> None:
        """Writers finish what they began; then the others catch up with the log."""
        await self.crew.end(*self.crew.having("command"), *self.crew.having("rebuild"))
        await self.crew.let_finish("write", SETTLE_SECONDS)
        with suppress(AssertionError):  # what has not come by then, the checker names
            seconds = SABOTAGED_SETTLE_SECONDS if self.broken else SETTLE_SECONDS
            await eventually(partial(self._all, IS_SETTLED), timeout_seconds=seconds)
        await self.crew.end(*self.crew.actors)
        if self.broker is None:
            await consume_all(async_sessionmaker(self.engine))

    async def _all(self, signs: dict[str, str]) -> bool:
        """Whether all roles at work show theirs."""
        shown = [sign for role, sign in signs.items() if role in self.roles]
        query = f"SELECT {' AND '.join(shown) or 'true'} AS answer"
        with suppress(DBAPIError, OSError):
            return bool((await fetch(self.engine, query))[0].answer)
        return False

    async def _execute(self, statements: str) -> None:
        connection = await asyncpg.connect(self.server.url.replace("+asyncpg", ""))
        try:
            await connection.execute(statements)
        finally:
            await connection.close()
