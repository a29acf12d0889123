"""Exercise 3.2: a cancellation that has a deadline."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from eventsource import AggregateRoot, DomainEvent
from tutorial_support.domain import OrderCreated, OrderShipped
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

LONG_AGO = datetime(2020, 2, 28, 12, tzinfo=UTC)
DAY = timedelta(hours=24)
Factory = Callable[[UUID], AggregateRoot[Any]]


async def _check_cancellation(cancellable: Factory) -> None:
    _is_cancelled(cancellable)
    _asks_the_argument(cancellable)
    _keeps_the_deadline(cancellable)
    _needs_an_order_that_waits(cancellable)


def _order(cancellable: Factory, created_at: datetime, *later: DomainEvent) -> Any:
    """An order that was loaded, as after a restart."""
    order = cancellable(uuid4())
    created = OrderCreated(
        aggregate_id=order.aggregate_id,
        customer_id="cust-1",
        total=Decimal(20),
        occurred_at=created_at,
    )
    ours = {"aggregate_id": order.aggregate_id}
    order.load_from_history(
        event.model_copy(update={**ours, "aggregate_version": number})
        for number, event in enumerate([created, *later], 1)
    )
    return order


def _is_cancelled(cancellable: Factory) -> None:
    now = datetime.now(UTC)
    order = _order(cancellable, now - timedelta(hours=1))
    try:
        order.cancel(reason="changed mind", now=now)
    except Exception as error:
        raise NotYet(
            seen=f"an order of an hour ago, loaded from its events, was not cancelled: "
            f"{type(error).__name__}: {error}",
            expected="one event, OrderCancelled",
            hint=4,
        ) from error
    types = [event.event_type for event in order.uncommitted_events]
    again = _order(cancellable, now - timedelta(hours=1), *order.uncommitted_events)
    statuses = getattr(order.state, "status", None), getattr(again.state, "status", None)
    if types != ["OrderCancelled"] or statuses != ("cancelled", "cancelled"):
        raise NotYet(
            seen=f"events {types}; the status {statuses[0]!r}, and {statuses[1]!r} after replay",
            expected="one event, OrderCancelled, and the status 'cancelled' both times",
            hint=1,
        )


def _asks_the_argument(cancellable: Factory) -> None:
    order = _order(cancellable, LONG_AGO)
    try:
        order.cancel(reason="changed mind", now=LONG_AGO + timedelta(hours=1))
    except ValueError as error:
        raise NotYet(
            seen="an order of 2020 that nobody could cancel an hour later",
            expected="the same answer whenever the test runs",
            hint=3,
        ) from error


def _keeps_the_deadline(cancellable: Factory) -> None:
    for late, allowed in {
        DAY: True,
        DAY + timedelta(microseconds=1): False,
        30 * DAY: False,
    }.items():
        order = _order(cancellable, LONG_AGO)
        if _cancels(order, LONG_AGO + late) != allowed:
            raise NotYet(
                seen=f"a cancellation {'refused' if allowed else 'accepted'} after {late}",
                expected="accepted until 24 hours after the order, that moment included",
                hint=2,
            )


def _needs_an_order_that_waits(cancellable: Factory) -> None:
    shipped = OrderShipped(aggregate_id=uuid4(), tracking_number="T")
    before = _order(cancellable, LONG_AGO)
    before.cancel(reason="changed mind", now=LONG_AGO)
    (gone,) = before.uncommitted_events  # the answer's own event, whatever else it says
    for what, order in {
        "does not exist": cancellable(uuid4()),
        "was shipped": _order(cancellable, LONG_AGO, shipped),
        "was cancelled before": _order(cancellable, LONG_AGO, gone),
    }.items():
        try:
            accepted = _cancels(order, LONG_AGO + timedelta(hours=1))
        except (AttributeError, TypeError) as error:
            raise NotYet(
                seen=f"an order that {what}: {type(error).__name__}: {error}",
                expected="a ValueError",
                hint=5,
            ) from error
        if accepted:
            raise NotYet(seen=f"an order cancelled that {what}", expected="a ValueError", hint=5)


def _cancels(order: Any, now: datetime) -> bool:
    try:
        order.cancel(reason="changed mind", now=now)
    except ValueError:
        return False
    return True


EVENT = """
@register_event
class OrderCancelled(DomainEvent):
    aggregate_type: str = "Order"
    reason: str

"""
IMPORT = "\nfrom datetime import datetime, timedelta\n\n"
RECORD = """
        event = OrderCancelled(aggregate_id=self.aggregate_id, reason=reason)
        self.apply_event(event.with_aggregate_version(self.get_next_version()))
"""


def _answer(
    waits: str = 'if self.state is None or self.state.status != "created"',
    late: str = "now > self.state.created_at + timedelta(hours=24)",
    fold: str = 'self._state = self.state.model_copy(update={"status": "cancelled"})',
    create: str = "",
    created: str = """
        if isinstance(event, OrderCreated):
            state = self.state.model_copy(update={"created_at": event.occurred_at})
            self._state = state""",
) -> str:
    return f"""{IMPORT}{EVENT}
