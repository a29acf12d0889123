"""Waiting for an effect instead of guessing how long it takes."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(
    condition: Callable[[], Awaitable[T]], *, timeout_seconds: float = 5.0, what: str = ""
) -> T: ...
@overload
async def eventually(
    condition: Callable[[], T], *, timeout_seconds: float = 5.0, what: str = ""
) -> T: ...
async def eventually(
    condition: Callable[[], T | Awaitable[T]], *, timeout_seconds: float = 5.0, what: str = ""
) -> T:
    """Ask `condition` (plain or async) until it is truthy, and return what it gave.

    Raises AssertionError with the last value seen once the time is over.
    """
    deadline, pause = time.monotonic() + timeout_seconds, 0.001
    while True:
        answer = condition()
        value: T = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        if time.monotonic() >= deadline:
            name = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(
                f"Waited {timeout_seconds:g} s for {name}; the last value was {value!r}."
            )
        await asyncio.sleep(pause)
        pause = min(2 * pause, 0.02)
