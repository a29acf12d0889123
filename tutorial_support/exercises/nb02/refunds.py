"""Exercise 2.2: a refund that is exact, and knows what it is for."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from eventsource import DomainEvent
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

AMOUNT = Decimal("12345678901234567.89")
IMPOSSIBLE = (Decimal("-5.00"), Decimal("0.00"), Decimal("0.001"))


class ParcelCameBack(DomainEvent):
    """What the check gives as the cause; nothing stores it, so it needs no registry."""

    aggregate_type: str = "Order"


async def _check_refunds(refund: Callable[[DomainEvent, Decimal], Any]) -> None:
    earlier = ParcelCameBack(aggregate_id=uuid4())
    cause = ParcelCameBack(aggregate_id=uuid4()).with_causation(earlier)
    event = refund(cause, AMOUNT)
    _is_about_the_order(event, cause)
    _is_linked(event, cause)
    _is_exact(event)
    for amount in IMPOSSIBLE:
        _refused(event, amount)


def _is_about_the_order(event: Any, cause: DomainEvent) -> None:
    if not isinstance(event, DomainEvent) or event.event_type != "RefundIssued":
        raise NotYet(seen=f"{event!r}", expected="an event of the class RefundIssued", hint=1)
    if (event.aggregate_id, event.aggregate_type) != (cause.aggregate_id, "Order"):
        raise NotYet(
            seen=f"a refund of {event.aggregate_type} {str(event.aggregate_id)[:8]}",
            expected="a refund of the order to which the cause happened",
            hint=1,
        )


def _is_linked(event: DomainEvent, cause: DomainEvent) -> None:
    linked = {
        "its causation_id is not the id of the cause": event.is_caused_by(cause),
        "it belongs to another story than the cause": event.is_correlated_with(cause),
        "it has the event_id of the cause": event.event_id != cause.event_id,
    }
    for seen, ok in linked.items():
        if not ok:
            raise NotYet(seen=seen, expected="an event that names its cause and story", hint=2)


def _is_exact(event: DomainEvent) -> None:
    stored = type(event).model_validate_json(event.model_dump_json())
    for when, amount in {"": event, ", read from JSON": stored}.items():
        value = getattr(amount, "amount", None)
        if type(value) is not Decimal or value != AMOUNT:
            raise NotYet(
                seen=f"a refund of {AMOUNT} with the amount {value!r}{when}",
                expected=f"amount={AMOUNT!r}",
                hint=3,
            )


def _refused(event: DomainEvent, amount: Decimal) -> None:
    try:
        type(event).model_validate({**event.model_dump(), "amount": amount})
    except ValidationError:
        return
    raise NotYet(seen=f"a refund of {amount}", expected="a ValidationError", hint=4)


def _answer(
    amount: str = "Annotated[Decimal, Field(gt=0, decimal_places=2)]",
    event: str = "RefundIssued(aggregate_id=cause.aggregate_id, amount=amount)",
    result: str = "event.with_causation(cause)",
) -> str:
    return f"""
@register_event
class RefundIssued(DomainEvent):
    aggregate_type: str = "Order"
    amount: {amount}


def refund(cause, amount):
    event = {event}
    return {result}
"""


REFUNDS = Exercise(
    id="2.2",
    title="Refund to the cent, and know why",
    task="""
Write the event `RefundIssued`, with its `amount`, and a function `refund(cause, amount)` that
makes one. `cause` is the event that led to the refund, for instance a return; the refund is about
the same order. Whoever finds a refund must find its cause and its story. Amounts are exact, above
zero, and have at most two decimal places, **whoever makes the event**.
""",
    answer="refund",
    stub='''
@register_event
class RefundIssued(DomainEvent):
    aggregate_type: str = "Order"
    # what it says


def refund(cause, amount):
    """The RefundIssued that the event `cause` led to."""
    ...
''',
    hints=(
        """
Return `RefundIssued(...)`. The cause knows which order it is: `cause.aggregate_id`.
""",
        """
`causation_id` is the id of the cause, `correlation_id` that of the whole story.
`event.with_causation(cause)` returns a copy that has both; do not forget to use the copy.
""",
        """
Only `Decimal` counts cents exactly. Look for a `float` on the way, also one that is made and turned
back.
""",
        """
Let the class refuse what cannot have happened, not the function: others will make refunds too.
`Annotated[Decimal, Field(gt=0, decimal_places=2)]` is the type of `PaidExactly`.
""",
    ),
    solutions=(
        _answer(),
        """
from pydantic import field_validator


@register_event
class RefundIssued(DomainEvent):
    aggregate_type: str = "Order"
    amount: Decimal

    @field_validator("amount")
    @classmethod
    def is_money(cls, value):
        if value <= 0 or value != round(value, 2):
            raise ValueError("an amount is above zero and has at most two decimal places")
        return value


def refund(cause, amount):
    return RefundIssued(
        aggregate_id=cause.aggregate_id,
        amount=amount,
        causation_id=cause.event_id,
        correlation_id=cause.correlation_id,
    )
""",
    ),
    wrong=(
        Wrong(_answer(event="RefundIssued(aggregate_id=ids(), amount=amount)"), hint=1),
        Wrong(_answer(result="event"), hint=2),
        Wrong(
            _answer(result='event.model_copy(update={"causation_id": cause.event_id})'),
            hint=2,
        ),
        Wrong(_answer(amount="Annotated[float, Field(gt=0)]"), hint=3),
        Wrong(_answer(amount="Decimal"), hint=4),
        Wrong(_answer(amount="Annotated[Decimal, Field(ge=0, decimal_places=2)]"), hint=4),
    ),
    check=_check_refunds,
)
