"""Exercise 13.2: a consumer that is too slow one by one."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from eventsource import (
    DomainEvent,
    InMemoryCheckpointRepository,
    InMemoryEventStore,
    RetryPolicy,
    SubscriptionConfig,
    SubscriptionError,
    SubscriptionManager,
)
from tutorial_support.domain import OrderShipped
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

EVENTS, MOST_PER_CALL, CALLS = 200, 50, 8
CALL_SECONDS = 0.01


class _Carrier:
    """The other side: each call takes its time, the third one is refused."""

    def __init__(self) -> None:
        self.calls = 0
        self.accepted: list[str] = []
        self.too_many = 0
        self.busy = 0
        self.overlaps = False

    async def announce(self, tracking_numbers: Sequence[str]) -> None:
        self.calls += 1
        call, self.busy = self.calls, self.busy + 1
        self.overlaps = self.overlaps or self.busy > 1
        self.too_many = max(self.too_many, len(tracking_numbers))
        await asyncio.sleep(CALL_SECONDS if call <= CALLS else 0)  # the rest is too many anyhow
        self.busy -= 1
        if call == 3:
            raise ConnectionError("the carrier is busy")
        self.accepted += tracking_numbers


async def _check_slow(announcer: Callable[[Any], Any]) -> None:
    log, carrier, wanted = InMemoryEventStore(), _Carrier(), []
    for number in range(EVENTS):
        wanted.append(f"T-{number}")
        await log.append_events(order := uuid4(), "Order", [_shipped(order, wanted[-1])], 0)
    checkpoints = InMemoryCheckpointRepository()
    manager = SubscriptionManager(log, None, checkpoints)
    config = SubscriptionConfig(batch_size=80, retry=RetryPolicy(3, 0.001))
    try:
        await manager.subscribe(announcer(carrier), config, name="announcer")
    except TypeError as error:
        raise NotYet(seen=str(error), expected="a subscriber", hint=1) from error
    await manager.start()
    try:
        await manager.wait_until_live(timeout_seconds=20)
        at_live = list(carrier.accepted)
    except SubscriptionError as error:
        raise _first_cause(error) from None
    finally:
        await manager.stop(timeout_seconds=0.5)
    _judge(carrier, at_live, wanted)


def _first_cause(error: BaseException) -> BaseException:
    """What the handler raised, without what the manager says about it."""
    return _first_cause(error.__cause__) if error.__cause__ else error


def _judge(carrier: _Carrier, at_live: list[str], wanted: list[str]) -> None:
    if set(at_live) != set(wanted):
        raise NotYet(
            seen=f"all events counted as handled when {len(set(at_live))} of {len(wanted)} were "
            "announced",
            expected="a handler that returns when its work is done, and raises when it is not",
            hint=4,
        )
    if carrier.overlaps:
        raise NotYet(seen="calls that overlap", expected="one call after the other", hint=4)
    if carrier.too_many > MOST_PER_CALL:
        raise NotYet(
            seen=f"a call with {carrier.too_many} numbers",
            expected=f"at most {MOST_PER_CALL}",
            hint=3,
        )
    if list(dict.fromkeys(at_live)) != wanted:
        raise NotYet(seen="shipments out of order", expected="the order of the log", hint=4)
    if carrier.calls > CALLS:
        raise NotYet(
            seen=f"{carrier.calls} calls for {len(wanted)} shipments",
            expected=f"at most {CALLS}",
            hint=2,
        )


def _shipped(order_id: UUID, tracking_number: str) -> DomainEvent:
    return OrderShipped(aggregate_id=order_id, tracking_number=tracking_number)


SLOW = Exercise(
    id="13.2",
    title="A slow consumer",
    task="""
Every shipment must be announced to the carrier: `await carrier.announce(tracking_numbers)`. A
call takes its time, however many numbers it has, up to **fifty**; and now and then the carrier
refuses. One call for each event is too slow: the lag only grows. Write the subscriber that keeps
up, in the order of the log, and does not lose a shipment when a call fails. Pages have
80 events, all of them shipments.
""",
    answer="Announcer",
    stub='''
class Announcer:
    """A subscriber that announces shipments to the carrier."""

    def __init__(self, carrier): ...
''',
    hints=(
        """
