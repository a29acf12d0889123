"""What a process says about its time-outs.

Here, because whoever reads a log must be able to read them, with or without processes of its own.
"""

from eventsource.events.base import DomainEvent, UtcDatetime
from eventsource.events.registry import register_event


class TimeoutEvent(DomainEvent):
    name: str


@register_event
class ProcessTimeoutSet(TimeoutEvent):
    due_at: UtcDatetime


@register_event
class ProcessTimeoutCleared(TimeoutEvent):
    pass


@register_event
class ProcessTimedOut(TimeoutEvent):
    """What the process waited for has not happened by `due_at`."""

    due_at: UtcDatetime
