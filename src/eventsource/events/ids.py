"""Ids that sort by the time they were made, and the id of a text that is no event."""

import json
import os
import threading
import time
from uuid import NAMESPACE_OID, UUID, uuid5


class _Clock:
    """Milliseconds in 48 bits and their fraction in 12, each reading greater than the last:
    method 3 of RFC 9562, section 6.2."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def read(self) -> int:
        milliseconds, rest = divmod(time.time_ns(), 1_000_000)
        with self._lock:
            self._last = max(self._last + 1, milliseconds << 12 | (rest << 12) // 1_000_000)
            return self._last


_clock = _Clock()


def uuid7() -> UUID:
    """A version 7 UUID (RFC 9562), greater than all this process made before.

    For events whose ids tell their order, and whose index grows at one end: in a base class of
    your own, `event_id: UUID = Field(default_factory=uuid7)`.
    """
    high, low = divmod(_clock.read(), 1 << 12)
    random_part = int.from_bytes(os.urandom(8), "big") >> 2
    return UUID(int=high << 80 | 0x7 << 76 | low << 64 | 0b10 << 62 | random_part)


def event_id_in(text: str, place: str) -> UUID:
    """What the text of an event that cannot be read says; if that is no id, one made from the
    place, so that it is the same whenever the text is read there."""
    try:
        return UUID(json.loads(text)["event_id"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return uuid5(NAMESPACE_OID, place)
