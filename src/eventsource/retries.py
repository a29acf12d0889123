"""How often a handler is tried, and how its error is told from others."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID


def _always(error: Exception) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a handler is tried, and how long to wait in between: the delay grows by `factor`
    with each failure up to `max_delay_seconds`, give or take the share `jitter` of it, from 0 to 1.
    An error that `retry_on` says no to is not tried again: another try cannot cure it.

    Later events wait meanwhile: that is what keeps them in order.
    """

    max_tries: int = 3
    first_delay_seconds: float = 0.1
    factor: float = 2.0
    jitter: float = 0.1
    retry_on: Callable[[Exception], bool] = _always
    max_delay_seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.max_tries < 1:
            raise ValueError(f"max_tries must be 1 or more, not {self.max_tries}")
        if min(self.first_delay_seconds, self.max_delay_seconds) < 0 or self.factor < 1:
            raise ValueError(
                "first_delay_seconds and max_delay_seconds must be 0 or more and factor 1 or more"
            )
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter must be from 0 to 1, not {self.jitter}")

    def delay_seconds(self, failures: int) -> float:
        """The wait after so many failures."""
        delay = self.first_delay_seconds * self.factor ** min(failures - 1, 60)
        spread = random.uniform(-self.jitter, self.jitter)  # noqa: S311  # spreads load, no secret
        return min(delay, self.max_delay_seconds) * (1 + spread)


class HandlerFailedError(Exception):
    """Carries a handler's error past the code that must not take other errors for one."""

    def __init__(self, error: Exception, event_id: UUID) -> None:
        super().__init__(str(error))
        self.error, self.event_id = error, event_id


@contextmanager
def raising_the_handlers_error() -> Iterator[None]:
    try:
        yield
    except HandlerFailedError as failure:
        raise failure.error from failure.error.__cause__
