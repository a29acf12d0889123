"""Waiting before another attempt, so that those who collided do not meet again."""

import asyncio
import random


async def back_off(attempt: int, first_seconds: float, longest_seconds: float) -> None:
    """Any time up to `first_seconds`, doubled with each attempt from 0 on.

    Full jitter, as Marc Brooker measured it: "Exponential Backoff and Jitter", AWS Architecture
    Blog (2015).
    """
    longest = min(longest_seconds, first_seconds * 2.0**attempt)
    await asyncio.sleep(random.uniform(0, longest))  # noqa: S311  # spreads load, keeps no secret
