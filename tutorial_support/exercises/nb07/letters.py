"""Exercise 7.2: replay what can be replayed, and report the rest."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

from eventsource import InMemoryEventBus
from eventsource.bus import RetryPolicy
from tutorial_support.domain import OrderShipped
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

Answer = Callable[[InMemoryEventBus], Awaitable[list[str]]]
MOST_CALLS = 25  #: of the carrier, for five dead letters


class _Carrier:
    """A handler that refuses some orders, and in the end no longer answers."""

    def __init__(self, refused: set[UUID]) -> None:
        self.refused = refused
        self.calls: list[UUID] = []
        self.has_enough = asyncio.Event()

    async def handle(self, event: OrderShipped) -> None:
        self.calls.append(event.aggregate_id)
        if len(self.calls) > MOST_CALLS:
            self.has_enough.set()
            await asyncio.Event().wait()
        if event.aggregate_id in self.refused:
            raise ConnectionError("the carrier does not answer")


async def _check_letters(replay_all: Answer) -> None:
    bus = InMemoryEventBus(retry=RetryPolicy(max_tries=1))
    events = [OrderShipped(aggregate_id=uuid4(), tracking_number="T") for _ in range(5)]
    orders = [event.aggregate_id for event in events]
    carrier = _Carrier(set(orders))
    bus.subscribe(OrderShipped, carrier)
    await bus.publish(events)

    carrier.refused, carrier.calls = {orders[1], orders[3]}, []
    report = await _unless(carrier.has_enough, replay_all(bus))
    if carrier.has_enough.is_set():
        raise NotYet(
            seen=f"more than {MOST_CALLS} calls of the handler for 5 dead letters, and no end",
            expected="one for each",
            hint=1,
        )
    _each_was_tried_once(carrier, orders)
    left = [letter.event_id for letter in await bus.get_dead_letters()]
    failing = [str(event.event_id) for event in events if event.aggregate_id in carrier.refused]
    if left != failing:
        raise NotYet(
            seen=f"of 5 dead letters, 2 of which still fail, {len(left)} are left",
            expected="the two that failed again, for another day",
            hint=3,
        )
    if not isinstance(report, list) or [*map(str, report)] != failing:
        raise NotYet(
            seen=f"the report {report!r}",
            expected="a list of the two event ids that failed again, in their order",
            hint=4,
        )


async def _unless(enough: asyncio.Event, replaying: Awaitable[list[str]]) -> object:
    """The report, or None if there is none before that."""
    tasks = asyncio.ensure_future(replaying), asyncio.ensure_future(enough.wait())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return tasks[0].result() if tasks[0].done() else None
    finally:
        for task in tasks:
            task.cancel()


def _each_was_tried_once(carrier: _Carrier, orders: list[UUID]) -> None:
    missing = len(set(orders) - set(carrier.calls))
    if missing:
        raise NotYet(
            seen=f"{missing} of 5 dead letters were not replayed",
            expected="every one gets its chance, also after one has failed",
            hint=2 if carrier.calls else 1,
        )
    if len(carrier.calls) != len(orders):
        raise NotYet(
            seen=f"handlers were called {len(carrier.calls)} times for 5 dead letters",
            expected="once for each",
            hint=1,
        )


def _answer(body: str) -> str:
    return "async def replay_all(bus):\n" + body.strip("\n") + "\n"


LETTERS = Exercise(
    id="7.2",
    title="Empty the dead letters",
    task="""
The carrier's system was down, and the bus has collected dead letters. It is back, but it still
refuses some parcels. Write `replay_all(bus)`: every dead letter gets one more chance, in order.
What succeeds is gone, what fails again stays. Return the `event_id` of those that failed, as a
list, for whoever looks into it.
""",
    answer="replay_all",
    stub='''
async def replay_all(bus):
    """Replay each dead letter once; the event ids of those that failed again."""
    ...
''',
    hints=(
        """
Ask for the letters once, with `await bus.get_dead_letters()`, and go through that list. A letter
that fails again is still on the bus: do not loop until the bus is empty.
""",
        """
`replay_dead_letter` raises `EventBusError` when a handler fails again. Catch it inside the loop,
for each letter.
""",
        """
`replay_dead_letter(letter.id)` forgets the letter by itself when it succeeds.
`discard_dead_letter` gives it up for good: not your decision here.
""",
        """
Collect `letter.event_id` where you catch the error, and return the list at the end.
""",
    ),
    solutions=(
        _answer("""
    failed = []
    for letter in await bus.get_dead_letters():
        try:
            await bus.replay_dead_letter(letter.id)
        except EventBusError:
            failed.append(letter.event_id)
    return failed
"""),
        _answer("""
    letters = await bus.get_dead_letters()

    async def works(letter):
        try:
            await bus.replay_dead_letter(letter.id)
        except EventBusError:
            return False
        return True

    outcome = {letter.event_id: await works(letter) for letter in letters}
    return [event_id for event_id, worked in outcome.items() if not worked]
"""),
    ),
    wrong=(
        Wrong(
            _answer("""
    failed = []
    while letters := await bus.get_dead_letters():
        try:
            await bus.replay_dead_letter(letters[0].id)
        except EventBusError:
            failed.append(letters[0].event_id)
        await asyncio.sleep(0)
    return failed
"""),
            hint=1,
        ),
        Wrong(
            _answer("""
    failed = []
    try:
        for letter in await bus.get_dead_letters():
            await bus.replay_dead_letter(letter.id)
    except EventBusError:
        failed.append(letter.event_id)
    return failed
"""),
            hint=2,
        ),
        Wrong(
            _answer("""
    failed = []
    for letter in await bus.get_dead_letters():
        try:
            await bus.replay_dead_letter(letter.id)
        except EventBusError:
            failed.append(letter.event_id)
            await bus.discard_dead_letter(letter.id)
    return failed
"""),
            hint=3,
        ),
        Wrong(
            _answer("""
    for letter in await bus.get_dead_letters():
        try:
            await bus.replay_dead_letter(letter.id)
        except EventBusError:
            continue
"""),
            hint=4,
        ),
    ),
    check=_check_letters,
)
