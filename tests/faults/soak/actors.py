"""One process of the deployment: `python -m tests.faults.soak.actors ROLE '{...}'`.

Every second it prints what it has done so far, as a line of JSON. SIGTERM asks a writer to finish
what was asked of it, and the others to stop.
"""

import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import NAMESPACE_OID, UUID, uuid5

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_sessionmaker
from sqlalchemy.ext.asyncio import create_async_engine as create_engine

from eventsource import (
    AggregateRepository,
    DomainEvent,
    OptimisticLockError,
    OutboxPublisher,
    PostgreSQLCheckpointRepository,
    PostgreSQLDLQRepository,
    PostgreSQLEventStore,
    PostgreSQLInboxRepository,
    PostgreSQLOutboxRepository,
    PostgreSQLSnapshotStore,
)
from eventsource.asyncpg_pool import executor_for
from eventsource.bus import RedisEventBus, RedisEventBusConfig
from eventsource.projections import DatabaseProjection, handles
from eventsource.subscriptions import SubscriptionConfig, SubscriptionManager
from tests.faults.campaign.domain import Account, PaymentNoted

#: Connections that each process may have.
POOLS = {"write": 8, "subscribe": 5, "publish": 2, "consume": 2}
DAY_SECONDS = 24 * 60 * 60
STREAMS_AT_ONCE, STREAM_SECONDS = 32, 60  # streams stay short, and writers meet now and then
KEPT_SECONDS = {"outbox": 60, "inbox": 300}
HOUSEKEEPING_SECONDS = 10
POLL_SECONDS = 0.5


@dataclass
class Task:
    """What the driver asks of a process."""

    url: str
    redis: str
    name: str
    notes: str  #: a file for the ids of acknowledged events
    writers: int = 8
    rate: float = 25.0  #: commands a second of this process
    subscribers: tuple[str, ...] = ()
    sabotage: tuple[str, ...] = ()


class Balances(DatabaseProjection):
    """What each account holds, for the comparison with the log."""

    projection_name = "balances"
    tables = ("balances",)

    async def create_tables(self, transaction: AsyncConnection) -> None:
        """The driver has made them."""

    @handles(PaymentNoted)
    async def _add(self, transaction: AsyncConnection, event: PaymentNoted) -> None:
        await executor_for(transaction).fetch(
            "INSERT INTO balances VALUES ($1, $2, 1) ON CONFLICT (account) DO UPDATE "
            "SET total = balances.total + excluded.total, events = balances.events + 1",
            event.aggregate_id,
            event.amount,
        )


