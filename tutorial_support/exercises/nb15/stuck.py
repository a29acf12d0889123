"""Exercise 15.2: parked entries that another try cures, and those that it does not."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from eventsource import (
    DLQRepository,
    DomainEvent,
    InMemoryDLQRepository,
    InMemoryOutboxRepository,
    OutboxRepository,
)
from eventsource.outbox import OutboxPublisher
from tutorial_support.domain import OrderCreated, OrderShipped
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

TROUBLES = {
    "outage": "ConnectionError: the broker is restarting",
    "slow": "TimeoutError: no answer within 10 s",
    "poison": "ValueError: this message is larger than the broker takes",
}


@dataclass
class _Broker:
    """Takes everything but poison."""

    poison: set[UUID]
    got: list[UUID] = field(default_factory=list)
    refused: int = 0

    async def publish(self, events: Sequence[DomainEvent]) -> None:
        if self.poison & {event.event_id for event in events}:
            self.refused += 1
            raise ValueError("this message is larger than the broker takes")
        self.got += [event.event_id for event in events]


class _DeadLetters(InMemoryDLQRepository):
    """Says what is wrong with data that is no mapping."""

    async def add_failed_event(  # noqa: PLR0917  # the order of the repository's own
        self,
        event_id: UUID,
        projection_name: str,
        event_type: str,
        event_data: Any,
        error: BaseException,
        retry_count: int = 0,
        **options: Any,
    ) -> None:
        if not isinstance(event_data, Mapping):
            raise NotYet(
                seen=f"event_data is a {type(event_data).__name__}",
                expected="the event's fields, by name",
                hint=4,
            )
        await super().add_failed_event(
            event_id, projection_name, event_type, event_data, error, retry_count, **options
        )


async def _parked(outbox: OutboxRepository) -> dict[str, list[DomainEvent]]:
    """One order for each kind of trouble, whose first entry is parked and holds the second back."""
    orders: dict[str, list[DomainEvent]] = {}
    for name, error in TROUBLES.items():
        order = uuid4()
        orders[name] = [
            OrderCreated(aggregate_id=order, customer_id=name, total=Decimal(1)),
            OrderShipped(aggregate_id=order, aggregate_version=2, tracking_number="T"),
        ]
        entries = [await outbox.add_event(event) for event in orders[name]]
        await outbox.mark_failed(entries[0], error)
    return orders


async def _check_stuck(tend: Callable[[OutboxRepository, DLQRepository], Awaitable[Any]]) -> None:
    outbox, dead_letters = InMemoryOutboxRepository(), _DeadLetters()
    orders = await _parked(outbox)
    poison = orders["poison"][0]
    broker = _Broker({poison.event_id})
    await tend(outbox, dead_letters)
    publisher = OutboxPublisher(outbox, broker, max_attempts=1)
    for _ in range(10):
        await publisher.publish_batch()
    _judge_cured(broker, orders)
    if broker.refused:
        raise NotYet(
            seen="the entry that the broker will never take was tried again",
            expected="given up: it failed for a reason that lies in itself",
            hint=2,
        )
    letters = await dead_letters.get_failed_events()
    if [letter.event_id for letter in letters] != [poison.event_id]:
        raise NotYet(
            seen=f"{len(letters)} dead letters",
            expected="one: what you give up must not vanish without a trace",
            hint=4,
        )
    if str(letters[0].event_data.get("event_id")) != str(poison.event_id):
        raise NotYet(
            seen=f"a dead letter that holds {json.dumps(letters[0].event_data, default=str)[:60]}",
            expected="the whole event, so that somebody can mend it",
            hint=4,
        )
    if orders["poison"][1].event_id not in broker.got:
        raise NotYet(
            seen="the order behind the given-up entry is still held back",
            expected="its later events on their way",
            hint=3,
        )


def _judge_cured(broker: _Broker, orders: dict[str, list[DomainEvent]]) -> None:
    for name, hint in (("outage", 1), ("slow", 2)):
        if [e.event_id for e in orders[name]] != [
            one for one in broker.got if one in {e.event_id for e in orders[name]}
        ]:
            raise NotYet(
                seen=f"parked after '{TROUBLES[name]}', and still not published",
                expected="published, in the order of its stream: the broker is well again",
                hint=hint,
            )


STUCK = Exercise(
    id="15.2",
    title="Retry, or give up",
    task="""
