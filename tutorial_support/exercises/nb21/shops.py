"""A shop for the capstone, of a process, an outbox and a read model in the database."""

PROCESS = """
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from sqlalchemy import text

from eventsource import (
    DatabaseProjection,
    OutboxPublisher,
    Personal,
    ProcessState,
    Subject,
    TenantDomainEvent,
    get_required_tenant,
)


@register_event
class PiecesCame(TenantDomainEvent):
    aggregate_type: str = "Article"
    quantity: int


@register_event
class PieceOrdered(TenantDomainEvent):
    aggregate_type: str = "Article"
    order_id: UUID
    total: Decimal
    customer: UUID
    email: Annotated[Personal, Subject("customer")]


@register_event
class PiecePaid(TenantDomainEvent):
    aggregate_type: str = "Article"
    order_id: UUID
    total: Decimal


class ArticleState(ProcessState):
    shop: UUID | None = None
    left: int = 0
    orders: dict[UUID, Decimal] = {}


class Article(Process[ArticleState]):
    aggregate_type = "Article"

    def receive(self, quantity):
        self._happened(PiecesCame, quantity=quantity)

    def order(self, order_id, due_at, **facts):
        self._must_be_ours()
        if order_id in self._now.orders:
            return
        if self._now.left < 1:
            raise ValueError("sold out")
        self._happened(PieceOrdered, order_id=order_id, **facts)
        self.set_timeout(str(order_id), due_at)

    def pay(self, order_id):
        self._must_be_ours()
        if str(order_id) in self._now.timeouts:
            self._happened(PiecePaid, order_id=order_id, total=self._now.orders[order_id])
            self.clear_timeout(str(order_id))

    def _must_be_ours(self):
        if self._now.shop != get_required_tenant():
            raise ValueError("no article of this shop")

    @property
    def _now(self):
        return self.state or ArticleState()

    def _get_initial_state(self):
        return ArticleState()

    def _happened(self, event_class, **facts):
        version = self.get_next_version()
        event = event_class.with_tenant_context(
            aggregate_id=self.aggregate_id, aggregate_version=version, **facts
        )
        self.apply_event(event)

    def _change(self, **changes):
        self._state = self._now.model_copy(update=changes)

    @handles(PiecesCame)
    def _came(self, event):
        self._change(left=self._now.left + event.quantity, shop=event.tenant_id)

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
        table = "CREATE TABLE IF NOT EXISTS takings (shop UUID, total NUMERIC)"
        await transaction.execute(text(table))

    @handles(PiecePaid)
    async def _add(self, transaction, event):
        row = {"shop": event.tenant_id, "total": event.total}
        await transaction.execute(text("INSERT INTO takings VALUES (:shop, :total)"), row)


class Shop:
    def __init__(self, parts):
        self.parts, clock = parts, parts.clock
        self.articles = parts.repository(Article)
        self.alarms = Alarms(self.articles, parts.timeouts, parts.checkpoints, clock=clock)
        self.read_model = Takings(parts.engine)
        self.publisher = OutboxPublisher(parts.outbox, parts.bus, poll_interval_seconds=0.1)

    async def setup(self):
        await self.read_model.setup()

    async def receive(self, article, quantity):
        await self.articles.update(article, lambda it: it.receive(quantity), create=True)

    async def order(self, article, order_id, total, customer, email):
        due_at = self.parts.clock() + timedelta(minutes=30)
        facts = {"total": total, "customer": customer, "email": email}
        command = lambda it: it.order(order_id, due_at, **facts)
        await self.articles.update(article, command, retries=30)

    async def pay(self, article, order_id):
        await self.articles.update(article, lambda it: it.pay(order_id), retries=30)

    async def work(self):
        await self.alarms.catch_up(self.parts.store)
        await self.read_model.catch_up(self.parts.store)
        while await self.publisher.publish_batch():
            pass

    async def follow(self):
        store, often = self.parts.store, {"poll_interval_seconds": 0.05}
        alarms, read_model = (it.follow(store, **often) for it in (self.alarms, self.read_model))
        await asyncio.gather(alarms, read_model, self.publisher.run())

    async def takings(self):
        query = text("SELECT sum(total) FROM takings WHERE shop = :shop")
        async with self.parts.engine.connect() as connection:
            total = await connection.scalar(query, {"shop": get_required_tenant()})
            return total or Decimal(0)

    async def forget(self, customer):
        await self.parts.vault.erase(customer)
"""
