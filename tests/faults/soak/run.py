"""Start the deployment, take a sample every few seconds, let it settle, and compare."""

import asyncio
import json
import os
import re
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean

import asyncpg
import psutil
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from eventsource import (
    PostgreSQLCheckpointRepository,
    PostgreSQLEventStore,
    PostgreSQLOutboxRepository,
)
from eventsource.bus import RedisEventBusConfig
from eventsource.monitoring import Monitor
from tests.faults.soak.actors import POOLS, Task
from tests.faults.soak.sample import Sample
from tutorial_support.database import private_server
from tutorial_support.lab import eventually
from tutorial_support.services import private_service

ROOT = Path(__file__).parents[3]
WRITERS, WRITER_PROCESSES = 32, 4
SUBSCRIBERS = ("balances", "one by one"), ("batches", "batches, too")
STOP_SECONDS = 120
MIB = 2**20

TABLES = """
CREATE TABLE balances (account uuid PRIMARY KEY, total bigint NOT NULL, events bigint NOT NULL);
CREATE TABLE handled (subscriber text, event_id uuid, PRIMARY KEY (subscriber, event_id));
CREATE TABLE consumed (event_id uuid NOT NULL);
CREATE TABLE acknowledged (event_id uuid NOT NULL);
"""
BACKENDS = """
SELECT pid FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
TABLES_NOW = """
SELECT sum(n_dead_tup)::bigint AS dead_rows,
    pg_total_relation_size('event_outbox') AS outbox, pg_database_size(current_database()) AS all
