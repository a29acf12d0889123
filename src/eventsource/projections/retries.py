"""How often a handler is tried, and how its error is told from others."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often an event is tried, and how long to wait in between: the delay grows by `factor`
    with each failure, give or take a tenth."""

    max_tries: int = 3
    first_delay_seconds: float = 0.1
    factor: float = 2.0

    def __post_init__(self) -> None:
        if self.max_tries < 1:
            raise ValueError(f"max_tries must be 1 or more, not {self.max_tries}")
        if self.first_delay_seconds < 0 or self.factor < 1:
            raise ValueError("first_delay_seconds must be 0 or more and factor 1 or more")

    def delay_seconds(self, failures: int) -> float:
        """The wait after so many failures."""
        delay = self.first_delay_seconds * self.factor ** (failures - 1)
        return delay * random.uniform(0.9, 1.1)  # noqa: S311  # spreads load, keeps no secret


class HandlerFailedError(Exception):
    """Carries a handler's error past the code that must not take other errors for one."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def raising_the_handlers_error() -> Iterator[None]:
    try:
        yield
    except HandlerFailedError as failure:
        raise failure.error from failure.error.__cause__
