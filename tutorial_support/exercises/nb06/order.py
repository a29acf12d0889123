"""Exercise 6.1: a list of orders that comes out right in whatever order it is fed."""

import asyncio
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import permutations
from typing import Any
from uuid import UUID

from eventsource import DomainEvent
from tutorial_support.domain import OrderCreated, OrderShipped
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

FIRST, SECOND = UUID(int=61), UUID(int=62)
Rows = dict[UUID, dict[str, Any]]
Project = Callable[[Rows, DomainEvent], object]


def _created(order: UUID, customer: str, total: str) -> OrderCreated:
    return OrderCreated(aggregate_id=order, customer_id=customer, total=Decimal(total))


def _shipped(order: UUID, version: int, number: str) -> OrderShipped:
    return OrderShipped(aggregate_id=order, aggregate_version=version, tracking_number=number)


EVENTS = (
    _created(FIRST, "Ada", "12.50"),
    _shipped(FIRST, 2, "T-2"),
    _shipped(FIRST, 3, "T-3"),
    _shipped(FIRST, 4, "T-4"),
    _created(SECOND, "Grace", "7.00"),
)
RIGHT = {
    FIRST: {"customer_id": "Ada", "total": Decimal("12.50"), "tracking_number": "T-4"},
    SECOND: {"customer_id": "Grace", "total": Decimal("7.00"), "tracking_number": None},
}


async def _check_order(project: Project) -> None:
    _compare(project, EVENTS, 1)
    first, shipped, again, last, second = EVENTS
    _compare(project, (second, shipped, again, last, first), 1)
    _compare(project, (first, last, again, shipped, second), 2)
    _compare(project, (last, first, shipped, again, second), 3)
    for arrival in permutations(EVENTS):
        _compare(project, arrival, 3)
        await asyncio.sleep(0)
    for arrival in permutations(EVENTS):
        _compare(project, (*arrival, *arrival[:3]), 4)
        await asyncio.sleep(0)


def _compare(project: Project, arrival: Iterable[DomainEvent], hint: int) -> None:
    rows: Rows = {}
    said = [(event.event_type, event.aggregate_version, event.aggregate_id) for event in arrival]
    names = ", ".join(f"{kind} {version}" for kind, version, order in said if order == FIRST)
    for event in arrival:
        try:
            project(rows, event)
        except LookupError as error:
            raise NotYet(
                seen=f"{type(error).__name__} when the first order's events arrived as {names}",
                expected="a row that waits for what is still on its way",
                hint=1,
            ) from error
    for order, right in RIGHT.items():
        row = rows.get(order, {})
        for name, value in right.items():
            if row.get(name) != value:
                raise NotYet(
                    seen=f"{name} = {row.get(name)!r} after {names}",
                    expected=f"{name} = {value!r}, in whatever order the events arrive",
                    hint=hint if name == "tracking_number" else max(hint, 3),
                )


ORDER = Exercise(
    id="6.1",
    title="A projection fed out of order",
    task="""
The feed keeps the order of the log, but a message broker may not. Here an order can be shipped
several times, because parcels come back, and the events arrive **in any order and some of them
twice**. Write `project(rows, event)` so that in the end `rows` has, under each `aggregate_id`, a
dict with `customer_id` and `total` from `OrderCreated`, and the `tracking_number` of the *latest*
`OrderShipped` (`None` if there was none). It may keep more in the dict. What tells you which
event is later is its `aggregate_version`.
""",
    answer="project",
    stub='''
def project(rows, event):
    """Change `rows`, a dict of dicts, as the event says."""
    ...
''',
    hints=(
        """
`OrderShipped` may come before `OrderCreated`: make the row when you first hear of the order,
`rows.setdefault(event.aggregate_id, {...})`, whatever you hear.
""",
        """
The event that arrives last is not the one that happened last. Keep the version beside the tracking
number, and let only a higher version replace it.
""",
        """
One version for the whole row drops `OrderCreated` when it comes after `OrderShipped`. Guard each
fact by its own version: nothing but another `OrderShipped` competes with a tracking number.
""",
        """
A second delivery must change nothing: set values, never add to them, and compare versions with `>`.
Or keep the events of each order by version, and fold them again in that order.
""",
    ),
    solutions=(
        """
def project(rows, event):
    row = rows.setdefault(
        event.aggregate_id,
        {"customer_id": None, "total": None, "tracking_number": None, "shipped_version": 0},
    )
    if isinstance(event, OrderCreated):
        row.update(customer_id=event.customer_id, total=event.total)
    elif event.aggregate_version > row["shipped_version"]:
        row.update(tracking_number=event.tracking_number, shipped_version=event.aggregate_version)
""",
        """
def project(rows, event):
    seen = rows.setdefault(event.aggregate_id, {}).get("seen", {})
    seen[event.aggregate_version] = event
    row = {"seen": seen, "tracking_number": None}
    for version in sorted(seen):
        row |= seen[version].model_dump(include={"customer_id", "total", "tracking_number"})
    rows[event.aggregate_id] = row
""",
    ),
    wrong=(
        Wrong(
            """
def project(rows, event):
    if isinstance(event, OrderCreated):
        rows[event.aggregate_id] = {"customer_id": event.customer_id, "total": event.total}
    else:
        rows[event.aggregate_id]["tracking_number"] = event.tracking_number
""",
            hint=1,
        ),
        Wrong(
            """
def project(rows, event):
    if isinstance(event, OrderCreated):
        rows[event.aggregate_id] = {"customer_id": event.customer_id, "total": event.total}
    elif event.aggregate_id in rows:
        rows[event.aggregate_id]["tracking_number"] = event.tracking_number
""",
            hint=1,
        ),
        Wrong(
            """
def project(rows, event):
    row = rows.setdefault(event.aggregate_id, {"tracking_number": None})
    if isinstance(event, OrderCreated):
        row.update(customer_id=event.customer_id, total=event.total)
    else:
        row["tracking_number"] = event.tracking_number
""",
            hint=2,
        ),
        Wrong(
            """
def project(rows, event):
    row = rows.setdefault(event.aggregate_id, {"version": 0, "tracking_number": None})
    if event.aggregate_version <= row["version"]:
        return
    row["version"] = event.aggregate_version
    row.update(event.model_dump(include={"customer_id", "total", "tracking_number"}))
""",
            hint=3,
        ),
        Wrong(
            """
def project(rows, event):
    row = rows.setdefault(event.aggregate_id, {"numbers": [], "tracking_number": None})
    if isinstance(event, OrderCreated):
        row.update(customer_id=event.customer_id, total=row.get("total", 0) + event.total)
    else:
        row["numbers"].append((event.aggregate_version, event.tracking_number))
        row["tracking_number"] = max(row["numbers"])[1]
""",
            hint=4,
        ),
    ),
    check=_check_order,
)