FROM pg_stat_user_tables
"""
#: What must be 0 at the end, by what is wrong otherwise.
COMPARISONS = {
    "acknowledged and not stored": (
        "SELECT count(*) FROM acknowledged WHERE event_id NOT IN (SELECT event_id FROM events)"
    ),
    "stored and not acknowledged": (
        "SELECT count(*) FROM events WHERE event_id NOT IN (SELECT event_id FROM acknowledged)"
    ),
    "missed by a subscriber": (
        "SELECT count(*) FROM events CROSS JOIN unnest($1::text[]) AS name WHERE NOT EXISTS "
        "(SELECT FROM handled AS h WHERE h.event_id = events.event_id AND h.subscriber = name)"
    ),
    "accounts whose balance is wrong": (
        "SELECT count(*) FROM balances AS b FULL JOIN (SELECT aggregate_id AS account, "
        "sum((payload ->> 'amount')::bigint) AS total, count(*) AS events FROM events GROUP BY 1) "
        "AS log USING (account) WHERE (b.total, b.events) IS DISTINCT FROM (log.total, log.events)"
    ),
    "stored and not consumed": (
        "SELECT count(*) FROM events WHERE event_id NOT IN (SELECT event_id FROM consumed)"
    ),
    "consumed twice": "SELECT count(*) - count(DISTINCT event_id) FROM consumed",
    "left in the outbox": "SELECT count(*) FROM event_outbox WHERE status <> 'published'",
    "dead letters": "SELECT count(*) FROM dead_letter_queue",
}


@dataclass
class Result:
    """What was seen. `differences` must all be 0, and `deaths` empty."""

    rate: float
    seconds: float
    samples: list[Sample] = field(default_factory=list)
    differences: dict[str, int] = field(default_factory=dict)
    deaths: list[str] = field(default_factory=list)
    events: int = 0

    @property
    def most_connections(self) -> int:
        """What the pools of all processes allow."""
        return (
            WRITER_PROCESSES * POOLS["write"]
            + len(SUBSCRIBERS) * POOLS["subscribe"]
            + POOLS["publish"]
            + POOLS["consume"]
        )


class Soak:
    """One run. `rate` is in commands a second; `tell` hears how far it is, from 0 to 1."""

    def __init__(
        self,
        seconds: float,
        rate: float,
        *,
        sample_seconds: float = 5,
        settle_seconds: float = 120,
        sabotage: tuple[str, ...] = (),
        tell: Callable[[float], None] = lambda share: None,
    ) -> None:
        self.result = Result(rate, seconds)
        self.sample_seconds, self.settle_seconds = sample_seconds, settle_seconds
        self.sabotage, self.tell = sabotage, tell
        self.actors: dict[str, Process] = {}
        self.said: dict[str, dict[str, float]] = {}
        self.readers: list[asyncio.Task[None]] = []

    async def go(self) -> Result:
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            self.folder = Path(folder)
            async with await private_server() as server, await private_service("redis") as broker:
                self.url, self.broker = server.url, broker.url
                self.database = await asyncpg.connect(server.url.replace("+asyncpg", ""))
                self.redis = Redis.from_url(broker.url)
                self.engine = create_async_engine(server.url, pool_size=1, max_overflow=0)
                try:
                    await self._work()
                finally:
                    await self._end(*self.actors)
                    await self.engine.dispose()
                    await self.redis.aclose()
                    await self.database.close()
        return self.result

    async def _work(self) -> None:
        await self.database.execute(TABLES)
        for number in range(1, len(SUBSCRIBERS) + 1):
            names = SUBSCRIBERS[number - 1]
            await self._start("subscribe", f"subscribers {number}", subscribers=names)
        await self._start("consume", "consumer")
        await self._start("publish", "publisher")
        for number in range(1, WRITER_PROCESSES + 1):
            await self._start("write", f"writers {number}")
        await eventually(lambda: len(self.said) == len(self.actors), timeout_seconds=60)
        sessions = async_sessionmaker(self.engine)
        self.monitor = Monitor(
            PostgreSQLEventStore(sessions),
            PostgreSQLCheckpointRepository(sessions),
            PostgreSQLOutboxRepository(sessions),
        )
        began = due = time.monotonic()
        while (elapsed := time.monotonic() - began) < self.result.seconds:
            self.result.samples.append(await self._sample(elapsed))
            self.tell(elapsed / self.result.seconds)
            due += self.sample_seconds
            await asyncio.sleep(max(0, due - time.monotonic()))
        await self._settle()

    async def _start(self, role: str, name: str, **more: tuple[str, ...]) -> None:
        task = Task(
            self.url,
            self.broker,
            name,
            str(self.folder / f"{name}.ids"),
            writers=WRITERS // WRITER_PROCESSES,
            rate=self.result.rate / WRITER_PROCESSES,
            sabotage=self.sabotage if name in ("consumer", "subscribers 1") else (),
            **more,
        )
        errors = (self.folder / f"{name}.errors").open("wb")
        with errors:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.faults.soak.actors", role, json.dumps(asdict(task))),
                cwd=ROOT,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
                stdout=PIPE,
                stderr=errors,
                start_new_session=True,  # services of their own, to a scheduler that groups
            )
        self.actors[name] = process
        self.readers.append(asyncio.create_task(self._listen(name, process)))

    async def _listen(self, name: str, process: Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            said = json.loads(line)
            if before := self.said.get(name):  # the slowest since the last sample
                said["slowest"] = max(said.get("slowest", 0), before.get("slowest", 0))
            self.said[name] = said

    async def _sample(self, elapsed: float) -> Sample:
        measured = await self.monitor.measure()
        backends = [row["pid"] for row in await self.database.fetch(BACKENDS)]
        tables = await self.database.fetchrow(TABLES_NOW)
        memory = {name: _resident(actor.pid) for name, actor in self.actors.items()}
        if private := [size for pid in backends if (size := _private(pid))]:
            memory["a backend of PostgreSQL"] = mean(private)
        memory["Redis"] = (await self.redis.info("memory"))["used_memory_rss"] / MIB
        writers = [said for name, said in self.said.items() if name.startswith("writers")]
        outbox = measured.outbox
        assert outbox is not None
        sample = Sample(
            seconds=elapsed,
            commands=sum(said["commands"] for said in writers),
            conflicts=sum(said["conflicts"] for said in writers),
            waiting=sum(said["waiting"] for said in writers),
            waited=sum(said["seconds"] for said in writers),
            slowest=max(said["slowest"] for said in writers),
            memory=memory,
            connections=len(backends) - 1,  # the monitor's is not the deployment's
            lag={name: lag.seconds for name, lag in measured.lags.items()}
            | {"consumer": await self._at_the_broker() / self.result.rate},
            outbox_pending=outbox.pending_count,
            outbox_age=outbox.oldest_pending_age_seconds,
            outbox_mib=tables["outbox"] / MIB,
            database_mib=tables["all"] / MIB,
            dead_rows=tables["dead_rows"] or 0,
        )
        for said in self.said.values():
            said["slowest"] = 0
        return sample

    async def _at_the_broker(self) -> int:
        """Events that the consumer has not got yet, or has not handled."""
        config = RedisEventBusConfig()
        groups = await self.redis.xinfo_groups(config.stream_name)
        return sum((group["lag"] or 0) + group["pending"] for group in groups)

    async def _settle(self) -> None:
        """Writers finish, the others come to the end of what they wrote; then all is compared."""
        await self._end(*(name for name in self.actors if name.startswith("writers")))
        with suppress(AssertionError):  # what has not come by then is a difference
            await eventually(self._is_settled, timeout_seconds=self.settle_seconds)
        await self._end(*self.actors)
        for path in self.folder.glob("*.ids"):
            ids = [(line,) for line in path.read_text("ascii").split()]
            await self.database.copy_records_to_table("acknowledged", records=ids)
        names = [n for group in SUBSCRIBERS for n in group if n != "balances"]
        for what, query in COMPARISONS.items():
            values = [names] if "$1" in query else []
            self.result.differences[what] = await self.database.fetchval(query, *values)
        self.result.events = await self.database.fetchval("SELECT count(*) FROM events")

    async def _is_settled(self) -> bool:
        measured = await self.monitor.measure()
        assert measured.outbox is not None
        lags = max((lag.events for lag in measured.lags.values()), default=0)
        consumed, stored = await self.database.fetchrow(
            "SELECT (SELECT count(*) FROM consumed), (SELECT count(*) FROM events)"
        )
        return measured.outbox.pending_count == lags == 0 and consumed >= stored

    async def _end(self, *names: str) -> None:
        ending = {name: self.actors.pop(name) for name in names}
        for process in ending.values():
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for name, process in ending.items():
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
            if process.returncode != 0:
                said = (self.folder / f"{name}.errors").read_text("utf-8", "replace")
                last = said.strip().rpartition("\n")[2]
                self.result.deaths.append(f"{name} ended with {process.returncode}: {last}")
        if not self.actors:
            await asyncio.gather(*self.readers)


def _resident(pid: int) -> float:
    """MiB in memory; 0 for a process that is gone."""
    with suppress(psutil.NoSuchProcess):
        return float(psutil.Process(pid).memory_info().rss / MIB)
    return 0.0


def _private(pid: int) -> float:
    """MiB that this backend shares with nobody, where Linux tells."""
    with suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
        if found := re.search(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE):
            return int(found[1]) / 1024
    return 0.0
