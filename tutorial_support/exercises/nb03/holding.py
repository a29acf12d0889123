"""Exercise 3.1: an aggregate with both mistakes that ruin replay."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from eventsource import AggregateRoot, DomainEvent, get_event_class
from tutorial_support.domain import OrderCreated, OrderShipped
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

REASON = "the address does not exist"


async def _check_holding(held_order: Callable[[UUID], AggregateRoot[Any]]) -> None:
    order = _order(held_order, _created())
    order.hold(REASON)
    _replay_agrees(held_order, order)
    _the_past_loads(held_order)
    _refuses(_order(held_order, _created()), "?", hint=3, seen="an order held for the reason '?'")
    shipped = OrderShipped(aggregate_id=uuid4(), tracking_number="T")
    for seen, history in {
        "an order held that does not exist": [],
        "an order held that was shipped": [_created(), shipped],
        "an order held twice": [_created(), _held(REASON)],
    }.items():
        _refuses(_order(held_order, *history), REASON, hint=4, seen=seen)


def _created() -> OrderCreated:
    return OrderCreated(aggregate_id=uuid4(), customer_id="cust-1", total=Decimal(20))


def _held(reason: str) -> DomainEvent:
    return get_event_class("OrderHeld").model_validate({"aggregate_id": uuid4(), "reason": reason})


def _order(held_order: Callable[[UUID], AggregateRoot[Any]], *history: DomainEvent) -> Any:
    order = held_order(uuid4())
    for number, event in enumerate(history, 1):
        ours = {"aggregate_id": order.aggregate_id, "aggregate_version": number}
        order.apply_event(event.model_copy(update=ours), is_new=False)
    return order


def _replay_agrees(held_order: Callable[[UUID], AggregateRoot[Any]], order: Any) -> None:
    replayed = _order(held_order, _created(), *order.uncommitted_events)
    statuses = order.state.status, replayed.state.status
    if statuses != ("on hold", "on hold"):
        raise NotYet(
            seen=f"{statuses[0]!r} after hold(), and {statuses[1]!r} after replay",
            expected="'on hold', both times",
            hint=1,
        )


def _the_past_loads(held_order: Callable[[UUID], AggregateRoot[Any]]) -> None:
    """An order was held before there was a rule about reasons."""
    try:
        status = _order(held_order, _created(), _held("?")).state.status
    except ValueError as error:
        raise NotYet(
            seen=f"an order that was held for '?' last year does not load: {error}",
            expected="that whatever has happened loads",
            hint=2,
        ) from error
    if status != "on hold":
        raise NotYet(
            seen=f"an order that was held for '?' last year is {status!r}",
            expected="'on hold'",
            hint=2,
        )


def _refuses(order: Any, reason: str, *, hint: int, seen: str) -> None:
    before = order.state
    try:
        order.hold(reason)
    except ValueError:
        if order.has_uncommitted_events or order.state != before:
            raise NotYet(
                seen="a refused hold() that leaves something behind", expected="nothing", hint=hint
            ) from None
        return
    except (AttributeError, TypeError) as error:
        seen = f"{seen}: {type(error).__name__}: {error}"
    raise NotYet(seen=seen, expected="a ValueError", hint=hint)


EVENT = """
@register_event
class OrderHeld(DomainEvent):
    aggregate_type: str = "Order"
    reason: str

"""
STATUS = 'self._state = self.state.model_copy(update={"status": "on hold"})'
RECORD = """
        event = OrderHeld(aggregate_id=self.aggregate_id, reason=reason)
        self.apply_event(event.with_aggregate_version(self.get_next_version()))"""


def _answer(
    rules: str = """
        if self.state is None or self.state.status != "created":
            raise ValueError("only an order that waits to be shipped can be held")
        if len(reason) < 5:
            raise ValueError("say why, in five letters at least")""",
    after_event: str = "",
    in_fold: str = "",
    fold: str = STATUS,
) -> str:
    return f"""{EVENT}
class HeldOrder(OrderAggregate):
    def hold(self, reason):{rules}{RECORD}{after_event}

    def _apply(self, event):
        if isinstance(event, OrderHeld):{in_fold}
            {fold}
        else:
            super()._apply(event)
"""


RULE_IN_FOLD = """
            if len(event.reason) < 5:
                raise ValueError("say why, in five letters at least")"""

HOLDING = Exercise(
    id="3.1",
    title="Mend an order on hold",
    task="""
An order with a doubtful address is put on hold until somebody has called the customer. The class
below was written in a hurry and has both mistakes of this tutorial. Mend it: `hold(reason)` turns
an order that waits to be shipped to the status `"on hold"`. Any other order, and a reason with
fewer than five letters, is refused with a `ValueError`. Orders that were held *before* there was a
rule about reasons must load.
""",
    answer="HeldOrder",
    stub=f"""{EVENT}
class HeldOrder(OrderAggregate):
    def hold(self, reason):{RECORD}
        self._state = self.state.model_copy(update={{"status": "on hold"}})

    def _apply(self, event):
        if isinstance(event, OrderHeld):{RULE_IN_FOLD}
        else:
            super()._apply(event)
""",
    hints=(
        """
After a restart only the events are left. Move the line that changes the status to where it runs for
every event, old or new: into `_apply`.
""",
        """
The fold decides nothing. Move the rule about the reason to where it is asked before anything
happens.
""",
        """
`hold` must refuse a bad reason *before* it makes the event, so that nothing is left behind.
""",
        """
Which orders can be held? Those with the status `"created"`. A new order has no state at all:
`self.state is None`. Look at how `ship` asks.
""",
    ),
    solutions=(
        _answer(),
        f"""{EVENT}
class HeldOrder(DeclarativeOrder):
    def hold(self, reason):
        status = self.state.status if self.state else "draft"
        match status, len(reason) >= 5:
            case "created", True:
                self._record(OrderHeld, reason=reason)
            case _:
                raise ValueError(f"refused: the order is {{status}}, the reason is {{reason!r}}")

    @handles(OrderHeld)
    def _on_hold(self, event):
        self._state = OrderState(**{{**self.state.model_dump(), "status": "on hold"}})
""",
    ),
    wrong=(
        Wrong(_answer(after_event=f"\n        {STATUS}", fold="pass"), hint=1),
        Wrong(_answer(in_fold=RULE_IN_FOLD), hint=2),
        Wrong(
            _answer(in_fold="\n            if len(event.reason) < 5:\n                return"),
            hint=2,
        ),
        Wrong(
            _answer(
                rules="""
        if self.state is None or self.state.status != "created":
            raise ValueError("only an order that waits to be shipped can be held")"""
            ),
            hint=3,
        ),
        Wrong(
            _answer(
                rules="""
        if len(reason) < 5:
            raise ValueError("say why, in five letters at least")"""
            ),
            hint=4,
        ),
    ),
    check=_check_holding,
)