The broker was down, and some entries are parked. Write `tend(outbox, dead_letters)`, which goes
through them. What failed with a **ConnectionError** or a **TimeoutError** (`entry.last_error`
starts with the name) is to be tried again. Everything else will never succeed: file it in the
dead letters and let the rest of its stream go on.
""",
    answer="tend",
    stub='''
async def tend(outbox, dead_letters):
    """Requeue what another try can cure; give up the rest, and keep it."""
    ...
''',
    hints=(
        """
`await outbox.get_failed_events()` lists the parked entries, and `await outbox.requeue(entry.id)`
sends one of them on its way again.
""",
        """
`entry.last_error` is text such as "ValueError: too large".
`entry.last_error.startswith(("ConnectionError", "TimeoutError"))` tells whether another try can
help.
""",
        """
A parked entry holds its stream back until it is requeued or counts as published. So giving one up
ends with `await outbox.mark_published(entry.id)`.
""",
        """
Before that, file it: `await dead_letters.add_failed_event(entry.event_id, "outbox",
entry.event_type, json.loads(entry.event_data), Exception(entry.last_error))`. The entry's
`event_data` is JSON text.
""",
    ),
    solutions=(
        """
import json


async def tend(outbox, dead_letters):
    for entry in await outbox.get_failed_events():
        if entry.last_error.startswith(("ConnectionError", "TimeoutError")):
            await outbox.requeue(entry.id)
        else:
            data, error = json.loads(entry.event_data), Exception(entry.last_error)
            await dead_letters.add_failed_event(
                entry.event_id, "outbox", entry.event_type, data, error
            )
            await outbox.mark_published(entry.id)
""",
        """
import json


async def give_up(entry, outbox, dead_letters):
    known = {"event_id": entry.event_id, "event_type": entry.event_type}
    await dead_letters.add_failed_event(
        **known,
        projection_name="carrier",
        event_data=json.loads(entry.event_data),
        error=RuntimeError(entry.last_error),
        retry_count=entry.retry_count,
    )
    await outbox.mark_published(entry.id)


async def tend(outbox, dead_letters):
    parked = await outbox.get_failed_events(limit=1000)
    curable = {"ConnectionError", "TimeoutError"}
    for entry in parked:
        if entry.last_error.split(":")[0] in curable:
            await outbox.requeue(entry.id)
        else:
            await give_up(entry, outbox, dead_letters)
""",
    ),
    wrong=(
        Wrong(
            """
async def tend(outbox, dead_letters):
    for entry in await outbox.get_failed_events():
        await outbox.mark_published(entry.id)
""",
            hint=1,
        ),
        Wrong(
            """
async def tend(outbox, dead_letters):
    for entry in await outbox.get_failed_events():
        await outbox.requeue(entry.id)
""",
            hint=2,
        ),
        Wrong(
            """
async def tend(outbox, dead_letters):
    for entry in await outbox.get_failed_events():
        if entry.last_error.startswith(("ConnectionError", "TimeoutError")):
            await outbox.requeue(entry.id)
        else:
            await outbox.mark_published(entry.id)
""",
            hint=4,
        ),
        Wrong(
            """
import json


async def tend(outbox, dead_letters):
    for entry in await outbox.get_failed_events():
        if entry.last_error.startswith(("ConnectionError", "TimeoutError")):
            await outbox.requeue(entry.id)
        else:
            data, error = json.loads(entry.event_data), Exception(entry.last_error)
            await dead_letters.add_failed_event(
                entry.event_id, "outbox", entry.event_type, data, error
            )
""",
            hint=3,
        ),
        Wrong(
            """
async def tend(outbox, dead_letters):
    for entry in await outbox.get_failed_events():
        if entry.last_error.startswith(("ConnectionError", "TimeoutError")):
            await outbox.requeue(entry.id)
        else:
            error = Exception(entry.last_error)
            await dead_letters.add_failed_event(
                entry.event_id, "outbox", entry.event_type, entry.event_data, error
            )
            await outbox.mark_published(entry.id)
""",
            hint=4,
        ),
        Wrong(
            """
async def tend(outbox, dead_letters):
    for entry in await outbox.get_failed_events():
        if entry.last_error.startswith("ConnectionError"):
            await outbox.requeue(entry.id)
        else:
            await outbox.mark_published(entry.id)
""",
            hint=2,
        ),
    ),
    check=_check_stuck,
    time_limit_seconds=2,
)
