"""Typical shops that are not accepted: the first solution, each with one mistake."""

from tutorial_support.exercises.model import Wrong
from tutorial_support.exercises.nb21.shops import PROCESS

FOLLOW = PROCESS.partition("async def follow(self):\n")[2].partition("\n    async def takings")[0]


def _spoilt(hint: int, *changes: tuple[str, str]) -> Wrong:
    shop = PROCESS
    for right, wrong in changes:
        assert right in shop, right
        shop = shop.replace(right, wrong)
    return Wrong(shop, hint)


WRONG = (
    # no second try
    _spoilt(1, ("command, retries=30)", "command, retries=0)")),
    # no limit
    _spoilt(1, ("        if self._now.left < 1:\n", "        if False:\n")),
    # no memory of orders
    _spoilt(2, ("        if order_id in self._now.orders:\n            return\n", "")),
    # a memory of unpaid orders alone: a random afternoon finds it
    _spoilt(2, ("if order_id in self._now.orders:", "if str(order_id) in self._now.timeouts:")),
    # takings in the object
    _spoilt(
        3,
        (
            "        self.parts, clock =",
            "        self.total = Decimal(0)\n        self.parts, clock =",
        ),
        (
            "await self.articles.update(article, lambda it: it.pay(order_id), retries=30)",
            """await self.articles.update(article, lambda it: it.pay(order_id), retries=30)
        self.total += Decimal("9.90")""",
        ),
        ("return total or Decimal(0)", "return self.total"),
    ),
    # the forgotten WHERE
    _spoilt(4, (" WHERE shop = :shop", "")),
    # everybody may sell it
    _spoilt(4, ("self._now.shop != get_required_tenant()", "False")),
    # an address in plain text
    _spoilt(5, ('email: Annotated[Personal, Subject("customer")]', "email: str")),
    # the article's key: nobody can be forgotten
    _spoilt(5, ('Annotated[Personal, Subject("customer")]', "Personal")),
    # nobody is forgotten
    _spoilt(5, ("await self.parts.vault.erase(customer)", "pass")),
    # no snapshots
    _spoilt(6, ("parts.repository(Article)", "AggregateRepository(parts.store, Article)")),
    # a state that snapshots do not hold
    _spoilt(6, ("orders: dict[UUID, Decimal] = {}", "orders: dict = {}")),
    # nobody looks at the clock
    _spoilt(7, ("        await self.alarms.catch_up(self.parts.store)\n", "")),
    # nobody empties the outbox
    _spoilt(8, ("while await self.publisher.publish_batch():", "while False:")),
    # copies on the bus, without what the store has noted on them
    _spoilt(
        8,
        (
            """while await self.publisher.publish_batch():
            pass""",
            """async for stored in self.parts.store.read_all():
            copy = stored.event.model_copy(update={"metadata": {}})
            await self.parts.bus.publish([copy])""",
        ),
    ),
    # it works once
    _spoilt(9, (FOLLOW, "        await self.work()\n")),
)
