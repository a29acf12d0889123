"""Exercise 21.3, the capstone: a shop, accepted by its behaviour."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

from tutorial_support.database import Database, open_database
from tutorial_support.exercises.model import Exercise, NotYet
from tutorial_support.exercises.nb21.acceptance import ATTACKS, Acceptance
from tutorial_support.exercises.nb21.parts import Recorder, broker, postgresql_parts
from tutorial_support.exercises.nb21.shelves import FOLDED
from tutorial_support.exercises.nb21.shops import PROCESS
from tutorial_support.exercises.nb21.spoilt import WRONG
from tutorial_support.exercises.nb21.visitor import Ear
from tutorial_support.show import live_table

ATTACK_SECONDS = 10.0  #: after which a shop hangs; a right one needs less than half a second


async def _check(shop: Any, db: Database) -> None:
    """Try one attack after another, up to the first that succeeds, and show how far it has come."""
    rows = [
        {"tutorial": numbers, "attack": attack, "seen": "", "": "·"}
        for numbers, attack, _ in ATTACKS
    ]

    def caption() -> str:
        passed = sum(row[""] == "✓" for row in rows)
        return f"The acceptance test: {passed} of {len(rows)}"

    with live_table(rows, caption) as show:
        async with _acceptance(shop, db) as test:
            for row, (_, _, attack) in zip(rows, ATTACKS, strict=True):
                row[""] = "…"
                show()
                try:
                    await _try(attack(test), row)
                finally:
                    show()


@asynccontextmanager
async def _acceptance(shop: Any, db: Database) -> AsyncIterator[Acceptance]:
    ear, tracer = Ear(), Recorder()
    async with (
        await open_database("21-shop", url=db.url) as scratch,
        broker(tracer, ear) as (bus, hearing, over),
    ):
        test = Acceptance(shop, ear, hearing, over)
        async with postgresql_parts(scratch.url, bus, test.clock, tracer) as test.parts:
            yield test


async def _try(attack: Awaitable[str], row: dict[str, str]) -> None:
    row[""] = "○"
    limit = asyncio.timeout(ATTACK_SECONDS)
    try:
        async with limit:
            row["seen"] = await attack
    except NotYet as verdict:
        row["seen"] = verdict.seen
        raise
    except TimeoutError as error:
        if not limit.expired():
            raise
        row["seen"] = f"no end within {ATTACK_SECONDS:g} s"
        seen = f"{row['attack']}: {row['seen']}"
        raise NotYet(seen=seen, expected="a shop that answers", hint=1) from error
    row[""] = "✓"


CAPSTONE = Exercise(
    id="21.3",
    title="The capstone: your own shop",
    task="""
Build the shop. `order` takes one piece of an article for an order, and raises `ValueError` if none
is left; the same order sent again is no second order. `pay` pays it. A piece that nobody paid for
within 30 minutes (by `parts.clock`) goes back on sale. `takings` is the sum of what was paid, and
`forget` makes a customer's e-mail address unreadable. These calls come inside the `tenant_scope` of
a shop, which sells nothing but what that shop has received.

`work` does whatever waits, for all shops: read model, time-outs, publishing to `parts.bus`;
`follow` does so until it is cancelled. Take what you build from `parts`:
`repository(YourAggregate)`, and `store`, `checkpoints`, `timeouts`, `outbox`, `vault`, with
`engine` for a read model of your own.

The check is an acceptance test: fourteen attacks, in which every tutorial has its part, and a list
of what came of them.
""",
    answer="Shop",
    given=("db",),
    stub="""
class Shop:
    def __init__(self, parts): ...

    async def setup(self): ...

    async def receive(self, article, quantity): ...

    async def order(self, article, order_id, total, customer, email): ...

    async def pay(self, article, order_id): ...

    async def work(self): ...

    async def follow(self): ...

    async def takings(self): ...

    async def forget(self, customer): ...
""",
    hints=(
        """
Let one aggregate, the article, know how many pieces are left, and change it through
`repository.update(article, command, retries=30)`: the store lets one rival through at a time, and
the others try again (tutorials 3 to 5).
""",
        """
Let the article remember the orders it has seen, and return without an event for one that it knows,
paid or not. `command_id=order_id` does it too (tutorial 5).
""",
        """
What is kept in the object is gone with it. Add up in a `DatabaseProjection`, which commits rows and
checkpoint together, or fold the log each time (tutorials 6 and 10). An order is paid once.
""",
        """
Make events that are `TenantDomainEvent` with `with_tenant_context`, and keep the tenant in the
state and in the read model's rows. `get_required_tenant()` says who is asking: refuse an article,
and leave out rows, of anybody else (tutorial 16).
""",
        """
`email: Annotated[Personal, Subject("customer")]` in the event seals the address with a key of the
customer whose id is in the field `customer`. `vault.erase(customer)` destroys that key. Keep the
address nowhere else (tutorial 16).
""",
        """
Get repositories from `parts.repository(YourAggregate)`, and nothing of PostgreSQL's but the read
model. A snapshot needs a state that pydantic can write, in `state` alone: a model or a dataclass
that says its types (tutorials 12 and 14).
""",
        """
`set_timeout(str(order_id), due_at)` when a piece is ordered, `clear_timeout` when it is paid. In a
`Process`, `@handles(ProcessTimedOut)` changes the state: the piece is back. A `ProcessManager` with
`parts.timeouts` and `parts.clock` delivers the time-outs when it catches up.
""",
        """
In `work`: `while await OutboxPublisher(parts.outbox, parts.bus).publish_batch(): ...`. It sends the
very events that were stored, with the trace they carry (tutorials 7, 15 and 20).
""",
        """
`follow` never returns: `await asyncio.gather(...)` of what follows the log for ever, such as
`projection.follow(parts.store)` and `publisher.run()`. Or do `work`, sleep a moment, and again
(tutorial 13). Two workers may do it at once, so let the checkpoint decide what is counted.
""",
    ),
    solutions=(PROCESS, FOLDED),
    wrong=WRONG,
    check=_check,
    time_limit_seconds=30,
)
