"""Small values and aliases used everywhere."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self
from uuid import UUID

AggregateId = UUID
EventId = UUID
TenantId = UUID | None
CorrelationId = UUID
CausationId = UUID | None


@dataclass(frozen=True, order=True, slots=True)
class Position:
    """Where an event stands in the global feed, and the token to resume reading after it.

    Positions of one log are ordered as the feed delivers its events. Store one as text with
    `str(position)` and read it back with `Position.parse`. The two numbers, the transaction that
    stored the event and a sequence number, are PostgreSQL's affair: the sequence alone says
    nothing about the order in which events become visible.
    """

    transaction: int
    sequence: int

    START: ClassVar["Position"]

    def __post_init__(self) -> None:
        if self.transaction < 0 or self.sequence < 0:
            raise ValueError(f"A position has no negative part: {self}")

    def __str__(self) -> str:
        return f"{self.transaction}:{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The position that `str` wrote. ValueError for any other text."""
        transaction, separator, sequence = text.partition(":")
        if not (separator and transaction.isdecimal() and sequence.isdecimal()):
            raise ValueError(f"Not a position: {text!r}. It looks like '7390:15'.")
        return cls(int(transaction), int(sequence))


Position.START = Position(0, 0)


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
