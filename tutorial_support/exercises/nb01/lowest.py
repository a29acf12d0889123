"""Exercise 1.1: another question to the same facts: how low did the stock get?"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tutorial_support.exercises.model import Exercise, NotYet, Wrong

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
SIGNS = {"GoodsReceived": 1, "ItemsSold": -1, "ItemsReturned": 1, "GoodsLost": -1}

ONE_PRODUCT = [
    ("soap", "GoodsReceived", 40),
    ("soap", "ItemsSold", 12),
    ("soap", "ItemsSold", 20),
    ("soap", "GoodsReceived", 20),
]
TWO_PRODUCTS = [
    ("soap", "GoodsReceived", 30),
    ("brush", "GoodsReceived", 9),
    ("soap", "ItemsSold", 10),
    ("brush", "ItemsSold", 2),
    ("soap", "GoodsReceived", 5),
]
ALL_KINDS = [
    ("soap", "GoodsReceived", 30),
    ("soap", "ItemsSold", 20),
    ("soap", "ItemsReturned", 6),
    ("soap", "GoodsLost", 9),
    ("soap", "GoodsReceived", 4),
]


async def _check_lowest(lowest_stock: Callable[[list[dict[str, Any]], str], int]) -> None:
    def ask(history: list[tuple[str, str, int]], product: str) -> tuple[Any, list[int]]:
        levels = _levels(history, product)
        return lowest_stock(_events(history), product), levels

    answer, levels = ask(ONE_PRODUCT, "soap")
    if answer != min(levels):
        _not_yet(answer, levels, hint=2 if answer == 0 else 1)
    for product in ("soap", "brush"):
        answer, levels = ask(TWO_PRODUCTS, product)
        if answer != min(levels):
            _not_yet(answer, levels, hint=3)
    answer, levels = ask(ALL_KINDS, "soap")
    if answer != min(levels):
        _not_yet(answer, levels, hint=4)


def _not_yet(answer: object, levels: list[int], hint: int) -> None:
    told = ", ".join(map(str, levels))
    raise NotYet(
        seen=f"{answer!r} for a product whose stock was {told}",
        expected=f"{min(levels)}",
        hint=hint,
    )


def _events(history: list[tuple[str, str, int]]) -> list[dict[str, Any]]:
    return [
        {
            "product": product,
            "event_type": event_type,
            "occurred_at": MONDAY + timedelta(hours=number),
            "quantity": quantity,
            "reason": "damp" if event_type == "GoodsLost" else None,
        }
        for number, (product, event_type, quantity) in enumerate(history)
    ]


def _levels(history: list[tuple[str, str, int]], product: str) -> list[int]:
    """The stock after each event of the product."""
    changes = [SIGNS[kind] * quantity for name, kind, quantity in history if name == product]
    return [sum(changes[:number]) for number in range(1, len(changes) + 1)]


LOWEST = Exercise(
    id="1.1",
    title="How low did the stock get?",
    task="""
You want to know when to order again: how few packs were on the shelf at the worst moment? Write
`lowest_stock(events, product)`. The events are those of *all* products, in order, each with
`product`, `event_type` and `quantity`, as `facts` gives them. Answer with the lowest stock after
any event of this product.
""",
    answer="lowest_stock",
    stub='''
def lowest_stock(events, product):
    """The lowest stock of the product after any of its events."""
    ...
''',
    hints=(
        """
The last stock is one answer, the lowest another. Keep the stock after *every* event, as the table
of the fold did, and take the smallest.
""",
        """
Before the first event there was nothing on the shelf, but nobody could have bought anything yet
either. Only the levels *after* an event count.
""",
        """
The list holds the events of all products. Leave out those whose `event["product"]` is another one.
""",
        """
All four kinds of events change the stock. `after(stock, event)` of this notebook knows them, and
`itertools.accumulate(events, after, initial=0)` gives zero and then the level after each event.
""",
    ),
    solutions=(
        """
def lowest_stock(events, product):
    own = [event for event in events if event["product"] == product]
    levels = list(accumulate(own, after, initial=0))
    return min(levels[1:])
""",
        """
def lowest_stock(events, product):
    stock, lowest = 0, None
    for event in events:
        if event["product"] != product:
            continue
        grows = event["event_type"] in ("GoodsReceived", "ItemsReturned")
        stock += event["quantity"] if grows else -event["quantity"]
        lowest = stock if lowest is None else min(lowest, stock)
    return lowest
""",
    ),
    wrong=(
        Wrong(
            """
def lowest_stock(events, product):
    return fold([event for event in events if event["product"] == product])
""",
            hint=1,
        ),
        Wrong(
            """
def lowest_stock(events, product):
    own = [event for event in events if event["product"] == product]
    return min(accumulate(own, after, initial=0))
""",
            hint=2,
        ),
        Wrong(
            """
def lowest_stock(events, product):
    return min(list(accumulate(events, after, initial=0))[1:])
""",
            hint=3,
        ),
        Wrong(
            """
def lowest_stock(events, product):
    stock, levels = 0, []
    for event in events:
        if event["product"] == product:
            stock += event["quantity"] * (1 if event["event_type"] == "GoodsReceived" else -1)
            levels.append(stock)
    return min(levels)
""",
            hint=4,
        ),
    ),
    check=_check_lowest,
)
