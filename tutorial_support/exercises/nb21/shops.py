"""Shops for the capstone: two that pass and the typical ones that do not."""

from tutorial_support.exercises.model import Wrong

PROCESS = """
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text

from eventsource import (
    DatabaseProjection,
    InMemoryEventBus,
    OutboxPublisher,
    PostgreSQLOutboxRepository,
    ProcessState,
)


@register_event
class PiecesCame(DomainEvent):
    aggregate_type: str = "Article"
    quantity: int


@register_event
class PieceOrdered(DomainEvent):
    aggregate_type: str = "Article"
    order_id: UUID
    total: Decimal


@register_event
class PiecePaid(PieceOrdered):
    pass


class ArticleState(ProcessState):
    left: int = 0
    orders: dict[UUID, Decimal] = {}


class Article(Process[ArticleState]):
    aggregate_type = "Article"

    def receive(self, quantity):
        self._happened(PiecesCame, quantity=quantity)

    def order(self, order_id, total, due_at):
        if order_id in self._now.orders:
            return
        if self._now.left < 1:
            raise ValueError("sold out")
        self._happened(PieceOrdered, order_id=order_id, total=total)
        self.set_timeout(str(order_id), due_at)

    def pay(self, order_id):
        if str(order_id) in self._now.timeouts:
            self._happened(PiecePaid, order_id=order_id, total=self._now.orders[order_id])
            self.clear_timeout(str(order_id))

    @property
    def _now(self):
        return self.state or ArticleState()

    def _get_initial_state(self):
        return ArticleState()

    def _happened(self, event_class, **fields):
        event = event_class(aggregate_id=self.aggregate_id, **fields)
        self.apply_event(event.with_aggregate_version(self.get_next_version()))

    def _change(self, **changes):
        self._state = self._now.model_copy(update=changes)

    @handles(PiecesCame)
    def _came(self, event):
        self._change(left=self._now.left + event.quantity)

    @handles(PieceOrdered)
    def _ordered(self, event):
        orders = {**self._now.orders, event.order_id: event.total}
        self._change(left=self._now.left - 1, orders=orders)

    @handles(PiecePaid)
    def _paid(self, event):
        pass

    @handles(ProcessTimedOut)
    def _given_back(self, event):
        self._change(left=self._now.left + 1)


class Alarms(ProcessManager):
    pass


class Takings(DatabaseProjection):
    tables = ("takings",)

    async def create_tables(self, transaction):
        await transaction.execute(text("CREATE TABLE IF NOT EXISTS takings (total NUMERIC)"))

    @handles(PiecePaid)
    async def _add(self, transaction, event):
        await transaction.execute(text("INSERT INTO takings VALUES (:t)"), {"t": event.total})


class Shop:
    def __init__(self, engine, clock):
        self.bus, self.clock, self.engine = InMemoryEventBus(), clock, engine
        self.store = PostgreSQLEventStore(async_sessionmaker(engine), outbox_enabled=True)
        self.articles = AggregateRepository(self.store, Article)
        timeouts = PostgreSQLTimeoutRepository(engine)
        checkpoints = PostgreSQLCheckpointRepository(engine)
        self.alarms = Alarms(self.articles, timeouts, checkpoints, clock=clock)
        self.read_model = Takings(engine)
        self.publisher = OutboxPublisher(PostgreSQLOutboxRepository(engine), self.bus)

    async def setup(self):
        await self.read_model.setup()

    async def receive(self, article, quantity):
        await self.articles.update(article, lambda it: it.receive(quantity), create=True)

    async def order(self, article, order_id, total):
        due_at = self.clock() + timedelta(minutes=30)
        command = lambda it: it.order(order_id, total, due_at)
        await self.articles.update(article, command, retries=30)

    async def pay(self, article, order_id):
        await self.articles.update(article, lambda it: it.pay(order_id), retries=30)

    async def work(self):
        await self.alarms.catch_up(self.store)
        await self.read_model.catch_up(self.store)
        while await self.publisher.publish_batch():
            pass

    async def takings(self):
        async with self.engine.connect() as connection:
            total = await connection.scalar(text("SELECT sum(total) FROM takings"))
            return total or Decimal(0)
"""

