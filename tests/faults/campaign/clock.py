"""A wall clock that jumps at every look, for the whole of one process."""

import random
import sys
from datetime import UTC, datetime, timedelta

from eventsource.repositories import sql

LONGEST_JUMP_SECONDS = 3600.0


class WallClock:
    """Tells the truth until it `jumps`, and then anything up to an hour from it."""

    def __init__(self) -> None:
        self.jumps: random.Random | None = None

    def __call__(self) -> datetime:
        furthest = LONGEST_JUMP_SECONDS
        seconds = self.jumps.uniform(-furthest, furthest) if self.jumps else 0.0
        return datetime.now(UTC) + timedelta(seconds=seconds)


wall_clock, _true_clock = WallClock(), sql.now


def let_it_jump(seed: float) -> None:
    """Every repository of this process asks the jumping clock from now on."""
    wall_clock.jumps = random.Random(seed)
    for name, module in list(sys.modules.items()):
        if name.startswith("eventsource.") and getattr(module, "now", None) is _true_clock:
            module.now = wall_clock
