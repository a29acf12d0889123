"""Exercise 21.3, the capstone: a shop, accepted by its behaviour."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from eventsource import DomainEvent
from eventsource.testing import eventually
from tutorial_support.database import Database, open_database
from tutorial_support.exercises.model import Exercise, NotYet
from tutorial_support.exercises.nb21.shops import FOLDED, PROCESS, WRONG

PIECES, BUYERS, PRICE = 5, 12, Decimal("9.90")
NOW = datetime.now(UTC)


async def _check(shop: Any, db: Database) -> None:
    async with await open_database("21-shop", url=db.url) as scratch:
        engine = create_async_engine(scratch.url, pool_size=10)
        try:
            await _Acceptance(shop, engine, scratch).run()
        finally:
            await engine.dispose()


class _Acceptance:
    def __init__(self, shop: Any, engine: AsyncEngine, database: Database) -> None:
        self.make, self.engine, self.database = shop, engine, database
        self.now = NOW
        self.heard: list[DomainEvent] = []
        self.article = uuid4()

    async def run(self) -> None:
        shop = await self.open()
        await shop.receive(self.article, PIECES)
        sold = await self.sell(shop, BUYERS)
        if len(sold) != PIECES:
            raise NotYet(
                seen=f"{BUYERS} buyers at once, {PIECES} pieces, {len(sold)} sold",
                expected=f"{PIECES} buyers get one, all others a ValueError",
                hint=1,
            )
        await self.repeat(shop, sold[0])
        paid = sold[:2]
        for order_id in [*paid, paid[0]]:
            await shop.pay(self.article, order_id)
        await self.takings_are(shop, 2 * PRICE)
        await self.takings_are(await self.open(), 2 * PRICE)
        await self.wait_for_unpaid(sold)
        await self.everything_was_heard()

    async def open(self) -> Any:
        """A shop as another process would open it."""
        shop = self.make(self.engine, lambda: self.now)
        await shop.setup()
        shop.bus.subscribe_to_all_events(self.heard.append)
        return shop

    async def sell(self, shop: Any, buyers: int) -> list[UUID]:
        async def buy() -> UUID | None:
            order_id = uuid4()
            try:
                await shop.order(self.article, order_id, PRICE)
            except Exception:  # noqa: BLE001  (whatever it says, this buyer got nothing)
                return None
            return order_id

        orders = await asyncio.gather(*(buy() for _ in range(buyers)))
        return [order_id for order_id in orders if order_id is not None]

    async def repeat(self, shop: Any, order_id: UUID) -> None:
        before = await self.stored()
        try:
            await shop.order(self.article, order_id, PRICE)
        except ValueError:
            before.clear()
        if await self.stored() != before:
            raise NotYet(
                seen="the same order, sent again, was refused or changed something",
                expected="nothing happens the second time, and nothing is raised",
                hint=2,
            )

    async def takings_are(self, shop: Any, expected: Decimal) -> None:
        seen = None
        for _ in range(2):
            seen = await self.worked(shop, shop.takings, expected)
        if seen != expected:
            raise NotYet(
                seen=f"two orders of {PRICE} were paid, and takings() says {seen}",
                expected=f"{expected}, however often work() runs, and in a new Shop too",
                hint=3,
            )

    async def worked(self, shop: Any, ask: Any, expected: object) -> object:
        """What `ask` says once there is nothing left to do."""
        answer: object = None

        async def is_so() -> bool:
            nonlocal answer
            await shop.work()
            answer = await ask()
            return answer == expected

        with suppress(AssertionError):
            await eventually(is_so, timeout_seconds=1.0)
        return answer

    async def wait_for_unpaid(self, sold: list[UUID]) -> None:
        shop = await self.open()
        self.now += timedelta(minutes=31)

        async def sell() -> int:
            orders.extend(await self.sell(shop, 1))
            return len(orders)

        unpaid = len(sold) - 2
        orders: list[UUID] = []
        for count in range(1, unpaid + 1):
            if await self.worked(shop, sell, count) != count:
                break
        await shop.work()
        orders += await self.sell(shop, 2)
        if len(orders) != unpaid:
            raise NotYet(
                seen=f"half an hour later {len(orders)} pieces can be bought again",
                expected=f"{unpaid}: those that nobody paid for",
                hint=5,
            )
        await shop.work()

    async def everything_was_heard(self) -> None:
        shop = await self.open()
        stored = await self.stored()

        async def missing() -> int:
            return len(stored.keys() - {event.event_id for event in self.heard})

        if left := await self.worked(shop, missing, 0):
            raise NotYet(
                seen=f"{left} of {len(stored)} stored events never came to the bus",
                expected="each at least once, after work()",
                hint=4,
            )
        if wrong := {event.event_id for event in self.heard} - stored.keys():
            raise NotYet(
                seen=f"{len(wrong)} events came to the bus that are not stored",
                expected="only what was committed",
                hint=4,
            )

    async def stored(self) -> Counter[UUID]:
        rows = await self.database.fetch("SELECT event_id FROM events")
        return Counter(row["event_id"] for row in rows)


CAPSTONE = Exercise(
    id="21.3",
    title="The capstone: your own shop",
    task="""
Build the shop. All you have learnt since tutorial 1 is allowed. `order` takes one piece of an
article for an order, and raises `ValueError` if none is left; the same order sent again is no
second order. `pay` pays it. A piece that nobody paid for within 30 minutes (by `clock`) goes back
on sale. `work` does whatever waits to be done: read model, time-outs, and publishing to `bus`.
`takings` is the sum of what was paid.

The check is an acceptance test: rivals, repeated orders, a shop opened anew on the same database,
time passing, and a listener on the bus that must miss nothing.
""",
    answer="Shop",
    given=("db",),
    stub="""
class Shop:
    def __init__(self, engine, clock):
        self.bus = InMemoryEventBus()

    async def setup(self): ...

    async def receive(self, article, quantity): ...

    async def order(self, article, order_id, total): ...

    async def pay(self, article, order_id): ...

    async def work(self): ...

    async def takings(self): ...
""",
    hints=(
        """
Let one aggregate, the article, know how many pieces are left, and change it through
`repository.update(article, command, retries=30)`: the store lets one rival through at a time, and
the others try again (tutorials 3 to 5).
""",
        """
Let the article remember the orders it has seen, and return without an event for one that it knows.
`command_id=order_id` does it too (tutorial 5).
""",
        """
What is kept in the object is gone with it. Add up in a `DatabaseProjection`, which commits rows and
checkpoint together, or fold the log each time (tutorials 6 and 10).
""",
        """
`outbox_enabled=True` for the store, and in `work`
`while await OutboxPublisher(outbox, self.bus).publish_batch(): ...` (tutorials 7 and 15).
""",
        """
`set_timeout(str(order_id), due_at)` when a piece is ordered, `clear_timeout` when it is paid. In a
`Process`, `@handles(ProcessTimedOut)` changes the state: the piece is back. A `ProcessManager` with
your `clock` delivers the time-outs when it catches up.
""",
    ),
    solutions=(PROCESS, FOLDED),
    wrong=WRONG,
    check=_check,
    time_limit_seconds=12,
)
