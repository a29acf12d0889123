"""Somebody who uses a learner's shop, as customers, clerks and other processes would."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from eventsource import DomainEvent, EventBus, tenant_scope
from eventsource.privacy.personal import personal_fields
from eventsource.testing import eventually
from tutorial_support.exercises.nb21.parts import Parts

PRICE = Decimal("9.90")
WAIT_SECONDS = 3.0  # a right shop needs a tenth of it, unless the machine is busy
#: So much work() that changes nothing, with nothing under way: there is no more to come.
IDLE_ROUNDS, IDLE_SECONDS = 3, 0.1


class Ear:
    """Listens to the bus. While it is `broken`, it fails at the first event that then comes."""

    def __init__(self) -> None:
        self.heard: dict[UUID, DomainEvent] = {}
        self.broken = False
        self.fails_at: UUID | None = None

    async def __call__(self, event: DomainEvent) -> None:
        if self.broken and self.fails_at in (None, event.event_id):
            self.fails_at = event.event_id
            raise ValueError("the printer is out of paper")
        self.heard[event.event_id] = event


class Visitor:
    def __init__(self, make: Any, ear: Ear, bus: EventBus, over: str) -> None:
        self.make, self.ear, self.bus, self.over = make, ear, bus, over
        self.parts: Parts
        self.now = datetime.now(UTC)
        self.north, self.south, self.article = uuid4(), uuid4(), uuid4()
        self.sold: list[UUID] = []
        self.replayed = 0  #: dead letters that the listener has heard after all

    def clock(self) -> datetime:
        return self.now

    async def open(self) -> Any:
        """A shop as another process would open it."""
        shop = self.make(self.parts)
        await shop.setup()
        return shop

    async def ask(self, call: Callable[[], Awaitable[Any]], tenant: UUID | None = None) -> Any:
        async with tenant_scope(tenant or self.north):
            return await call()

    async def order(
        self,
        shop: Any,
        order_id: UUID,
        article: UUID | None = None,
        *,
        tenant: UUID | None = None,
        customer: UUID | None = None,
        email: str = "somebody@example.org",
    ) -> bool:
        """Whether the customer got the piece."""
        said = article or self.article, order_id, PRICE, customer or uuid4(), email
        try:
            await self.ask(lambda: shop.order(*said), tenant)
        except Exception:  # noqa: BLE001  (whatever it says, this buyer got nothing)
            return False
        return True

    async def pay(
        self, shop: Any, order_id: UUID, article: UUID | None = None, *, tenant: UUID | None = None
    ) -> None:
        await self.ask(lambda: shop.pay(article or self.article, order_id), tenant)

    async def sell(self, shop: Any, buyers: int, **options: Any) -> list[UUID]:
        """The orders of those who got one, when so many come at once."""
        orders = [uuid4() for _ in range(buyers)]
        got = await asyncio.gather(*(self.order(shop, each, **options) for each in orders))
        return [order for order, has_it in zip(orders, got, strict=True) if has_it]

    async def until(
        self,
        shop: Any,
        ask: Callable[[], Awaitable[object]],
        wanted: Callable[[], object],
        *,
        beside: Collection[asyncio.Future[Any]] = (),
    ) -> Any:
        """What `ask` says once that is wanted, or once there is nothing left that could change it.

        The shop works meanwhile, unless others do `beside` it; when one of them ends, it is over.
        """
        said: object = object()
        times: list[float] = []  # of the answers that were the same

        async def is_over() -> bool:
            nonlocal said
            if not beside:
                await shop.work()
                await self._bus_is_empty()
            before, said = said, await ask()
            if said == wanted() or any(each.done() for each in beside):
                return True
            if said != before:
                times.clear()
            times.append(time.monotonic())
            idle = len(times) > IDLE_ROUNDS and times[-1] - times[0] > IDLE_SECONDS
            return idle and not beside and not await self._is_under_way()

        with suppress(AssertionError):
            await eventually(is_over, timeout_seconds=WAIT_SECONDS)
        return said

    async def _bus_is_empty(self) -> None:
        """Until the listener has heard what was published, or has refused it for good."""

        def is_empty() -> bool:
            came = self.bus.stats.events_handled + self.bus.stats.dead_letters - self.replayed
            return came >= self.parts.bus.stats.events_published

        with suppress(AssertionError):
            await eventually(is_empty, timeout_seconds=WAIT_SECONDS)

    async def _is_under_way(self) -> bool:
        """Whether a transaction still hides what it writes, and all that comes after it."""
        writers = "SELECT 1 FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND datname = "
        return bool(await self.rows(f"{writers} current_database()"))

    async def takings(self, shop: Any, wanted: Decimal, tenant: UUID, **options: Any) -> Any:
        return await self.until(
            shop, lambda: self.ask(shop.takings, tenant), lambda: wanted, **options
        )

    async def stored(self) -> list[DomainEvent]:
        """Every event. A transaction that is ending may keep the latest from the feed's readers."""
        events: list[DomainEvent] = []

        async def are_complete() -> bool:
            ((count,),) = await self.rows("SELECT count(*) FROM events")
            events[:] = [stored.event async for stored in self.parts.store.read_all()]
            return len(events) >= int(count)

        await eventually(are_complete, timeout_seconds=WAIT_SECONDS)
        return events

    async def readable(self) -> set[str]:
        events = await self.stored()
        found = (personal for event in events for _, personal in personal_fields(event))
        return {personal.value for personal in found}

    async def places_of(self, words: str) -> list[str]:
        """The tables with a row that says this."""
        tables = await self.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        query = 'SELECT 1 FROM "{}" AS r WHERE CAST(r AS text) LIKE :words LIMIT 1'
        return [n for (n,) in tables if await self.rows(query.format(n), words=f"%{words}%")]

    async def rows(self, query: str, **values: object) -> Sequence[Any]:
        """Asked on a connection of the shop's pool: to connect anew takes longer than to ask."""
        async with self.parts.engine.connect() as connection:
            return list(await connection.execute(text(query), values))
