"""A second shop, without a process and an outbox: the feed is what is published."""

FOLDED = """
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from eventsource import (
    AggregateRoot,
    DeclarativeProjection,
    Personal,
    Subject,
    TenantDomainEvent,
    get_required_tenant,
    tenant_scope,
)


@register_event
class ShelfFilled(TenantDomainEvent):
    aggregate_type: str = "Shelf"
    quantity: int


@register_event
class ShelfOrdered(TenantDomainEvent):
    aggregate_type: str = "Shelf"
    order_id: UUID
    total: Decimal
    due_at: datetime
    customer: UUID
    email: Annotated[Personal, Subject("customer")]


@register_event
class ShelfPaid(TenantDomainEvent):
    aggregate_type: str = "Shelf"
    order_id: UUID
    total: Decimal


@register_event
class ShelfReturned(TenantDomainEvent):
    aggregate_type: str = "Shelf"
    order_id: UUID


@dataclass(frozen=True)
class OnTheShelf:
    left: int = 0
    totals: tuple[tuple[UUID, Decimal], ...] = ()
    unpaid: tuple[tuple[UUID, datetime], ...] = ()


class Shelf(AggregateRoot[OnTheShelf]):
    aggregate_type = "Shelf"

    def _get_initial_state(self):
        return OnTheShelf()

    def _apply(self, event):
        now = self.state or OnTheShelf()
        match event:
            case ShelfFilled():
                now = replace(now, left=now.left + event.quantity)
            case ShelfOrdered():
                totals = (*now.totals, (event.order_id, event.total))
                unpaid = (*now.unpaid, (event.order_id, event.due_at))
                now = replace(now, left=now.left - 1, totals=totals, unpaid=unpaid)
            case ShelfPaid() | ShelfReturned():
                unpaid = tuple(one for one in now.unpaid if one[0] != event.order_id)
                back = isinstance(event, ShelfReturned)
                now = replace(now, left=now.left + back, unpaid=unpaid)
        self._state = now

    def tell(self, event_class, **facts):
        version = self.get_next_version()
        event = event_class.with_tenant_context(
            aggregate_id=self.aggregate_id, aggregate_version=version, **facts
        )
        self.apply_event(event)


class ToTheBus(DeclarativeProjection):
    def __init__(self, bus, checkpoints):
        super().__init__(checkpoints)
        self.bus = bus

    @handles(DomainEvent)
    async def _publish(self, event):
        await self.bus.publish([event])


class Shop:
    def __init__(self, parts):
        self.parts, self.shelves = parts, parts.repository(Shelf)
        self.publisher = ToTheBus(parts.bus, parts.checkpoints)

    async def setup(self):
        pass

    async def receive(self, article, quantity):
        fill = lambda shelf: shelf.tell(ShelfFilled, quantity=quantity)
        await self.shelves.update(article, fill, create=True)

    async def order(self, article, order_id, total, customer, email):
        def take(shelf):
            if shelf.state.left < 1:
                raise ValueError("sold out")
            due_at = self.parts.clock() + timedelta(minutes=30)
            facts = {"order_id": order_id, "total": total, "due_at": due_at}
            shelf.tell(ShelfOrdered, customer=customer, email=email, **facts)

        await self._must_be_ours(article)
        await self.shelves.update(article, take, retries=30, command_id=order_id)

    async def pay(self, article, order_id):
        def pay(shelf):
            if order_id in dict(shelf.state.unpaid):
                total = dict(shelf.state.totals)[order_id]
                shelf.tell(ShelfPaid, order_id=order_id, total=total)

        await self._must_be_ours(article)
        await self.shelves.update(article, pay, retries=30)

    async def _must_be_ours(self, article):
        for event in await self._filled():
            if event.aggregate_id == article and event.tenant_id == get_required_tenant():
                return
        raise ValueError("no article of this shop")

    async def _filled(self):
        events = await self.parts.store.get_events_by_type("Shelf")
        return [event for event in events if isinstance(event, ShelfFilled)]

    async def work(self):
        def give_back(shelf):
            for order_id, due_at in shelf.state.unpaid:
                if due_at <= self.parts.clock():
                    shelf.tell(ShelfReturned, order_id=order_id)

        for event in await self._filled():
            async with tenant_scope(event.tenant_id):
                await self.shelves.update(event.aggregate_id, give_back, retries=30)
        await self.publisher.catch_up(self.parts.store)

    async def follow(self):
        while True:
            await self.work()
            await asyncio.sleep(0.05)

    async def takings(self):
        events = await self.parts.store.get_events_by_type("Shelf", get_required_tenant())
        return sum((e.total for e in events if isinstance(e, ShelfPaid)), Decimal(0))

    async def forget(self, customer):
        await self.parts.vault.erase(customer)
"""
