"""One process at work until it is killed: `python -m tests.faults.campaign.actors`.

SIGTERM asks a writer to end what it has begun; the others are killed. All end with the campaign,
however that ends.
"""

import asyncio
import os
import signal
import sys
from threading import Thread
from uuid import UUID

from eventsource import (
    AggregateRepository,
    OptimisticLockError,
    PostgreSQLSnapshotStore,
    ReadOptions,
)
from eventsource.projections import rebuild_blue_green
from eventsource.types import Position
from tests.faults.campaign.actor import LOST, Actor, Orders
from tests.faults.campaign.brokers import Consumer, Publisher
from tests.faults.campaign.clock import let_it_jump
from tests.faults.campaign.domain import Account, PaymentNoted, Projected
from tests.faults.campaign.records import Append, Complaint, FeedRead, VersionRead, now
from tests.faults.campaign.subscribers import Subscriber

SNAPSHOT_EVERY = 5


class Worker(Actor):
    """Roles that need nothing but the database."""

    async def write(self) -> None:
        """Three tasks append to the streams, and know exactly what became of each event."""
        await asyncio.gather(*(self._write() for _ in range(3)))

    async def _write(self) -> None:
        while not self.is_over.is_set():
            stream = self.random.choice(self.streams)
            version = await self.until_done(lambda stream=stream: self._version(stream))
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
            account = await self.until_done(lambda s=stream: accounts.load_or_create(s))
            if account.state and account.state.events != account.version:
                self.notebook.note(Complaint(f"{stream}: {account.version} is {account.state!r}"))
            event = account.note_payment(self.random.randint(1, 100))
            await self._append(event, account.version - 1)
            # Taken of what is stored, as the repository does after a save.
            stored = await self.until_done(lambda s=stream: accounts.load(s))
            await self.until_done(lambda a=stored: accounts.create_snapshot(a))

    async def project(self) -> None:
        projection = Projected(self.engine)
        await self.until_done(projection.setup)
        while True:
            await self.until_done(lambda: projection.catch_up(self.store, batch_size=20))
            await asyncio.sleep(0.02)

    async def rebuild(self) -> None:
        projection = Projected(self.engine)
        await self.until_done(projection.setup)
        while True:
            await self.until_done(lambda: rebuild_blue_green(projection, self.store, batch_size=50))
            await asyncio.sleep(0.3)

    async def read(self) -> None:
        """Follow the feed from its start, and note what comes."""
        position = Position.START
        while True:
            batch = await self.until_done(lambda p=position: self._page(p))
            if batch:
                ids = [str(stored.event_id) for stored in batch]
                self.notebook.note(FeedRead(self.name, ids))
                position = batch[-1].position
            await asyncio.sleep(0.01)

    async def _page(self, position: Position) -> list:
        options = ReadOptions(from_position=position, limit=50)
        return [stored async for stored in self.store.read_all(options)]


ROLES = {
    "write": (Worker, Worker.write),
    "command": (Worker, Worker.command),
    "publish": (Publisher, Publisher.publish),
    "consume": (Consumer, Consumer.consume),
    "project": (Worker, Worker.project),
    "rebuild": (Worker, Worker.rebuild),
    "read": (Worker, Worker.read),
    "subscribe": (Subscriber, Subscriber.follow),
}


def end_with_the_campaign() -> None:
    os.read(sys.stdin.fileno(), 1)  # until it is closed; not sys.stdin.read(), which locks it
    os._exit(1)


async def main(orders: Orders) -> None:
    let_it_jump(orders.seed)
    kind, work = ROLES[orders.role]
    actor = kind(orders)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, actor.is_over.set)
    await work(actor)


if __name__ == "__main__":
    Thread(target=end_with_the_campaign, daemon=True).start()
    asyncio.run(main(Orders.given()))