A subscriber is an object with `handle(event)`, or with `handle_batch(events)`, which gets a whole
page. Keep the carrier in `__init__`.
""",
        """
One call per event costs one wait per event. With `handle_batch(self, events)` you can announce
many tracking numbers in one call.
""",
        """
A page of 80 is too much for one call of 50. Cut the list: `numbers[start:start + 50]` for `start
in range(0, len(numbers), 50)`.
""",
        """
Await each call before the next one, and let its error out. When the handler returns, its events
count as handled and the checkpoint moves: a task that still runs then, numbers that still wait in
a list of yours, or an error that you caught, are shipments nobody announces.
""",
    ),
    solutions=(
        """
class Announcer:
    def __init__(self, carrier):
        self.carrier = carrier

    async def handle_batch(self, events):
        numbers = [event.tracking_number for event in events]
        for start in range(0, len(numbers), 50):
            await self.carrier.announce(numbers[start : start + 50])
""",
        """
class Announcer:
    def __init__(self, carrier):
        self.carrier, self.announced = carrier, set()

    def subscribed_to(self):
        return [OrderShipped]

    async def handle_batch(self, events):
        numbers = [e.tracking_number for e in events if e.event_id not in self.announced]
        ids_ = [e.event_id for e in events if e.event_id not in self.announced]
        while numbers:
            await self.carrier.announce(numbers[:40])
            self.announced.update(ids_[:40])
            numbers, ids_ = numbers[40:], ids_[40:]
""",
    ),
    wrong=(
        Wrong(
            """
class Announcer:
    def __init__(self, carrier):
        self.carrier = carrier

    async def on_event(self, event):
        await self.carrier.announce([event.tracking_number])
""",
            hint=1,
        ),
        Wrong(
            """
class Announcer:
    def __init__(self, carrier):
        self.carrier = carrier

    async def handle(self, event):
        await self.carrier.announce([event.tracking_number])
""",
            hint=2,
        ),
        Wrong(
            """
class Announcer:
    def __init__(self, carrier):
        self.carrier = carrier

    async def handle_batch(self, events):
        await self.carrier.announce([event.tracking_number for event in events])
""",
            hint=3,
        ),
        Wrong(
            """
class Announcer:
    def __init__(self, carrier):
        self.carrier, self.waiting = carrier, []

    async def handle(self, event):
        self.waiting.append(event.tracking_number)
        if len(self.waiting) == 50:
            numbers, self.waiting = self.waiting, []
            await self.carrier.announce(numbers)
""",
            hint=4,
        ),
        Wrong(
            """
class Announcer:
    def __init__(self, carrier):
        self.carrier = carrier

    async def handle_batch(self, events):
        numbers = [event.tracking_number for event in events]
        pieces = [numbers[start : start + 50] for start in range(0, len(numbers), 50)]
        await asyncio.gather(*map(self.carrier.announce, pieces))
""",
            hint=4,
        ),
        Wrong(
            """
class Announcer:
    def __init__(self, carrier):
        self.carrier = carrier

    async def handle_batch(self, events):
        numbers = [event.tracking_number for event in events]
        for start in range(0, len(numbers), 50):
            task = asyncio.create_task(self.carrier.announce(numbers[start : start + 50]))
            task.add_done_callback(lambda done: done.exception())
""",
            hint=4,
        ),
        Wrong(
            """
class Announcer:
    def __init__(self, carrier):
        self.carrier = carrier

    async def handle_batch(self, events):
        numbers = [event.tracking_number for event in events]
        for start in range(0, len(numbers), 50):
            try:
                await self.carrier.announce(numbers[start : start + 50])
            except ConnectionError:
                self.refused = True
""",
            hint=4,
        ),
    ),
    check=_check_slow,
    time_limit_seconds=3,
)
