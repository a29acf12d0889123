"""What tutorials 17 to 19 have in common: orders in an outbox, and services that hear of them."""

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from eventsource import DomainEvent, PostgreSQLEventStore
from eventsource.bus import (
    EventBus,
    KafkaEventBusConfig,
    RabbitMQEventBusConfig,
    RedisEventBusConfig,
)
from eventsource.outbox import OutboxPublisher
from eventsource.repositories.outbox import PostgreSQLOutboxRepository
from tutorial_support.database import Database
from tutorial_support.domain import OrderCreated, OrderShipped
from tutorial_support.lab import Steps, eventually
from tutorial_support.paths import cache_folder
from tutorial_support.processes import Child, start_child
from tutorial_support.show import table
from tutorial_support.worker import Handler, notes, run_worker

Config = RedisEventBusConfig | KafkaEventBusConfig | RabbitMQEventBusConfig

Consume = Callable[[Any, Handler], Awaitable[None]]

DELIVERIES = """
CREATE TABLE IF NOT EXISTS deliveries (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service text NOT NULL, worker text NOT NULL,
    event_id uuid NOT NULL, order_id uuid NOT NULL, event_type text NOT NULL
)
"""
BROKERS = ("Redis", "Kafka", "RabbitMQ")


class Shop:
    """The shop's event store with its outbox, and a table of what its services did.

    A row of `deliveries` is a service's effect, such as a parcel packed: it is committed before the
    broker hears that the event was handled.
    """

    def __init__(self, db: Database) -> None:
        self.db = db
        self.engine = create_async_engine(db.url)
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self.store = PostgreSQLEventStore(self.sessions, outbox_enabled=True)
        self._workers: list[Child] = []

    async def place_orders(self, ids: Callable[[], UUID], count: int) -> list[DomainEvent]:
        """Store so many orders, each created and shipped; their events wait in the outbox."""
        placed: list[DomainEvent] = []
        for number in range(1, count + 1):
            order_id = ids()
            created = OrderCreated(
                event_id=ids(), aggregate_id=order_id, customer_id="cust-1", total=Decimal(number)
            )
            shipped = OrderShipped(
                event_id=ids(), aggregate_id=order_id, tracking_number=f"T-{number}"
            )
            events = [created, shipped.with_aggregate_version(2)]
            await self.store.append_events(order_id, "Order", events, 0)
            placed += events
        return placed

    async def publish_to(self, bus: EventBus) -> int:
        """Let an outbox publisher hand the bus all that waits; the number of events."""
        outbox = PostgreSQLOutboxRepository(self.sessions)
        publisher, published = OutboxPublisher(outbox, bus), 0
        while batch := await publisher.publish_batch():
            published += batch
        return published

    def notes(self, service: str, worker: str = "notebook") -> Handler:
        """A handler whose effect is a row in `deliveries`."""
        return notes(self.engine, service, worker)

    async def deliveries(self, service: str) -> list[Any]:
        """What this service did, in order."""
        query = "SELECT * FROM deliveries WHERE service = $1 ORDER BY number"
        return await self.db.fetch(query, service)

    async def wait_for(self, service: str, count: int) -> list[Any]:
        """What this service did, once it has handled so many different events."""

        async def enough() -> list[Any]:
            rows = await self.deliveries(service)
            return rows if len({row["event_id"] for row in rows}) >= count else []

        what = f"{service} to handle {count} events"
        return await eventually(enough, timeout_seconds=30, what=what)

    async def start_worker(
        self, config: Config, name: str, *, hangs_at: int = 0, consume: Consume | None = None
    ) -> Child:
        """The group of `config` in a process of its own, to kill.

        It does its work for event number `hangs_at`, and then never comes back from its handler.
        It runs the bus of `config`, or your `consume(config, handler)`, which has its own imports.
        """
        specification = {
            "kind": type(config).__name__,
            "config": {k: v for k, v in vars(config).items() if isinstance(v, str | int | float)},
            "database_url": self.db.url,
            "name": name,
            "hangs_at": hangs_at,
            "consume": inspect.getsource(consume) if consume else "",
        }
        worker = await start_child(run_worker, json.dumps(specification))
        self._workers.append(worker)
        return worker

    async def close(self) -> None:
        for worker in self._workers:
            await worker.kill()
        await self.engine.dispose()


async def open_shop(db: Database) -> Shop:
    await db.execute(DELIVERIES)
    return Shop(db)


def copies(
    events: Sequence[DomainEvent], ids: Callable[[], UUID], at_least: int
) -> list[DomainEvent]:
    """The same story over and over, each time with orders of its own, to measure with."""
    made: list[DomainEvent] = []
    while len(made) < at_least:
        orders = {event.aggregate_id: ids() for event in events}
        for event in events:
            own = {"event_id": ids(), "aggregate_id": orders[event.aggregate_id]}
            made.append(event.model_copy(update=own))
    return made


def in_order(rows: list[Any]) -> bool:
    """Whether each order was created before it was shipped, repetitions aside."""
    first: dict[tuple[UUID, str], int] = {}
    for row in rows:
        first.setdefault((row["order_id"], row["event_type"]), row["number"])
    created = {order: at for (order, kind), at in first.items() if kind == "OrderCreated"}
    shipped = {order: at for (order, kind), at in first.items() if kind == "OrderShipped"}
    return all(created[order] < at for order, at in shipped.items())


def handled_twice(rows: list[Any]) -> int:
    """How many deliveries were repetitions."""
    return len(rows) - len({row["event_id"] for row in rows})


def takeover(rows: list[Any], *, most: int = 8) -> Steps:
    """Who handled which event, around the moment when another worker took over."""
    steps, seen = Steps(), set()
    change = next(n for n, row in enumerate(rows) if row["worker"] != rows[0]["worker"])
    for number, row in enumerate(rows):
        again = " again" if row["event_id"] in seen else ""
        seen.add(row["event_id"])
        if change - most // 2 <= number < change + most // 2:
            label = f"{row['event_type']} of {str(row['order_id'])[:8]}{again}"
            steps.session(row["worker"]).mark(label)
        if number == change - 1:
            steps.session(row["worker"]).mark("killed")
    return steps


def compare(broker: str, answers: Mapping[str, object]) -> None:
    """Note what was measured of a broker, and show it beside the last figures of the others."""
    file = cache_folder() / "brokers.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    known[broker] = {question: str(answer) for question, answer in answers.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(known))
    told = {name: known.get(name, {}) for name in BROKERS}
    rows = [
        {"question": question} | {name: told[name].get(question, "?") for name in BROKERS}
        for question in answers
    ]
    table(rows, caption=f"{broker}, measured now, and the others when you last ran them")
