"""How many events are appended, and how many appends lose against a rival: metrics."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from eventsource.exceptions import OptimisticLockError
from eventsource.observability import ATTR_AGGREGATE_TYPE, create_meter

AppendCounter = Callable[[str, int], AbstractContextManager[None]]

_NOTHING = nullcontext()


def append_counter(enabled: bool) -> AppendCounter:
    """A context manager around an append of so many events to an aggregate of a type.

    Repeated appends count again, and so does what a caller's transaction rolls back.
    """
    meter = create_meter(enabled)
    if meter is None:
        return lambda aggregate_type, count: _NOTHING
    appended = meter.create_counter(
        "eventsource.events.appended", "{event}", "Events that a store has accepted."
    )
    conflicts = meter.create_counter(
        "eventsource.append.conflicts", "{append}", "Appends that another one was faster than."
    )

    @contextmanager
    def count(aggregate_type: str, events: int) -> Iterator[None]:
        attributes = {ATTR_AGGREGATE_TYPE: aggregate_type}
        try:
            yield
        except OptimisticLockError:
            conflicts.add(1, attributes)
            raise
        appended.add(events, attributes)

    return count