# No process, no outbox: the aggregate knows what is due, and the feed is what is published.
FOLDED = """
from datetime import datetime, timedelta
from uuid import UUID

from eventsource import AggregateRoot, DeclarativeProjection, InMemoryEventBus


@register_event
class ShelfFilled(DomainEvent):
    aggregate_type: str = "Shelf"
    quantity: int


@register_event
class ShelfOrdered(DomainEvent):
    aggregate_type: str = "Shelf"
    order_id: UUID
    total: Decimal
    due_at: datetime


@register_event
class ShelfPaid(DomainEvent):
    aggregate_type: str = "Shelf"
    order_id: UUID
    total: Decimal


@register_event
class ShelfReturned(DomainEvent):
    aggregate_type: str = "Shelf"
    order_id: UUID


class Shelf(AggregateRoot[dict]):
    aggregate_type = "Shelf"

    def _get_initial_state(self):
        return {"left": 0, "seen": {}, "open": {}}

    def _apply(self, event):
        state = self.state or self._get_initial_state()
        left, seen, still_open = state["left"], state["seen"], dict(state["open"])
        match event:
            case ShelfFilled():
                left += event.quantity
            case ShelfOrdered():
                left, seen = left - 1, {**seen, event.order_id: event.total}
                still_open[event.order_id] = event.due_at
            case ShelfPaid():
                del still_open[event.order_id]
            case ShelfReturned():
                left += 1
                del still_open[event.order_id]
        self._state = {"left": left, "seen": seen, "open": still_open}

    def tell(self, event_class, **fields):
        event = event_class(aggregate_id=self.aggregate_id, **fields)
        self.apply_event(event.with_aggregate_version(self.get_next_version()))


class ToTheBus(DeclarativeProjection):
    def __init__(self, bus, checkpoints):
        super().__init__(checkpoints)
        self.bus = bus

    @handles(DomainEvent)
    async def _publish(self, event):
        await self.bus.publish([event])


class Shop:
    def __init__(self, engine, clock):
        self.bus, self.clock = InMemoryEventBus(), clock
        self.store = PostgreSQLEventStore(async_sessionmaker(engine))
        self.shelves = AggregateRepository(self.store, Shelf)
        self.publisher = ToTheBus(self.bus, PostgreSQLCheckpointRepository(engine))

    async def setup(self):
        pass

    async def receive(self, article, quantity):
        fill = lambda shelf: shelf.tell(ShelfFilled, quantity=quantity)
        await self.shelves.update(article, fill, create=True)

    async def order(self, article, order_id, total):
        def take(shelf):
            if shelf.state["left"] < 1:
                raise ValueError("sold out")
            due_at = self.clock() + timedelta(minutes=30)
            shelf.tell(ShelfOrdered, order_id=order_id, total=total, due_at=due_at)

        await self.shelves.update(article, take, retries=30, command_id=order_id)

    async def pay(self, article, order_id):
        def pay(shelf):
            if order_id in shelf.state["open"]:
                total = shelf.state["seen"][order_id]
                shelf.tell(ShelfPaid, order_id=order_id, total=total)

        await self.shelves.update(article, pay, retries=30)

    async def work(self):
        def give_back(shelf):
            for order_id, due_at in list(shelf.state["open"].items()):
                if due_at <= self.clock():
                    shelf.tell(ShelfReturned, order_id=order_id)

        for event in await self.store.get_events_by_type("Shelf"):
            if event.aggregate_version == 1:
                await self.shelves.update(event.aggregate_id, give_back, retries=30)
        await self.publisher.catch_up(self.store)

    async def takings(self):
        events = await self.store.get_events_by_type("Shelf")
        return sum((e.total for e in events if isinstance(e, ShelfPaid)), Decimal(0))
"""


def _spoilt(*changes: tuple[str, str]) -> str:
    shop = PROCESS
    for right, wrong in changes:
        assert right in shop, right
        shop = shop.replace(right, wrong)
    return shop


WRONG = (
    Wrong(_spoilt(("command, retries=30)", "command, retries=0)")), hint=1),
    Wrong(_spoilt(("        if self._now.left < 1:\n", "        if False:\n")), hint=1),
    Wrong(
        _spoilt(("        if order_id in self._now.orders:\n            return\n", "")),
        hint=2,
    ),
    Wrong(
        _spoilt(
            ("self.bus, self.clock,", "self.total = Decimal(0)\n        self.bus, self.clock,"),
            (
                "self.articles.update(article, lambda it: it.pay(order_id), retries=30)",
                """self.articles.update(article, lambda it: it.pay(order_id), retries=30)
        self.total += Decimal("9.90")""",
            ),
            ("return total or Decimal(0)", "return self.total"),
        ),
        hint=3,
    ),
    Wrong(_spoilt(("outbox_enabled=True", "outbox_enabled=False")), hint=4),
    Wrong(_spoilt(("        await self.alarms.catch_up(self.store)\n", "")), hint=5),
)
