"""Exercise 8.2: one law that kills three mutants."""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from uuid import UUID, uuid5

from tutorial_support.domain import OutOfStockError, Stock, StockReserved
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

SHELF = UUID("6f1f3c0e-0000-4000-8000-000000000000")
ORDERS = [uuid5(SHELF, name) for name in ("Ann", "Bob", "Cleo")]
HISTORIES = 80


class TrueStock(Stock):
    """Another class, and the same behaviour."""

    def reserve(self, order_id: UUID, quantity: int = 1) -> None:
        super().reserve(order_id, quantity)


class StockByHearsay2(Stock):
    """State that no event explains."""

    def release(self, order_id: UUID) -> None:
        if order_id in self.now.reserved:
            super().release(order_id)
            self._state = self.now.model_copy(update={"on_hand": self.now.on_hand + 1})


class OversoldStock(Stock):
    """Forgets what is put aside when somebody asks for more."""

    def reserve(self, order_id: UUID, quantity: int = 1) -> None:
        if order_id in self.now.reserved:
            return
        if quantity > self.now.on_hand:
            raise OutOfStockError(f"{quantity} wanted, {self.now.on_hand} there")
        self._happened(StockReserved, order_id=order_id, quantity=quantity)


class OverwrittenStock(Stock):
    """A second reservation of an order takes the place of the first."""

    def reserve(self, order_id: UUID, quantity: int = 1) -> None:
        if quantity > self.now.available:
            raise OutOfStockError(f"{quantity} wanted, {self.now.available} left")
        self._happened(StockReserved, order_id=order_id, quantity=quantity)


MUTANTS: dict[type[Stock], str] = {
    StockByHearsay2: "a stock whose state has more than its events explain",
    OversoldStock: "a stock that has promised more than it has",
    OverwrittenStock: "a stock that forgot one of two reservations in its events",
}


async def _check_law(law: Callable[[Stock], object]) -> None:
    for stock in chain(_stocks(Stock), _stocks(TrueStock)):
        try:
            law(stock)
        except Exception as error:
            events = [event.event_type for event in stock.uncommitted_events]
            raise NotYet(
                seen=f"a Stock without a fault broke your law: {type(error).__name__}, "
                f"after {events or 'no event'}",
                expected="a law that every true Stock obeys",
                hint=4,
            ) from error
    for hint, (mutant, seen) in enumerate(MUTANTS.items(), 1):
        if not any(_breaks(law, stock) for stock in _stocks(mutant)):
            raise NotYet(seen=f"{seen} obeys your law", expected="a law that it breaks", hint=hint)


def _breaks(law: Callable[[Stock], object], stock: Stock) -> bool:
    try:
        law(stock)
    except Exception:  # noqa: BLE001  (however the law says no)
        return True
    return False


def _stocks(stock_class: type[Stock]) -> Iterator[Stock]:
    """The class after many random histories, the same ones on every run."""
    chance = random.Random(8)  # noqa: S311  (nothing secret)
    yield stock_class(SHELF)
    for _ in range(HISTORIES):
        stock = stock_class(SHELF)
        for _ in range(chance.randint(1, 10)):
            order, few = chance.choice(ORDERS), chance.randint(1, 4)
            with suppress(OutOfStockError):
                match chance.choice(["receive", "reserve", "reserve", "release"]):
                    case "receive":
                        stock.receive(few)
                    case "reserve":
                        stock.reserve(order, few)
                    case _:
                        stock.release(order)
        yield stock


REPLAY = """
    again = type(stock)(stock.aggregate_id)
    again.load_from_history(stock.uncommitted_events)
    assert again.state == stock.state"""
ENOUGH = """
    assert stock.now.available >= 0"""
BOOKS = """
    sign = {StockReceived: 1, StockReserved: -1, StockReleased: 1}
    counted = sum(sign[type(event)] * event.quantity for event in stock.uncommitted_events)
    assert counted == stock.now.available"""


def _answer(*parts: str) -> str:
    return "def law(stock):" + "".join(parts) + "\n"


LAW = Exercise(
    id="8.2",
    title="One law, three mutants",
    task="""
Write one law for the stock. `law(stock)` gets a stock after some random commands, with its `state`,
`now` and `uncommitted_events`, and raises an `AssertionError` if something is wrong with it. Every
true `Stock` must obey it. Three mutants must break it, and you are not told their code: one changes
state without an event, one promises more than it has, one forgets what its own events say.
""",
    answer="law",
    stub='''
def law(stock):
    """Raises AssertionError if the stock cannot be right."""
    ...
''',
    hints=(
        """
State that no event explains is found by replay: load `stock.uncommitted_events` into a fresh
`type(stock)(stock.aggregate_id)` and compare the states.
""",
        """
What is promised must be there: look at `stock.now.available`.
""",
        """
If the fold itself forgets something, replay forgets it too. You need a second opinion that adds up
the events by itself, and never asks the state: received, minus reserved, plus released.
""",
        """
A new stock has no event and no state: `stock.state` is None, and `stock.now` is an empty one. It is
right too. So are stocks in which everything is reserved.
""",
    ),
    solutions=(
        _answer(REPLAY, ENOUGH, BOOKS),
        """
def law(stock):
    on_hand, aside = 0, defaultdict(int)
    for event in stock.uncommitted_events:
        match event:
            case StockReceived(quantity=quantity):
                on_hand += quantity
            case StockReserved(order_id=order, quantity=quantity):
                aside[order] += quantity
            case StockReleased(order_id=order, quantity=quantity):
                aside[order] -= quantity
    assert sum(aside.values()) <= on_hand
    assert stock.now.on_hand == on_hand
    assert stock.now.reserved == {order: n for order, n in aside.items() if n}
""",
    ),
    wrong=(
        Wrong(_answer(ENOUGH), hint=1),
        Wrong(_answer(REPLAY), hint=2),
        Wrong(_answer(BOOKS), hint=2),
        Wrong(_answer(REPLAY, ENOUGH), hint=3),
        Wrong(_answer(REPLAY, BOOKS, "\n    assert stock.now.available > 0"), hint=4),
        Wrong(_answer("\n    assert stock.state.on_hand >= 0"), hint=4),
        Wrong(_answer("\n    assert type(stock) is Stock"), hint=4),
    ),
    check=_check_law,
)