class Batches:
    """Gets its events by the page."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], name: str) -> None:
        self._sessions, self._name = sessions, name

    async def handle_batch(self, events: Sequence[DomainEvent]) -> None:
        await note_handled(self._sessions, self._name, events)


async def note_handled(
    sessions: async_sessionmaker[AsyncSession], name: str, events: Sequence[DomainEvent]
) -> None:
    await executor_for(sessions).fetch(
        "INSERT INTO handled SELECT $1, unnest($2::uuid[]) ON CONFLICT DO NOTHING",
        name,
        [event.event_id for event in events],
    )


class Actor:
    """What all roles share."""

    def __init__(self, role: str, task: Task) -> None:
        self.task = task
        self.engine = create_engine(task.url, pool_size=POOLS[role], max_overflow=0)
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self.store = PostgreSQLEventStore(self.sessions, outbox_enabled=True)
        self.is_over = asyncio.Event()
        self.commands: asyncio.Queue[float | None] = asyncio.Queue()  # when each was asked for
        self.done: dict[str, float] = {}
        self.kept: list[object] = []  # by the sabotage of a test

    async def tell(self) -> None:
        while True:
            self.done["waiting"] = self.commands.qsize()
            print(json.dumps(self.done), flush=True)
            self.done["slowest"] = 0
            await asyncio.sleep(1)
            if "leak" in self.task.sabotage:
                self.kept.append(bytearray(b"x" * 2_000_000))
            if "connections" in self.task.sabotage and len(self.kept) < 60:
                engine = create_engine(self.task.url)
                self.kept += [engine, await engine.connect(), await engine.connect()]

    async def write(self) -> None:
        """So many writers share the commands that come at a fixed rate, whoever is behind."""
        self.done = dict.fromkeys(("commands", "conflicts", "waiting", "seconds", "slowest"), 0)
        self.accounts = AggregateRepository(
            self.store,
            Account,
            snapshot_store=PostgreSQLSnapshotStore(self.sessions),
            snapshot_threshold=20,
        )
        with Path(self.task.notes).open("a") as self.notes:  # noqa: ASYNC230  # a line each time
            await asyncio.gather(self._offer(), *(self._write() for _ in range(self.task.writers)))

    async def _offer(self) -> None:
        due = time.monotonic()
        while not self.is_over.is_set():
            due += 1 / self.task.rate
            with suppress(TimeoutError):
                await asyncio.wait_for(self.is_over.wait(), max(0, due - time.monotonic()))
            self.commands.put_nowait(due)
        for _ in range(self.task.writers):
            self.commands.put_nowait(None)

    async def _write(self) -> None:
        while (due := await self.commands.get()) is not None:
            await self._command(_some_stream())
            taken = time.monotonic() - due
            self.done["commands"] += 1
            self.done["seconds"] += taken
            self.done["slowest"] = max(self.done["slowest"], taken)

    async def _command(self, stream: UUID) -> None:
        event: PaymentNoted | None = None

        async def pay(account: Account) -> None:
            nonlocal event
            if event is not None:
                self.done["conflicts"] += 1
            if random.random() < 0.25:  # some commands ask somebody else first
                await asyncio.sleep(random.uniform(0, 0.03))
            event = account.note_payment(random.randint(1, 100))

        while True:
            with suppress(OptimisticLockError):
                await self.accounts.update(stream, pay, create=True)
                break
        assert event is not None
        self.notes.write(f"{event.event_id}\n")

    async def subscribe(self) -> None:
        manager = SubscriptionManager(
            self.store,
            None,
            PostgreSQLCheckpointRepository(self.sessions),
            dlq_repo=PostgreSQLDLQRepository(self.sessions),
        )
        config = SubscriptionConfig(poll_interval_seconds=POLL_SECONDS)
        for name in self.task.subscribers:
            await manager.subscribe(self._subscriber(name), config, name)
        async with manager:
            await self.is_over.wait()

    def _subscriber(self, name: str) -> object:
        if name == Balances.projection_name:
            return Balances(self.engine)
        if name.startswith("batches"):
            return Batches(self.sessions, name)

        async def one_by_one(event: DomainEvent) -> None:
            if "slow" in self.task.sabotage:
                await asyncio.sleep(0.5)
            await note_handled(self.sessions, name, [event])

        return one_by_one

    async def publish(self) -> None:
        outbox = PostgreSQLOutboxRepository(self.sessions)
        async with self._bus() as bus:
            publisher = OutboxPublisher(outbox, bus, poll_interval_seconds=POLL_SECONDS)
            async with publisher:
                await self._keep_house(
                    lambda: outbox.cleanup_published(KEPT_SECONDS["outbox"] / DAY_SECONDS)
                )

    async def consume(self) -> None:
        inbox = PostgreSQLInboxRepository(self.sessions)

        async def effect(session: AsyncSession, event: DomainEvent) -> None:
            await executor_for(session).fetch("INSERT INTO consumed VALUES ($1)", event.event_id)

        async def handle(event: DomainEvent) -> None:
            await inbox.once("consumer", event.event_id, lambda session: effect(session, event))

        async with self._bus() as bus:
            bus.subscribe(PaymentNoted, handle)
            consuming = asyncio.create_task(bus.start_consuming())
            await self._keep_house(lambda: inbox.cleanup(KEPT_SECONDS["inbox"] / DAY_SECONDS))
            await bus.stop_consuming()
            await consuming

    def _bus(self) -> RedisEventBus:
        # Redis keeps what was read, too: this much of it, far more than a consumer may lag behind.
        config = RedisEventBusConfig(redis_url=self.task.redis, max_stream_length=10_000)
        return RedisEventBus(config)

    async def _keep_house(self, clean: Callable[[], object]) -> None:
        while not self.is_over.is_set():
            await clean()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.is_over.wait(), HOUSEKEEPING_SECONDS)


def _some_stream() -> UUID:
    """One of a few that all writers use now; others come after them."""
    age = time.monotonic() // STREAM_SECONDS
    return uuid5(NAMESPACE_OID, f"account {age} {random.randrange(STREAMS_AT_ONCE)}")


async def main(role: str, task: str) -> None:
    actor = Actor(role, Task(**json.loads(task)))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, actor.is_over.set)
    tasks = [asyncio.create_task(work) for work in (getattr(actor, role)(), actor.tell())]
    # The telling ends only if nobody listens any more: then the driver is gone.
    first, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for one in first:
        one.result()
    tasks[1].cancel()
    print(json.dumps(actor.done), flush=True)
    await actor.engine.dispose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
