"""An exercise for tests: to double a number."""

import asyncio
from collections.abc import Callable
from typing import Any

from tutorial_support.exercises import Exercise, NotYet, Wrong

STUB = '''def double(number):
    """Return twice the number."""
    ...
'''


async def check_double(double: Callable[[int], Any]) -> None:
    if (seen := double(4)) != 8:
        raise NotYet(seen=f"double(4) is {seen!r}", expected="8", hint=2)
    await asyncio.sleep(0)


def exercise(**changes: Any) -> Exercise:
    parts: dict[str, Any] = {
        "id": "90.1",
        "title": "Double it",
        "task": "Fill in `double`.",
        "answer": "double",
        "stub": STUB,
        "hints": ("Two times.", "Use `*`."),
        "solutions": ("def double(n):\n    return n * 2", "def double(n):\n    return n + n"),
        "wrong": tuple(
            Wrong(f"def double(n):\n    return {each}", 2) for each in ("n", "n**2", "0")
        ),
        "check": check_double,
        "time_limit_seconds": 0.2,
    }
    return Exercise(**parts | changes)


def raising(error: BaseException) -> Callable[[int], Any]:
    def answer(number: int) -> Any:
        raise error

    return answer
