"""Exercise 9.2: park the stream of a failing event, and let the others go on."""

from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import create_async_engine

from eventsource import (
    DLQRepository,
    DomainEvent,
    PostgreSQLDLQRepository,
    StoredEvent,
)
from tutorial_support.database import Database, open_database
from tutorial_support.domain import OrderCreated, OrderShipped
from tutorial_support.exercises.model import Exercise, NotYet, Wrong
from tutorial_support.lab import Clock, Ids

Deliver = Callable[
    [list[StoredEvent], Callable[[StoredEvent], Awaitable[None]], DLQRepository], Awaitable[object]
]


class _Desk:
    """Handles events, and refuses the events of orders it has been told of."""

    def __init__(self) -> None:
        self.broken: set[UUID] = set()
        self.seen: list[UUID] = []
        self.asked: list[UUID] = []

    async def handle(self, stored: StoredEvent) -> None:
        self.asked.append(stored.event_id)
        if stored.event_id in self.broken:
            raise ValueError("the label printer does not know this country")
        self.seen.append(stored.event_id)


async def _check_parking(deliver: Deliver, db: Database) -> None:
    async with await open_database("09-parking", url=db.url) as scratch:
        engine = create_async_engine(scratch.url)
        try:
            await _three_runs(deliver, PostgreSQLDLQRepository(engine))
        finally:
            await engine.dispose()


async def _three_runs(deliver: Deliver, letters: DLQRepository) -> None:
    ids, desk = Ids(92), _Desk()
    ann, bob = ids(), ids()
    log = _log(ids, [(ann, 1), (bob, 1), (ann, 2), (bob, 2), (bob, 3), (ann, 3), (bob, 4)])
    a1, b1, a2, b2, b3, a3, b4 = (stored.event_id for stored in log)
    desk.broken = {a1}

    try:
        await deliver(log[:4], desk.handle, letters)
    except ValueError as error:
        raise NotYet(
            seen=f"deliver raised the handler's error: {error}",
            expected="the event in the dead letters, and the others delivered",
            hint=1,
        ) from error
    _expect(
        [each for each in desk.asked if each == a2], [], "Ann's second event waits for her first", 2
    )
    _expect(desk.seen, [b1, b2], "Bob's two events are delivered, in order", 1)
    await _expect_parked(letters, [a1, a2], "Ann's two events are in the dead letters", 2)

    await deliver(log[4:6], desk.handle, letters)  # another day, another process
    _expect(desk.seen, [b1, b2, b3], "in the next run Ann's stream is still parked", 3)
    await _expect_parked(letters, [a1, a2, a3], "Ann's third event is parked too", 3)

    for entry in await letters.get_failed_events("Desk"):
        await letters.mark_resolved(entry.id, "Ann")
    more = _log(ids, [(ann, 4)], start=8)
    await deliver([*log[6:], *more], desk.handle, letters)
    told = "when the dead letters are resolved, Ann's stream goes on"
    _expect(desk.seen, [b1, b2, b3, b4, more[0].event_id], told, 4)


def _log(ids: Ids, places: Iterable[tuple[UUID, int]], start: int = 1) -> list[StoredEvent]:
    clock = Clock()
    return [
        StoredEvent(_event(ids(), order, version), f"{order}:Order", version, number, clock())
        for number, (order, version) in enumerate(places, start)
    ]


def _event(event_id: UUID, order: UUID, version: int) -> DomainEvent:
    if version == 1:
        return OrderCreated(
            event_id=event_id, aggregate_id=order, customer_id="Ann", total=Decimal(1)
        )
    return OrderShipped(
        event_id=event_id, aggregate_id=order, aggregate_version=version, tracking_number="T"
    )


def _expect(seen: list[UUID], right: list[UUID], claim: str, hint: int) -> None:
    if seen != right:
        raise NotYet(
            seen=f"{len(seen)} events handled, not the {len(right)} that were due",
            expected=claim,
            hint=hint,
        )


