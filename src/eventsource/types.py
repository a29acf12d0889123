"""Small values used everywhere."""

from dataclasses import dataclass
from typing import ClassVar, Self


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
