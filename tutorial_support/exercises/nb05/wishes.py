"""Exercise 5.1: a command id that names the wish, not the attempt."""

from collections.abc import Callable
from itertools import combinations
from typing import Any
from uuid import UUID

from tutorial_support.exercises.model import Exercise, NotYet, Wrong

CARTS = ("0b5d3a52-7a3c-4c83-9a4e-d3a5a63f2a01", "0b5d3a52-7a3c-4c83-9a4e-d3a5a63f2a02")


def request(
    *, cart: str = CARTS[0], article: str = "kettle", attempt: int = 1, customer: str = "Ann"
) -> dict[str, Any]:
    return {
        "customer": customer,
        "cart_id": cart,
        "article": article,
        "attempt": attempt,
        "sent_at": f"2026-01-05T09:00:{attempt:02}Z",
    }


async def _check_wishes(command_id: Callable[[dict[str, Any]], UUID]) -> None:
    first = command_id(request())
    if not isinstance(first, UUID):
        raise NotYet(seen=f"{type(first).__name__} {first!r}", expected="a UUID", hint=1)
    for attempt in (1, 2, 3):
        if command_id(request(attempt=attempt)) != first:
            raise NotYet(
                seen=f"attempt {attempt} of the same wish got another id",
                expected="the id of the first attempt",
                hint=2,
            )
    wishes = [
        request(),
        request(cart=CARTS[1]),
        request(article="lamp"),
        request(cart=CARTS[1], article="lamp"),
    ]
    for one, other in combinations(wishes, 2):
        if command_id(one) == command_id(other):
            differ = [name for name in one if one[name] != other[name]]
            raise NotYet(
                seen=f"two wishes that differ in {' and '.join(differ)} got one id",
                expected="an id for each: the second would never be carried out",
                hint=3,
            )
    _runs_together(command_id)


def _runs_together(command_id: Callable[[dict[str, Any]], UUID]) -> None:
    """Joined without a separator, different names can give one text."""
    one = request(cart="12", article="3 lamps")
    other = request(cart="123", article=" lamps")
    try:
        together = command_id(one) == command_id(other)
    except ValueError:  # it takes the cart's id for a UUID, which has one length: nothing runs
        return
    if together:
        raise NotYet(
            seen="cart '12' with article '3 lamps' got the id of cart '123' with ' lamps'",
            expected="an id for each",
            hint=4,
        )


def _answer(body: str) -> str:
    return f"def command_id(request):\n    {body}\n"


WISHES = Exercise(
    id="5.1",
    title="Name the wish",
    task="""
An older browser of the shop sends no command id. What it does send, with every attempt, is a
dictionary such as `{"customer": "Ann", "cart_id": "0b5d3a52-…", "article": "kettle", "attempt":
1, "sent_at": "2026-01-05T09:00:01Z"}`. A cart may contain each article once, and gets a new
`cart_id` after the purchase. Make a command id from it: the same for every attempt of one wish,
on every server, and another one for every other wish.
""",
    answer="command_id",
    stub='''
def command_id(request):
    """The UUID of the wish behind this request."""
    ...
''',
    hints=(
        """
`uuid5(SHOP, text)` makes a UUID of a text: the same one of the same text, wherever it runs.
""",
        """
Leave out what differs between two attempts of one wish: the time, the number of the attempt, and
everything random.
""",
        """
Put in everything by which two wishes differ. Ann may fill a second cart, and a cart may hold two
articles.
""",
        """
Put a separator between the parts, one that is in none of them, or use a notation that keeps parts
apart, such as JSON.
""",
    ),
    solutions=(
        _answer("return uuid5(SHOP, f\"{request['cart_id']}/{request['article']}\")"),
        _answer("return uuid5(uuid5(SHOP, request['cart_id']), request['article'])"),
        _answer("return uuid5(UUID(request['cart_id']), request['article'])"),
        """
import json


def command_id(request):
    wish = {name: request[name] for name in ("customer", "cart_id", "article")}
    return uuid5(NAMESPACE_URL, json.dumps(wish, sort_keys=True))
""",
    ),
    wrong=(
        Wrong(_answer("return f\"{request['cart_id']}/{request['article']}\""), hint=1),
        Wrong(_answer("return ids()"), hint=2),
        Wrong(_answer("return uuid5(SHOP, str(request))"), hint=2),
        Wrong(_answer("return UUID(request['cart_id'])"), hint=3),
        Wrong(_answer("return uuid5(SHOP, request['customer'] + request['article'])"), hint=3),
        Wrong(_answer("return uuid5(SHOP, request['cart_id'] + request['article'])"), hint=4),
    ),
    check=_check_wishes,
)
