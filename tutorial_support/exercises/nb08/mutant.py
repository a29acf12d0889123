"""Exercise 8.1: a mutant that all tests of the notebook let live."""

from collections.abc import Callable
from uuid import UUID

from tutorial_support.domain import OutOfStockError, Stock
from tutorial_support.exercises.model import Exercise, NotYet, Wrong


class GreedyStock(Stock):
    """Refuses the last one. `was_asked` tells whether a test has come to the difference."""

    was_asked = False

    def reserve(self, order_id: UUID, quantity: int = 1) -> None:
        if order_id not in self.now.reserved and quantity == self.now.available:
            type(self).was_asked = True
            raise OutOfStockError(f"{quantity} wanted, {self.now.available} left")
        super().reserve(order_id, quantity)


async def _check_mutant(test_the_last_one: Callable[[type[Stock]], None]) -> None:
    try:
        test_the_last_one(Stock)
    except Exception as error:
        raise NotYet(
            seen=f"your test fails on the real Stock: {type(error).__name__}: {error}".split("\n")[
                0
            ],
            expected="a test that passes on it",
            hint=3,
        ) from error
    GreedyStock.was_asked = fails = False
    try:
        test_the_last_one(GreedyStock)
    except Exception:  # noqa: BLE001  (however it fails, the mutant is dead)
        fails = True
    asked = GreedyStock.was_asked
    if asked and fails:
        return
    raise NotYet(
        seen="the mutant refused the last ones, and your test passed"
        if asked
        else "your test never asks for exactly what is left, so the mutant lives",
        expected="a test that fails on the mutant",
        hint=2 if asked else 1,
    )


def _answer(body: str) -> str:
    return f"def test_the_last_one(stock_class):\n    {body}\n"


MUTANT = Exercise(
    id="8.1",
    title="Kill the greedy mutant",
    task="""
In this mutant of `Stock`, one character of `reserve` was changed, `>` to `>=`:

```python
if quantity >= self.now.available:
    raise OutOfStockError(f"{quantity} wanted, {self.now.available} left")
```

All five tests of this notebook pass on it. Write the test that fails on the mutant and passes on
`Stock`. It gets the class as its argument, as the others do.
""",
    answer="test_the_last_one",
    stub='''
def test_the_last_one(stock_class):
    """Passes on Stock, and fails on the mutant."""
    ...
''',
    hints=(
        """
For which quantity do `>` and `>=` differ? Five packs are on the shelf after `received`.
""",
        """
Your test comes to the difference and does not look. Without `then` nothing is compared: say which
event must follow.
""",
        """
Ask what the *real* stock does when somebody wants exactly what is left: it reserves it. A test
states what is right.
""",
    ),
    solutions=(
        _answer(
            "given(stock_class, received).when(lambda s: s.reserve(ann, 5)).then(reserved(ann, 5))"
        ),
        """
def test_the_last_one(stock_class):
    stock = stock_class(shelf)
    stock.receive(1)
    stock.reserve(bob)
    assert stock.now.available == 0
""",
    ),
    wrong=(
        Wrong(
            _answer(
                "given(stock_class, received).when(lambda s: s.reserve(ann, 4))"
                ".then(reserved(ann, 4))"
            ),
            hint=1,
        ),
        Wrong(
            _answer(
                "given(stock_class, received).when(lambda s: s.reserve(ann, 6))"
                ".then_raises(OutOfStockError)"
            ),
            hint=1,
        ),
        Wrong(_answer("assert stock_class.__name__ == 'Stock'"), hint=1),
        Wrong(_answer("given(stock_class, received).when(lambda s: s.reserve(ann, 5))"), hint=2),
        Wrong(
            _answer(
                "given(stock_class, received).when(lambda s: s.reserve(ann, 5))"
                ".then_raises(OutOfStockError)"
            ),
            hint=3,
        ),
    ),
    check=_check_mutant,
)
