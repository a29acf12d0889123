"""Exercise 2.1: an event for things that customers send back."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from eventsource import DomainEvent, get_event_class_or_none
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

SKUS = ["tea-1", "mug-4", "tea-1"]


async def _check_returns(answer: Callable[..., Any]) -> None:
    if get_event_class_or_none("ItemsReturned") is not answer:
        raise NotYet(
            seen="a class that the registry does not know as 'ItemsReturned'",
            expected="that a stored event finds its class",
            hint=1,
        )
    event = _accepted(answer, skus=SKUS, reason="damaged")
    _has_what_was_said(event)
    for what, fields in {
        "no articles": {"skus": [], "reason": "damaged"},
        "the reason 'it rained'": {"skus": SKUS, "reason": "it rained"},
    }.items():
        _refused(answer, what, fields)
    _cannot_be_changed(event)
    if type(event).model_validate_json(event.model_dump_json()) != event:
        raise NotYet(seen="an event that JSON changes", expected="the same event", hint=2)


def _accepted(answer: Callable[..., Any], **fields: Any) -> DomainEvent:
    try:
        event = answer(aggregate_id=uuid4(), **fields)
    except ValidationError as error:
        problem = error.errors()[0]
        field = problem["loc"][0] if problem["loc"] else "the event"
        raise NotYet(
            seen=f"{field}: {problem['msg']}",
            expected=f"ItemsReturned(aggregate_id=..., skus={SKUS}, reason='damaged')",
            hint=1 if field == "aggregate_type" else 2,
        ) from error
    if not isinstance(event, DomainEvent) or event.aggregate_type != "Order":
        raise NotYet(seen="no event about an 'Order'", expected="aggregate_type 'Order'", hint=1)
    return event


def _has_what_was_said(event: DomainEvent) -> None:
    skus, reason = getattr(event, "skus", ()), getattr(event, "reason", None)
    if sorted(skus) != sorted(SKUS):
        raise NotYet(
            seen=f"{len(skus)} articles", expected="three: the customer sent tea twice", hint=4
        )
    if getattr(reason, "value", reason) != "damaged":
        raise NotYet(seen=f"the reason {reason!r}", expected="'damaged'", hint=2)


def _refused(answer: Callable[..., Any], what: str, fields: dict[str, Any]) -> None:
    try:
        answer(aggregate_id=uuid4(), **fields)
    except ValidationError:
        return
    raise NotYet(seen=f"a return with {what}", expected="a ValidationError", hint=3)


def _cannot_be_changed(event: DomainEvent) -> None:
    for name in ("skus", "reason"):
        try:
            setattr(event, name, getattr(event, name))
        except ValidationError:
            continue
        raise NotYet(seen=f"{name} can be set again", expected="a frozen event", hint=4)
    skus = event.skus  # type: ignore[attr-defined]  # the learner's own field
    if any(hasattr(skus, way) for way in ("append", "add", "update")):
        raise NotYet(
            seen=f"skus is a {type(skus).__name__}, to which anybody can add an article",
            expected="a collection that nobody can change",
            hint=4,
        )


def _answer(
    skus: str = "Annotated[tuple[str, ...], Field(min_length=1)]",
    reason: str = 'Literal["damaged", "wrong item", "changed mind"]',
    decorator: str = "@register_event\n",
    head: str = "from typing import Literal\n\n\n",
) -> str:
    return (
        f"{head}{decorator}class ItemsReturned(DomainEvent):\n"
        f'    aggregate_type: str = "Order"\n    skus: {skus}\n    reason: {reason}\n'
    )


RETURNS = Exercise(
    id="2.1",
    title="Model a return",
    task="""
A customer sends things back. Write the event `ItemsReturned`, about an order. `skus` are the
numbers of the articles, at least one, and the same number as often as it was sent. `reason` is one
of `"damaged"`, `"wrong item"` and `"changed mind"`. It will be stored and read again, and nobody
may change it, nor what is in it.
""",
    answer="ItemsReturned",
    stub='''
class ItemsReturned(DomainEvent):
    """A customer sent articles of an order back."""
''',
    hints=(
        """
Two things make a class an event of the shop: `@register_event` above it, and
`aggregate_type: str = "Order"` in it.
""",
        """
Two fields of your own: `skus` and `reason`, under these names. `ItemsReturned(aggregate_id=...,
skus=["tea-1"], reason="damaged")` must work.
""",
        """
Refuse what cannot have happened: a return of nothing, with `Field(min_length=1)`, and a reason that
does not exist, with an `Enum` like `Reason` or with `typing.Literal`.
""",
        """
A frozen event can hold a list that is not frozen, and a set forgets that an article came twice. Use
`tuple[str, ...]`.
""",
    ),
    solutions=(
        _answer(),
        """
class ReturnReason(Enum):
    DAMAGED = "damaged"
    WRONG_ITEM = "wrong item"
    CHANGED_MIND = "changed mind"


@register_event
class ItemsReturned(DomainEvent):
    aggregate_type: str = Field("Order", frozen=True)
    skus: tuple[str, ...] = Field(min_length=1)
    reason: ReturnReason
""",
    ),
    wrong=(
        Wrong(_answer(decorator=""), hint=1),
        Wrong(_answer(reason="str").replace("reason", "why"), hint=2),
        Wrong(
            "from pydantic import model_validator\n\n\n"
            + _answer(head="", reason="str")
            + """
    @model_validator(mode="after")
    def is_whole(self):
        if len(self.skus) != len(set(self.skus)):
            raise ValueError("an article twice")
        return self
""",
            hint=2,
        ),
        Wrong(_answer(skus="tuple[str, ...]"), hint=3),
        Wrong(_answer(reason="str"), hint=3),
        Wrong(_answer(skus="Annotated[list[str], Field(min_length=1)]"), hint=4),
        Wrong(_answer(skus="Annotated[frozenset[str], Field(min_length=1)]"), hint=4),
    ),
    check=_check_returns,
)
