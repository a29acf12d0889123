"""One process at work until it is killed: `python -m tests.faults.campaign.actors ROLE ...`.

Every actor survives the loss of its database and goes on when that is back. SIGTERM asks a writer
to end what it has begun; the others are killed.
"""

import asyncio
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import asyncpg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from eventsource import (
    AggregateRepository,
    DomainEvent,
    EventSourceError,
    EventStoreError,
    OptimisticLockError,
    OutboxPublisher,
    PostgreSQLEventStore,
    PostgreSQLInboxRepository,
    PostgreSQLOutboxRepository,
    PostgreSQLSnapshotStore,
    ReadOptions,
)
from eventsource.asyncpg_pool import executor_for
from eventsource.projections import rebuild_blue_green
from eventsource.types import Position
from tests.faults.campaign.domain import Account, PaymentNoted, Projected
from tests.faults.campaign.records import Append, Complaint, FeedRead, Notebook, VersionRead, now

LOST = (EventStoreError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
LEASE_SECONDS = 3.0
SNAPSHOT_EVERY = 5


class Actor:
    """What all roles share."""

    def __init__(self, url: str, notes: str, seed: str, streams: str, sabotage: str) -> None:
        self.url, self.sabotage = url, sabotage
        self.engine = create_async_engine(url, pool_size=6, pool_pre_ping=True)
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self.store = PostgreSQLEventStore(self.sessions, outbox_enabled=True)
        self.notebook, self.name = Notebook(Path(notes)), Path(notes).stem
        self.random = random.Random(seed)  # a schedule that can be repeated
        self.streams = [UUID(text) for text in streams.split(",")]
        self.is_over = asyncio.Event()

    async def write(self) -> None:
        """Three tasks append to the streams, and know exactly what became of each event."""
        await asyncio.gather(*(self._write() for _ in range(3)))

    async def _write(self) -> None:
        while not self.is_over.is_set():
            stream = self.random.choice(self.streams)
            version = await self._until_done(lambda stream=stream: self._version(stream))
            event = PaymentNoted(
                aggregate_id=stream,
                aggregate_version=version + 1,
                amount=self.random.randint(1, 100),
            )
            await self._append(event, version)

    async def _version(self, stream: UUID) -> int:
        began = now()
        version = await self.store.get_stream_version(stream, "Account")
        self.notebook.note(VersionRead(str(stream), version, began, now()))
        return version

    async def _append(self, event: PaymentNoted, expected: int) -> None:
        ids = str(event.event_id), str(event.aggregate_id)
        began = now()
        self.notebook.note(Append(*ids, began))
        slowly = self.random.random() < 0.3
        while True:
            try:
                await (self._append_in_transaction if slowly else self._append_once)(
                    event, expected
                )
            except OptimisticLockError:
                outcome = "refused"
            except LOST:
                # Nobody knows whether it is stored; the same event again is safe, and tells.
                slowly = False
                await asyncio.sleep(0.05)
                continue
            else:
                outcome = "ok"
            self.notebook.note(Append(*ids, began, now(), outcome))
            return

    async def _append_once(self, event: PaymentNoted, expected: int) -> None:
        await self.store.append_events(event.aggregate_id, "Account", [event], expected)

    async def _append_in_transaction(self, event: PaymentNoted, expected: int) -> None:
        """Takes its place in the log first and commits later, so that commits come out of order."""
        async with self.sessions() as session, session.begin():
            await self.store.append_events(
                event.aggregate_id, "Account", [event], expected, transaction=session
            )
            await asyncio.sleep(self.random.uniform(0, 0.1))

    async def command(self) -> None:
        """Commands on aggregates that are loaded from snapshots, which this actor takes."""
        accounts = AggregateRepository(
            self.store,
            Account,
            snapshot_store=PostgreSQLSnapshotStore(self.sessions),
            snapshot_threshold=SNAPSHOT_EVERY,
        )
        while True:
            stream = self.random.choice(self.streams)
            account = await self._until_done(lambda s=stream: accounts.load_or_create(s))
            if account.state and account.state.events != account.version:
                self.notebook.note(Complaint(f"{stream}: {account.version} is {account.state!r}"))
            event = account.note_payment(self.random.randint(1, 100))
            await self._append(event, account.version - 1)
            # Taken of what is stored, as the repository does after a save.
            stored = await self._until_done(lambda s=stream: accounts.load(s))
            await self._until_done(lambda a=stored: accounts.create_snapshot(a))

    async def publish(self) -> None:
        """Two of these share the outbox; the broker is a table in a transaction of its own."""
        outbox = PostgreSQLOutboxRepository(self.engine)
        if self.sabotage == "mark-first":
            await self._mark_before_publishing(outbox)
        publisher = OutboxPublisher(
            outbox,
            Broker(self.sessions),
            batch_size=10,
            poll_interval_seconds=0.05,
            lease_seconds=LEASE_SECONDS,
            retry_delay_seconds=0.1,
            max_attempts=10_000,
        )
        await publisher.run()

    async def _mark_before_publishing(self, outbox: PostgreSQLOutboxRepository) -> None:
        while True:
            entries = await self._until_done(lambda: outbox.claim(10, LEASE_SECONDS))
            if entries:
                await self._until_done(lambda e=entries: outbox.mark_published(*[x.id for x in e]))
            for entry in entries:
                await asyncio.sleep(0.01)
                event = PaymentNoted.model_validate_json(str(entry.event_data))
                await self._until_done(lambda e=event: Broker(self.sessions).publish([e]))
            await asyncio.sleep(0.01)

    async def consume(self) -> None:
        """Take every delivery, again and again, and have an effect through the inbox."""
        while True:
            await self._until_done(lambda: consume_all(self.sessions))
            await asyncio.sleep(0.1)

    async def project(self) -> None:
        projection = Projected(self.engine)
        await self._until_done(projection.setup)
        while True:
            await self._until_done(lambda: projection.catch_up(self.store, batch_size=20))
            await asyncio.sleep(0.02)

    async def rebuild(self) -> None:
        projection = Projected(self.engine)
        await self._until_done(projection.setup)
        while True:
            await self._until_done(
                lambda: rebuild_blue_green(projection, self.store, batch_size=50)
            )
            await asyncio.sleep(0.3)

    async def read(self) -> None:
        """Follow the feed from its start, and note what comes."""
        position = Position.START
        while True:
            batch = await self._until_done(lambda p=position: self._page(p))
            if batch:
                ids = [str(stored.event_id) for stored in batch]
                self.notebook.note(FeedRead(self.name, ids))
                position = batch[-1].position
            await asyncio.sleep(0.01)

    async def _page(self, position: Position) -> list:
        options = ReadOptions(from_position=position, limit=50)
        return [stored async for stored in self.store.read_all(options)]

    async def _until_done(self, work: Callable[[], Awaitable]) -> object:
        while True:
            try:
                return await work()
            except (*LOST, EventSourceError):
                await asyncio.sleep(0.05)


class Broker:
    """A table that what is published goes into, in a transaction of its own."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        self.sessions = sessions

    async def publish(self, events: list[DomainEvent]) -> None:
        async with self.sessions() as session, session.begin():
            for event in events:
                await executor_for(session).fetch(
                    "INSERT INTO delivered (event_id, stream, version) VALUES ($1, $2, $3)",
                    event.event_id,
                    event.aggregate_id,
                    event.aggregate_version,
                )


async def consume_all(sessions: async_sessionmaker[AsyncSession]) -> None:
    """Handle all deliveries there are, in their order, each with one effect."""
    inbox = PostgreSQLInboxRepository(sessions)
    rows = await executor_for(sessions).fetch(
        "SELECT * FROM delivered AS d WHERE NOT EXISTS "
        "(SELECT FROM effects AS e WHERE e.event_id = d.event_id) ORDER BY place"
    )
    for row in rows:

        async def effect(session: AsyncSession, row: asyncpg.Record = row) -> None:
            await executor_for(session).fetch(
                "INSERT INTO effects (event_id, stream, version) VALUES ($1, $2, $3)",
                row["event_id"],
                row["stream"],
                row["version"],
            )

        await inbox.once("consumer", row["event_id"], effect)


async def main(role: str, *arguments: str) -> None:
    actor = Actor(*arguments)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, actor.is_over.set)
    await getattr(actor, role)()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