async def _expect_parked(letters: DLQRepository, right: list[UUID], claim: str, hint: int) -> None:
    parked = {entry.event_id for entry in await letters.get_failed_events("Desk")}
    if parked != set(right):
        raise NotYet(seen=f"{len(parked)} dead letters of Desk", expected=claim, hint=hint)


HEAD = """
async def deliver(feed, handle, dead_letters):
    async def park(event, error):
        await dead_letters.add_failed_event(
            event.event_id, "Desk", event.event_type, event.to_dict(), error
        )

"""

PARKING = Exercise(
    id="9.2",
    title="Park one stream, let the others go on",
    task="""
The shipping desk needs the events of one order in their order: what comes after a failed event must
not be handled before it. Other orders have nothing to do with it.

Write `deliver(feed, handle, dead_letters)`. It calls `await handle(stored)` for the events of
`feed`, in order. If that raises, it parks the event, and **every later event of the same stream**
without handing it out; the other streams go on. A stream stays parked in the next call too, as long
as one of its dead letters is open, and goes on when all are resolved. The name of the projection is
`"Desk"`, and `park` is there for you.
""",
    answer="deliver",
    given=("db",),
    stub=HEAD
    + """    for stored in feed:
        await handle(stored)  # may raise; stored has .event, .event_id and .aggregate_id
""",
    hints=(
        """
Catch what `handle` raises, for each event by itself, and park that event. The loop goes on.
""",
        """
Remember the `aggregate_id` of a parked event in a set. An event whose stream is in the set is
parked too, without asking `handle`.
""",
        """
The set must survive the process. It is in the dead letters already: begin with the `aggregate_id`
in `event_data` of each of `await dead_letters.get_failed_events("Desk")`. There it is text.
""",
        """
Keep nothing between calls but the dead letters, and count open ones only: `get_failed_events` gives
those with the status *failed* unless you ask for others.
""",
    ),
    solutions=(
        HEAD
        + """    entries = await dead_letters.get_failed_events("Desk", limit=10_000)
    parked = {entry.event_data["aggregate_id"] for entry in entries}
    for stored in feed:
        stream = str(stored.aggregate_id)
        if stream in parked:
            await park(stored.event, RuntimeError("waits for an earlier event of its stream"))
            continue
        try:
            await handle(stored)
        except Exception as error:
            parked.add(stream)
            await park(stored.event, error)
""",
        HEAD
        + """    async def is_parked(aggregate_id):
        entries = await dead_letters.get_failed_events("Desk", limit=10_000)
        return any(entry.event_data["aggregate_id"] == str(aggregate_id) for entry in entries)

    for stored in feed:
        try:
            if await is_parked(stored.aggregate_id):
                raise RuntimeError("an earlier event of this stream is parked")
            await handle(stored)
        except Exception as error:
            await park(stored.event, error)
""",
    ),
    wrong=(
        Wrong(
            HEAD
            + """    for stored in feed:
        try:
            await handle(stored)
        except Exception as error:
            await park(stored.event, error)
            break
""",
            hint=1,
        ),
        Wrong(
            HEAD
            + """    for stored in feed:
        try:
            await handle(stored)
        except Exception as error:
            await park(stored.event, error)
""",
            hint=2,
        ),
        Wrong(
            HEAD
            + """    parked = set()
    for stored in feed:
        if stored.aggregate_id in parked:
            await park(stored.event, RuntimeError("parked"))
            continue
        try:
            await handle(stored)
        except Exception as error:
            parked.add(stored.aggregate_id)
            await park(stored.event, error)
""",
            hint=3,
        ),
        Wrong(
            HEAD
            + """    parked = set()
    for status in ("failed", "retrying", "resolved"):
        for entry in await dead_letters.get_failed_events("Desk", status):
            parked.add(entry.event_data["aggregate_id"])
    for stored in feed:
        if str(stored.aggregate_id) in parked:
            await park(stored.event, RuntimeError("parked"))
            continue
        try:
            await handle(stored)
        except Exception as error:
            parked.add(str(stored.aggregate_id))
            await park(stored.event, error)
""",
            hint=4,
        ),
    ),
    check=_check_parking,
    time_limit_seconds=5,
)
