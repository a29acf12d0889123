"""From the outbox over a broker, be it real or a table, to an effect behind the inbox."""

import asyncio
from functools import partial
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from eventsource import (
    DomainEvent,
    OutboxPublisher,
    PostgreSQLInboxRepository,
    PostgreSQLOutboxRepository,
)
from eventsource.asyncpg_pool import PostgreSQLSource, executor_for
from eventsource.bus import EventBus
from tests.buses import make_bus
from tests.faults.campaign.actor import Actor, Orders
from tests.faults.campaign.domain import PaymentNoted
from tutorial_support.database.private import PrivateServer
from tutorial_support.lab import eventually

NAME, TABLE = "campaign", "table"
LEASE_SECONDS = 3.0


class Publisher(Actor):
    """One of two that share the outbox."""

    async def publish(self) -> None:
        outbox, broker = PostgreSQLOutboxRepository(self.engine), self._broker()
        if self.sabotage == "mark-first":
            await self._mark_before_publishing(outbox, broker)
        publisher = OutboxPublisher(
            outbox,
            broker,
            batch_size=10,
            poll_interval_seconds=0.05,
            lease_seconds=LEASE_SECONDS,
            retry_delay_seconds=0.1,
            max_attempts=10_000,
        )
        await publisher.run()

    def _broker(self) -> "EventBus | Table":
        kind, url = self.orders.broker, self.orders.broker_url
        return Table(self.sessions) if kind == TABLE else campaign_bus(kind, url)

    async def _mark_before_publishing(
        self, outbox: PostgreSQLOutboxRepository, broker: "EventBus | Table"
    ) -> None:
        while True:
            entries = await self.until_done(lambda: outbox.claim(10, LEASE_SECONDS))
            if entries:
                await self.until_done(lambda e=entries: outbox.mark_published(*[x.id for x in e]))
            for entry in entries:
                await asyncio.sleep(0.01)
                event = PaymentNoted.model_validate_json(str(entry.event_data))
                await self.until_done(lambda e=event: broker.publish([e]))
            await asyncio.sleep(0.01)


class Table:
    """A broker for all that is about the outbox alone: deliveries are rows."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        self.sessions = sessions

    async def publish(self, events: list[DomainEvent]) -> None:
        async with self.sessions() as session, session.begin():
            for event in events:
                await note(session, "delivered", event)


class Consumer(Actor):
    """One of a group. It notes each delivery, then takes effect through the inbox."""

    def __init__(self, orders: Orders) -> None:
        super().__init__(orders)
        self.inbox = PostgreSQLInboxRepository(self.sessions)
        self.unhandled: asyncio.Queue[DomainEvent] = asyncio.Queue()

    async def consume(self) -> None:
        if self.orders.broker == TABLE:
            return await self._consume_table()
        bus = campaign_bus(self.orders.broker, self.orders.broker_url)
        acknowledges_early = self.sabotage == "early-acknowledgement"
        bus.subscribe(PaymentNoted, self.unhandled.put if acknowledges_early else self._receive)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._receive_later())
            while True:
                await self.until_done(bus.start_consuming)

    async def _consume_table(self) -> None:
        while True:
            await self.until_done(partial(consume_all, self.sessions))
            await asyncio.sleep(0.1)

    async def _receive(self, event: DomainEvent) -> None:
        await self.until_done(partial(note, self.sessions, "delivered", event))
        if self.sabotage == "no-inbox":
            await self.until_done(partial(note, self.sessions, "effects", event))
            await asyncio.sleep(0.02)
            return
        effect = partial(note, table="effects", event=event)
        await self.until_done(partial(self.inbox.once, NAME, event.event_id, effect))

    async def _receive_later(self) -> None:
        """Sabotage: the broker has its acknowledgement before the event is handled."""
        while True:
            event = await self.unhandled.get()
            await asyncio.sleep(0.2)
            await self._receive(event)


async def note(target: PostgreSQLSource, table: str, event: DomainEvent) -> None:
    """One more row about this event."""
    await executor_for(target).fetch(
        f"INSERT INTO {table} (event_id, stream, version) VALUES ($1, $2, $3)",
        event.event_id,
        event.aggregate_id,
        event.aggregate_version,
    )


async def consume_all(sessions: async_sessionmaker[AsyncSession]) -> None:
    """Handle all rows that were delivered, in their order, each with one effect."""
    inbox = PostgreSQLInboxRepository(sessions)
    rows = await executor_for(sessions).fetch(
        "SELECT * FROM delivered AS d WHERE NOT EXISTS "
        "(SELECT FROM effects AS e WHERE e.event_id = d.event_id) ORDER BY place"
    )
    for row in rows:
        event = PaymentNoted(
            event_id=row["event_id"], aggregate_id=row["stream"], aggregate_version=row["version"]
        )
        await inbox.once(NAME, event.event_id, partial(note, table="effects", event=event))


def campaign_bus(kind: str, url: str) -> EventBus:
    return make_bus(kind, url, NAME)


async def prepare(kind: str, server: PrivateServer) -> None:
    """The group's place on the broker, which RabbitMQ needs before anything is published."""
    bus = campaign_bus(kind, server.url)
    await bus.start_consuming_in_background()
    await bus.shutdown()
    if kind == "rabbitmq":
        queues = {f"{NAME}.default", f"{NAME}.default.dlq"}
        await eventually(lambda: are_on_disk(server.folder, queues), timeout_seconds=30)


def are_on_disk(folder: Path, queues: set[str]) -> bool:
    """Whether RabbitMQ has written down which quorum queues it has: it does so a second late."""
    (register,) = folder.glob("data/mnesia/*/quorum/*/names.dets")
    # The Erlang external format of a name: its length, its text, then the next term's tag.
    written = register.read_bytes()
    return all(f"%2F_{queue}m".encode() in written for queue in queues)
