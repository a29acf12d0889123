"""The acceptance test of the capstone: what is done to a shop, one tutorial after another.

Each attack raises `NotYet`, or returns what was seen.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from eventsource import AggregateRepository
from eventsource.testing import eventually
from tutorial_support.exercises.model import NotYet
from tutorial_support.exercises.nb21.parts import SNAPSHOT_THRESHOLD, sqlite_parts
from tutorial_support.exercises.nb21.visitor import PRICE, Visitor

PIECES, BUYERS = 4, 6


class Acceptance(Visitor):
    async def rivals(self) -> str:
        shop = await self.open()
        await self.ask(lambda: shop.receive(self.article, PIECES))
        self.sold = await self.sell(shop, BUYERS)
        seen = f"{BUYERS} buyers at once, {PIECES} pieces, {len(self.sold)} sold"
        demand(len(self.sold) == PIECES, 1, seen, f"{PIECES} get one, all others a ValueError")
        return seen

    async def repeat(self) -> str:
        before = len(await self.stored())
        said = await self.order(await self.open(), self.sold[0])
        demand(
            said and len(await self.stored()) == before,
            2,
            "the same order, sent again, was refused or changed something",
            "nothing happens the second time, and nothing is raised",
        )
        return "the second time nothing happened"

    async def read_model(self) -> str:
        shop, wanted = await self.open(), 2 * PRICE
        for order_id in (*self.sold[:2], self.sold[0]):
            await self.pay(shop, order_id)
        for each in (shop, shop, await self.open()):
            seen = await self.takings(each, wanted, self.north)
            demand(
                seen == wanted,
                3,
                f"two orders of {PRICE} were paid, and takings() says {seen}",
                f"{wanted}, however often work() runs, and in a new Shop too",
            )
        return f"{wanted}, in a new Shop too"

    async def tenants(self) -> str:
        shop, before = await self.open(), len(await self.stored())
        money = await self.ask(shop.takings, self.south)
        demand(not money, 4, f"the shop south took nothing, and sees {money}", "its own takings: 0")
        bought = await self.order(shop, uuid4(), tenant=self.south)
        with suppress(Exception):
            await self.pay(shop, self.sold[2], tenant=self.south)
        demand(
            not bought and len(await self.stored()) == before,
            4,
            "the shop south sold or cashed a piece of the shop north",
            "an error, and no new event",
        )
        return "south sees nothing of north, and sells nothing of it"

    async def privacy(self) -> str:
        shop, article, (anna, boris) = await self.open(), uuid4(), (uuid4(), uuid4())
        emails = {anna: f"anna-{anna}@example.org", boris: f"boris-{boris}@example.org"}
        await self.ask(lambda: shop.receive(article, 2))
        for customer, email in emails.items():
            await self.order(shop, uuid4(), article, customer=customer, email=email)
        await shop.work()
        for place in await self.places_of(str(anna) + "@"):
            demand(False, 5, f"her e-mail address stands in {place}", "only ciphertext, anywhere")
        known = await self.readable()
        told = "a new order, and no event says to which e-mail address"
        demand(known >= {*emails.values()}, 5, told, "a field `email` of type Personal")
        await self.ask(lambda: shop.forget(anna))
        gone = emails[anna] not in await self.readable()
        demand(gone, 5, "a customer was forgotten, and her address can be read", "it cannot")
        kept = emails[boris] in await self.readable()
        demand(kept, 5, "one customer was forgotten, and another is gone too", "he is still there")
        return "in no table, and unreadable once forgotten"

    async def snapshots(self) -> str:
        kept = 0
        for aggregate_class in dict.fromkeys(self.parts.asked_for):
            bare: AggregateRepository[Any] = AggregateRepository(self.parts.store, aggregate_class)
            short = self.parts.repository(aggregate_class)
            query = "SELECT DISTINCT aggregate_id FROM snapshots WHERE aggregate_type = :kind"
            for (snapshot_of,) in await self.rows(query, kind=bare.aggregate_type):
                kept += 1
                folded, quick = [await each.load(snapshot_of) for each in (bare, short)]
                # As text: an event in a state has got its trace only after the snapshot.
                demand(
                    str((folded.state, folded.version)) == str((quick.state, quick.version)),
                    6,
                    "loaded from its snapshot, an article is not what its events say",
                    "the same state either way",
                )
        demand(
            kept > 0,
            6,
            f"no snapshot, though an article has more than {SNAPSHOT_THRESHOLD} events",
            "one for every few events, equal to the fold",
        )
        return "equal to the fold of the events"

    async def time_passes(self) -> str:
        shop, unpaid = await self.open(), len(self.sold) - 2
        self.now += timedelta(minutes=31)
        orders: list[UUID] = []

        async def sell() -> int:
            orders.extend(await self.sell(shop, 1))
            return len(orders)

        for count in range(1, unpaid + 1):
            if await self.until(shop, sell, lambda c=count: c) != count:  # type: ignore[misc]
                break
        orders += await self.sell(shop, 2)
        demand(
            len(orders) == unpaid,
            7,
            f"half an hour later {len(orders)} pieces can be bought again",
            f"{unpaid}: those that nobody paid for",
        )
        return f"{unpaid} pieces are on sale again"

    async def everything_is_heard(self) -> str:
        shop = await self.open()
        stored = {event.event_id for event in await self.stored()}

        async def missing() -> int:
            return len(stored - {*self.ear.heard})

        left = await self.until(shop, missing, lambda: 0)
        told = f"{left} of {len(stored)} stored events never came to the bus"
        demand(not left, 8, told, "each at least once, after work()")
        wrong = {*self.ear.heard} - {event.event_id for event in await self.stored()}
        told = f"{len(wrong)} events came to the bus that are not stored"
        demand(not wrong, 8, told, "only what was committed")
        return f"all {len(stored)} events, over {self.over}"

    async def poison(self) -> str:
        shop, article = await self.open(), uuid4()
        self.ear.broken = True
        await self.ask(lambda: shop.receive(article, 1))
        await self.order(shop, uuid4(), article)
        mine = {e.event_id for e in await self.stored() if e.aggregate_id == article}

        async def what_is_missing() -> set[UUID | None]:
            return set[UUID | None](mine) - {*self.ear.heard}

        missing = await self.until(shop, what_is_missing, lambda: {self.ear.fails_at})
        told = "one event that a listener cannot bear, and others did not get through"
        demand(missing == {self.ear.fails_at}, 8, told, "all the others do")
        (letter,) = await eventually(self.bus.get_dead_letters, timeout_seconds=10.0)
        self.ear.broken = False
        await self.bus.replay_dead_letter(letter.id)
        self.replayed += 1
        missing = await self.until(shop, what_is_missing, set)
        demand(not missing, 8, "a dead letter was replayed, and never came", "it comes")
        return "one dead letter; the others came; replayed, it came too"

    async def traced(self) -> str:
        shop, article, tracer = await self.open(), uuid4(), self.parts.tracer
        await self.ask(lambda: shop.receive(article, 1))
        tracer.spans.clear()
        with tracer.span("a customer orders") as root:
            await self.order(shop, uuid4(), article)
        trace = root.get_span_context().trace_id

        async def is_handled() -> bool:
            spans = [
                s.name for s in tracer.spans.get_finished_spans() if s.context.trace_id == trace
            ]
            return {"eventsource.repository.save", "eventsource.event_bus.handle"} <= {*spans}

        seen = await self.until(shop, is_handled, lambda: True)
        told = "the trace of an order ends before the listener on the bus"
        demand(seen, 8, told, "one trace: the very events of the store are published")
        return "from the order to the listener, one trace"

    async def followed(self) -> str:
        """What was paid before they begin, and what is paid at once later."""
        shops, article, tenant = [await self.open() for _ in range(2)], uuid4(), uuid4()
        expected = "the work goes on by itself, in both, until they are cancelled"

        async def buy(pieces: int) -> None:
            orders = await self.sell(shops[1], pieces, article=article, tenant=tenant)
            paid = (self.pay(shops[0], each, article, tenant=tenant) for each in orders)
            await asyncio.gather(*paid)

        async def are_counted(pieces: int) -> None:
            seen = await self.takings(shops[0], pieces * PRICE, tenant, beside=following)
            for each in following:
                told = f"follow() has ended: {each.exception()!r}" if each.done() else ""
                demand(not each.done(), 9, told, expected)
            told = f"two shops follow, orders paid: {pieces}, and takings() says {seen}"
            demand(seen == pieces * PRICE, 9, told, expected)

        await self.ask(lambda: shops[0].receive(article, 3), tenant)
        await buy(1)
        following = [asyncio.ensure_future(each.follow()) for each in shops]
        try:
            await are_counted(1)
            await buy(2)
            await are_counted(3)
        finally:
            pending = await cancelled(following)
        demand(not pending, 9, "follow() was cancelled, and goes on", expected)
        return "two at once; counted once"

    async def random_afternoon(self) -> str:
        """Random commands, against the few lines that say what a shop is."""
        dice, shop, article, tenant = random.Random(21), await self.open(), uuid4(), uuid4()  # noqa: S311
        left, ordered, paid = 4, list[UUID](), set[UUID]()
        await self.ask(lambda: shop.receive(article, left), tenant)
        for _ in range(20):
            known = dice.choice(ordered) if ordered else uuid4()
            if ordered and dice.random() < 0.4:
                await self.pay(shop, known, article, tenant=tenant)
                paid.add(known)
                continue
            order_id = known if dice.random() < 0.4 else uuid4()
            is_new = order_id not in ordered
            got = await self.order(shop, order_id, article, tenant=tenant)
            kind, result = "new" if is_new else "repeated", "taken" if got else "refused"
            told = f"an order, {kind}, with {left} left, was {result}"
            demand(got == (left > 0 or not is_new), 2, told, "what a ten-line model says")
            if got and is_new:
                left, ordered = left - 1, [*ordered, order_id]
        seen, wanted = await self.takings(shop, len(paid) * PRICE, tenant), len(paid) * PRICE
        told = f"after 20 random commands takings() says {seen}"
        demand(seen == wanted, 3, told, f"{wanted}, as a ten-line model")
        return "20 random commands, as a ten-line model"

    async def on_sqlite(self) -> str:
        async with sqlite_parts(self.clock) as parts:
            shop, article = self.make(parts), uuid4()
            await self.ask(lambda: shop.receive(article, 3))
            sold = await self.sell(shop, BUYERS, article=article)
            again = await self.order(self.make(parts), sold[0], article) if sold else False
            told = f"{BUYERS} buyers at once, 3 pieces, {len(sold)} sold, on SQLite"
            demand(len(sold) == 3 and again, 6, told, "the same as on PostgreSQL")
        return "the same commands, the same result"

    async def facts(self) -> str:
        versions: dict[UUID, list[int]] = {}
        for event in await self.stored():
            versions.setdefault(event.aggregate_id, []).append(event.aggregate_version)
        for stream in versions.values():
            told = f"a stream with the versions {stream[:9]}"
            demand(stream == [*range(1, len(stream) + 1)], 1, told, "1, 2, 3 and so on")
        return "all can be read, no version is missing"


async def cancelled(
    tasks: Iterable[asyncio.Future[object]], seconds: float = 10.0
) -> set[asyncio.Future[object]]:
    """Those that go on although they are cancelled, again and again: a driver may lose one."""
    pending, until = set(tasks), time.monotonic() + seconds
    while pending and time.monotonic() < until:
        for each in pending:
            each.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.5)
    return pending


def demand(fulfilled: object, hint: int, seen: str, expected: str) -> None:
    if not fulfilled:
        raise NotYet(seen=seen, expected=expected, hint=hint)


ATTACKS: tuple[tuple[str, str, Callable[[Acceptance], Awaitable[str]]], ...] = (
    ("3, 5, 11", "rivals for the last pieces", Acceptance.rivals),
    ("5", "an order sent twice", Acceptance.repeat),
    ("6, 10", "work() again, and a restart", Acceptance.read_model),
    ("16", "another tenant", Acceptance.tenants),
    ("16", "a customer to forget", Acceptance.privacy),
    ("14", "snapshots", Acceptance.snapshots),
    ("21", "half an hour passes", Acceptance.time_passes),
    ("7, 15, 17-19", "a listener behind a broker", Acceptance.everything_is_heard),
    ("9", "a poison event", Acceptance.poison),
    ("20", "one order, traced", Acceptance.traced),
    ("13", "two workers follow", Acceptance.followed),
    ("8", "a random afternoon", Acceptance.random_afternoon),
    ("12", "the same shop on SQLite", Acceptance.on_sqlite),
    ("1, 2, 4", "reading all facts back", Acceptance.facts),
)