class CancellableState(OrderState):
    created_at: datetime | None = None


class CancellableOrder(OrderAggregate):
    def cancel(self, reason, now):
        {waits}:
            raise ValueError("only an order that waits to be shipped can be cancelled")
        if {late}:
            raise ValueError("an order can be cancelled within 24 hours")
{RECORD}{create}
    def _get_initial_state(self):
        return CancellableState()

    def _apply(self, event):
        if isinstance(event, OrderCancelled):
            {fold}
            return
        super()._apply(event){created}
"""


CANCELLATION = Exercise(
    id="3.2",
    title="Cancel within a day",
    task="""
Customers may cancel an order until 24 hours after it was created, that moment included, and only
while it waits to be shipped. Write `cancel(reason, now)`. It makes the event `OrderCancelled`, and
the order's status becomes `"cancelled"`; otherwise it raises a `ValueError`. It must also work for
an order that was loaded from its events after a restart.
""",
    answer="CancellableOrder",
    stub=f"""{EVENT}
class CancellableOrder(OrderAggregate):
    def cancel(self, reason, now):
        \"\"\"Cancel, if `now` is not too late and the order waits to be shipped.\"\"\"
        ...
""",
    hints=(
        """
Two places, as always: `cancel` makes the event and hands it to `apply_event`; `_apply` turns the
status to `"cancelled"`, and gives every other event to `super()._apply(event)`.
""",
        """
The last moment is `created_at + timedelta(hours=24)`, with `from datetime import timedelta`.
Compare with `>`, so that this very moment still counts.
""",
        """
Ask the argument `now`, never the clock: otherwise the same history gives another answer every day.
""",
        """
What a rule needs belongs in the state, and state comes from events. Write a state class with
`created_at`, return it from `_get_initial_state`, and let `_apply` take it from
`event.occurred_at` of `OrderCreated`. Something remembered in `create` is lost after a restart.
""",
        """
Not created yet (`self.state is None`), shipped, cancelled: none of these waits to be shipped. Ask
for the one status that does, before you look at the time.
""",
    ),
    solutions=(
        _answer(),
        f"""{IMPORT}{EVENT}
class CancellableState(OrderState):
    cancel_until: datetime | None = None


class CancellableOrder(DeclarativeOrder):
    def cancel(self, reason, now):
        until = self.state.cancel_until if self.state else None
        if until is None or now > until:
            raise ValueError("this order cannot be cancelled, or not any more")
        self._record(OrderCancelled, reason=reason)

    @handles(OrderCreated)
    def _created(self, event):
        super()._created(event)
        until = event.occurred_at + timedelta(days=1)
        self._state = CancellableState(**self.state.model_dump(), cancel_until=until)

    @handles(OrderShipped)
    def _shipped(self, event):
        super()._shipped(event)
        self._state = self.state.model_copy(update={{"cancel_until": None}})

    @handles(OrderCancelled)
    def _cancelled(self, event):
        change = {{"status": "cancelled", "cancel_until": None}}
        self._state = self.state.model_copy(update=change)
""",
        """
from datetime import datetime, timedelta


@register_event
class OrderCancelled(DomainEvent):
    aggregate_type: str = "Order"
    reason: str
    cancelled_at: datetime


class CancellableOrder(OrderAggregate):
    def cancel(self, reason, now):
        if self.version == 0 or self.state.status != "created":
            raise ValueError("this order does not wait to be shipped")
        if now - self.created_at > timedelta(hours=24):
            raise ValueError("too late")
        event = OrderCancelled(aggregate_id=self.aggregate_id, reason=reason, cancelled_at=now)
        self.apply_event(event.with_aggregate_version(self.get_next_version()))

    def _apply(self, event):
        match event:
            case OrderCancelled():
                self._state = self.state.model_copy(update={"status": "cancelled"})
            case _:
                super()._apply(event)
                if isinstance(event, OrderCreated):
                    self.created_at = event.occurred_at
""",
    ),
    wrong=(
        Wrong(_answer(fold="pass"), hint=1),
        Wrong(_answer(late="now >= self.state.created_at + timedelta(hours=24)"), hint=2),
        Wrong(_answer(late="(now - self.state.created_at).days > 1"), hint=2),
        Wrong(
            _answer(
                late="datetime.now(self.state.created_at.tzinfo)"
                " > self.state.created_at + timedelta(hours=24)"
            ),
            hint=3,
        ),
        Wrong(
            _answer(
                late="now > self.created_at + timedelta(hours=24)",
                create="""
    def create(self, customer_id, total):
        super().create(customer_id, total)
        self.created_at = self.uncommitted_events[-1].occurred_at

""",
                created="",
            ),
            hint=4,
        ),
        Wrong(_answer(waits='if self.state is None or self.state.status == "shipped"'), hint=5),
        Wrong(_answer(waits='if self.state.status != "created"'), hint=5),
    ),
    check=_check_cancellation,
)
