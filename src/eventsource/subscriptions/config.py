"""What one subscription reads, and what it does when an event fails."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from eventsource.events.base import DomainEvent
from eventsource.exceptions import SubscriptionConfigError
from eventsource.retries import RetryPolicy
from eventsource.types import Position


@dataclass(frozen=True, slots=True)
class SubscriptionConfig:
    """SubscriptionConfigError, naming the setting, for a value that cannot work.

    `start_from` is for the first start alone: "beginning", "end", or after a position. A checkpoint
    always wins; reset it to read again.

    Events are read in pages of `batch_size`. `event_types` are classes, which stand for their
    subclasses, and replace what the subscriber's `subscribed_to` says; all three filters are part
    of the query. With `tenant_id`, events without a tenant are left out as well.

    A handler gets `processing_timeout_seconds` for each call and the tries of `retry`. An event
    that fails in all of them is filed as a dead letter and the subscription goes on; it stops
    instead if `continue_on_error` is False or the manager has no place for dead letters. A
    projection brings its own `retry` and takes the time it takes.

    `poll_interval_seconds` is the longest time between two looks at the log.
    """

    start_from: Literal["beginning", "end"] | Position = "beginning"
    batch_size: int = 100
    event_types: Sequence[type[DomainEvent]] | None = None
    aggregate_types: Sequence[str] | None = None
    tenant_id: UUID | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    processing_timeout_seconds: float = 30.0
    continue_on_error: bool = True
    poll_interval_seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.start_from not in ("beginning", "end") and not isinstance(
            self.start_from, Position
        ):
            raise SubscriptionConfigError(
                f"start_from is 'beginning', 'end' or a Position, not {self.start_from!r}. Where "
                "there is a checkpoint, a subscription goes on from it anyway."
            )
        if not isinstance(self.batch_size, int):
            raise SubscriptionConfigError(
                f"batch_size is a number of events, not {self.batch_size!r}"
            )
        for name in ("batch_size", "processing_timeout_seconds", "poll_interval_seconds"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and value > 0):  # NaN is not
                raise SubscriptionConfigError(f"{name} must be more than 0, not {value!r}")
        self._check_filters()

    def _check_filters(self) -> None:
        if isinstance(self.aggregate_types, str):
            raise SubscriptionConfigError(
                f"aggregate_types is a collection of names: [{self.aggregate_types!r}]"
            )
        if isinstance(self.event_types, type):
            raise SubscriptionConfigError(
                f"event_types is a collection of classes: [{self.event_types.__name__}]"
            )
        for one in self.event_types or ():
            if not (isinstance(one, type) and issubclass(one, DomainEvent)):
                raise SubscriptionConfigError(f"event_types holds {one!r}, which is no event class")


def type_names(event_classes: Sequence[type[DomainEvent]] | None) -> frozenset[str] | None:
    """The event types that are stored for these classes and their subclasses; None for all."""
    if event_classes is None or DomainEvent in event_classes:
        return None
    return frozenset(
        str(cls.model_fields["event_type"].default or cls.__name__)
        for event_class in event_classes
        for cls in _family(event_class)
    )


def _family(event_class: type[DomainEvent]) -> Iterator[type[DomainEvent]]:
    yield event_class
    for subclass in event_class.__subclasses__():
        yield from _family(subclass)
