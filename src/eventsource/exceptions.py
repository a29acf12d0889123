"""Every error of the library, in one tree under `EventSourceError`."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self
from uuid import UUID


class EventSourceError(Exception):
    """Base class: `except EventSourceError` catches whatever this library raises on purpose."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls cls(*args) with the message, which no subclass here accepts.
        return _unpickle, (type(self), self.args, self.__dict__.copy())


def _unpickle(
    cls: type[EventSourceError], args: tuple[object, ...], facts: dict[str, Any]
) -> EventSourceError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class EventStoreError(EventSourceError):
    """The event store could not do what it was asked; nothing was stored."""


class EventStoreConnectionError(EventStoreError):
    """The database cannot be reached or went away. An append that was under way may have been
    stored: repeat it with the same events, which is safe, to find out."""


class DatabaseError(EventStoreError):
    """The database refused a statement; `sqlstate` is PostgreSQL's five-character code."""

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate

    @property
    def is_lost_race(self) -> bool:
        """A serialization failure or a deadlock: the transaction may succeed when repeated."""
        return self.sqlstate in {"40001", "40P01"}


class SchemaError(EventStoreError):
    """A table, column or function is missing; the message names the migration that adds it."""


class SQLiteNotAvailableError(EventSourceError, ImportError):
    """SQLite is used without its driver."""

    def __init__(self) -> None:
        super().__init__(
            "SQLite needs aiosqlite: pip install 'eventsource-tutorial[sqlite]' installs it."
        )


class PositionNotFoundError(EventStoreError):
    """A resume position that this log does not contain."""

    def __init__(self, position: object) -> None:
        super().__init__(
            f"This log has no event at position {position}. It may have been restored from an "
            "older backup, or the position belongs to another log. Compare what the reader has "
            "processed with the log; start it again from position 0 if in doubt."
        )
        self.position = position


class OptimisticLockError(EventSourceError):
    """Somebody else has appended to the stream; nothing was stored. Load again and retry."""

    #: What the values of ExpectedVersion ask for.
    _IN_WORDS: ClassVar[dict[int, str]] = {
        0: "to have no events",
        -1: "to hold still for a moment",
        -2: "to have events",
    }

    def __init__(self, aggregate_id: UUID, expected_version: int, actual_version: int) -> None:
        expected = self._IN_WORDS.get(expected_version, f"at version {expected_version}")
        super().__init__(
            f"Stream of aggregate {aggregate_id} was expected {expected} but is at version "
            f"{actual_version}. Load the aggregate again and repeat the command."
        )
        self.aggregate_id = aggregate_id
        self.expected_version = expected_version
        self.actual_version = actual_version


class TagConflictError(EventSourceError):
    """Events that a decision depends on have been added; nothing was stored. Decide again."""

    def __init__(self, tag: str, seen_version: int) -> None:
        super().__init__(
            f"Tag {tag!r} has more than the {seen_version} events that the decision has seen. Read "
            "again and decide anew."
        )
        self.tag = tag
        self.seen_version = seen_version


class DuplicateEventError(EventSourceError):
    """The id of an event is already taken by another event; nothing was stored."""

    def __init__(self, event_id: UUID, holder: str) -> None:
        super().__init__(
            f"Event id {event_id} is already taken by {holder}. Give every new event an id of "
            "its own."
        )
        self.event_id = event_id
        self.holder = holder


class AggregateMismatchError(EventSourceError, ValueError):
    """An event names another aggregate than the one it was given to."""

    def __init__(
        self, event_id: UUID, *, expected: tuple[UUID, str], actual: tuple[UUID, str]
    ) -> None:
        super().__init__(
            f"Event {event_id} belongs to {actual[1]} {actual[0]}, not to {expected[1]} "
            f"{expected[0]}. Set aggregate_id and aggregate_type of the event to its aggregate's."
        )
        self.event_id = event_id
        self.expected = expected
        self.actual = actual


class AggregateNotFoundError(EventSourceError):
    """There is no event of this aggregate."""

    def __init__(self, aggregate_id: UUID, aggregate_type: str | None = None) -> None:
        super().__init__(f"{aggregate_type or 'Aggregate'} {aggregate_id} has no events.")
        self.aggregate_id = aggregate_id
        self.aggregate_type = aggregate_type


class EventVersionError(EventSourceError):
    """An event does not follow the aggregate's version."""

    def __init__(
        self, expected_version: int, actual_version: int, event_id: UUID, aggregate_id: UUID
    ) -> None:
        super().__init__(
            f"Event {event_id} carries version {actual_version}, but aggregate {aggregate_id} "
            f"needs version {expected_version} next. Use get_next_version() for new events."
        )
        self.expected_version = expected_version
        self.actual_version = actual_version
        self.event_id = event_id
        self.aggregate_id = aggregate_id


class EventBusError(EventSourceError):
    """The event bus could not do what it was asked."""


class EventBusConnectionError(EventBusError, ConnectionError):
    """The broker cannot be reached, went away or refused. Events that were being published may
    have arrived: publish them again, and let handlers bear repetition."""


class BrokerNotAvailableError(EventSourceError, ImportError):
    """A broker is used without its driver."""

    def __init__(self, driver: str, extra: str) -> None:
        super().__init__(
            f"This bus needs {driver}: pip install 'eventsource-tutorial[{extra}]' installs it."
        )
        self.driver = driver
        self.extra = extra


class EventPublishError(EventSourceError):
    """The events are stored, but the publisher failed. Do not save again."""

    def __init__(self, event_ids: Sequence[UUID]) -> None:
        super().__init__(
            "These events are stored but were not published: "
            f"{', '.join(map(str, event_ids))}. Saving again publishes nothing; publish them from "
            "the store, or use outbox_enabled=True, which cannot lose them."
        )
        self.event_ids = tuple(event_ids)


class SerializationError(EventSourceError):
    """An event cannot be written as JSON, or not without changing its value."""

    def __init__(self, event_type: str, message: str) -> None:
        super().__init__(f"{event_type}: {message}")
        self.event_type = event_type
        self.message = message


class UnreadableEventError(SerializationError):
    """A stored event cannot be turned back into an object. The stored row is untouched."""

    def __init__(self, event_type: str, event_id: UUID, position: str, reason: str) -> None:
        super().__init__(event_type, f"event {event_id} at {position} cannot be read: {reason}")
        self.event_id = event_id
        self.position = position
        self.reason = reason
        self.feed_position: Any = None
        self.event_data: str | None = None

    def at(self, feed_position: object, event_data: str) -> Self:
        """The same error, with the position to resume the feed after it and the stored text."""
        self.feed_position, self.event_data = feed_position, event_data
        return self


class EventTypeNotFoundError(EventSourceError, KeyError):
    """No class is registered under this event type."""

    def __init__(self, event_type: str, available_types: Sequence[str]) -> None:
        known = ", ".join(sorted(available_types)) or "none"
        super().__init__(
            f"No event class is registered as '{event_type}'. Decorate it with @register_event and "
            f"import the module that defines it. Registered: {known}."
        )
        self.event_type = event_type
        self.available_types = list(available_types)

    # KeyError shows the repr of its argument, quotes and all.
    __str__ = Exception.__str__


class DuplicateUpcasterError(EventSourceError, ValueError):
    """Two functions want to take an event type from the same version to the next."""

    def __init__(self, event_type: str, from_version: int) -> None:
        super().__init__(
            f"Event type '{event_type}' has an upcaster from version {from_version} already."
        )
        self.event_type = event_type
        self.from_version = from_version


class DuplicateEventTypeError(EventSourceError, ValueError):
    """Two classes want the same event type."""

    def __init__(self, event_type: str, existing_class: type, new_class: type) -> None:
        super().__init__(
            f"Event type '{event_type}' is already {existing_class.__module__}."
            f"{existing_class.__qualname__}; {new_class.__module__}.{new_class.__qualname__} "
            "needs another event_type."
        )
        self.event_type = event_type
        self.existing_class = existing_class
        self.new_class = new_class


class HandlerSignatureError(EventSourceError, ValueError):
    """A method with `@handles` cannot be called as a handler."""

    def __init__(self, owner: type, handler_name: str, problem: str) -> None:
        super().__init__(f"Handler {owner.__qualname__}.{handler_name} {problem}.")
        self.owner = owner
        self.handler_name = handler_name


class DuplicateHandlerError(EventSourceError, ValueError):
    """Two methods of a class handle one event."""

    def __init__(self, owner: type, event_class: type, first: str, second: str) -> None:
        super().__init__(
            f"{owner.__qualname__} has two handlers for {event_class.__name__}: {first} and "
            f"{second}. Keep one of them."
        )
        self.owner = owner
        self.event_class = event_class


class UnhandledEventError(EventSourceError):
    """No handler of a class is for this event."""

    def __init__(self, owner: type, event_type: str, handled: Sequence[str]) -> None:
        if event_type in handled:
            way_out = (
                f"It handles an older class of that name: define {owner.__qualname__} again, "
                f"after {event_type}."
            )
        else:
            way_out = (
                f"It handles: {', '.join(handled) or 'nothing'}. Add a method with "
                f"@handles({event_type})."
            )
        super().__init__(f"{owner.__qualname__} has no handler for {event_type}. {way_out}")
        self.owner = owner
        self.event_type = event_type
        self.handled = list(handled)


class ProjectionError(EventSourceError):
    """A projection could not do its work; what it had begun is undone."""

    def __init__(self, projection_name: str, event_id: UUID | None, message: str) -> None:
        about = f" at event {event_id}" if event_id else ""
        super().__init__(f"Projection {projection_name}{about}: {message}")
        self.projection_name = projection_name
        self.event_id = event_id
        self.message = message


class ProjectionLagError(EventSourceError, TimeoutError):
    """A projection did not come to a position in time. It may only be slow, or have stopped."""

    def __init__(
        self, projection_name: str, position: object, reached: object, timeout_seconds: float
    ) -> None:
        super().__init__(
            f"Projection {projection_name} has not come to position {position} within "
            f"{timeout_seconds:g} s; it is at {reached or 'the start'}. Is it running, and does "
            "it stop at an event that fails?"
        )
        self.projection_name = projection_name
        self.position = position
        self.reached = reached
        self.timeout_seconds = timeout_seconds


class SubscriptionError(EventSourceError):
    """A subscription or its manager could not do what it was asked."""


class SubscriptionConfigError(SubscriptionError, ValueError):
    """A setting that cannot work; the message names it."""


class SubscriptionStateError(SubscriptionError):
    """The subscription is in a state in which this cannot be done."""


class SubscriptionAlreadyExistsError(SubscriptionError):
    """The manager has a subscription of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is a subscription '{name}' already. Give this one another name: a checkpoint "
            "goes by it."
        )
        self.name = name


class EventDeliveryError(SubscriptionError):
    """An event that a subscription gave up on; `error` is what the handler or the store raised,
    and the message says it without personal data."""

    def __init__(
        self,
        subscription_name: str,
        event_id: UUID,
        position: object,
        error: BaseException,
        said: str | None = None,
    ) -> None:
        super().__init__(
            f"Subscription {subscription_name} failed on event {event_id} at position {position}: "
            f"{type(error).__name__}: {error if said is None else said}"
        )
        self.subscription_name = subscription_name
        self.event_id = event_id
        self.position = position
        self.__cause__ = error

    @property
    def error(self) -> BaseException | None:
        return self.__cause__


class StreamClosedError(EventSourceError):
    """The aggregate is closed: its stream takes no more events."""

    def __init__(self, aggregate_id: UUID, aggregate_type: str, event_type: str) -> None:
        super().__init__(
            f"{aggregate_type} {aggregate_id} is closed and takes no {event_type}. Go on in a new "
            "stream, whose first event carries what the old one ended with."
        )
        self.aggregate_id = aggregate_id
        self.aggregate_type = aggregate_type
        self.event_type = event_type


class SnapshotError(EventSourceError):
    """A snapshot could not be taken, stored or used. The events are not affected."""


class SnapshotDeserializationError(SnapshotError):
    """A stored snapshot does not fit the state's class."""

    def __init__(self, aggregate_id: UUID, aggregate_type: str, reason: str) -> None:
        super().__init__(f"The snapshot of {aggregate_type} {aggregate_id} is unusable: {reason}")
        self.aggregate_id = aggregate_id
        self.aggregate_type = aggregate_type


class TenantContextNotSetError(EventSourceError):
    """Something needs to know for which tenant it works, and nobody has said so."""

    def __init__(self) -> None:
        super().__init__(
            "There is no current tenant. Do this inside `async with tenant_scope(tenant_id)`, or "
            "call set_current_tenant(tenant_id) first."
        )


class TenantMismatchError(EventSourceError):
    """Events belong to another tenant than the current one. Nothing was stored."""

    def __init__(self, expected: UUID, actual: UUID | None, event_ids: Sequence[UUID]) -> None:
        shown = ", ".join(map(str, event_ids[:5])) + (", ..." if len(event_ids) > 5 else "")
        owner = f"tenant {actual}" if actual else "no tenant"
        super().__init__(
            f"The current tenant is {expected}, but these events belong to {owner}: {shown}."
        )
        self.expected = expected
        self.actual = actual
        self.event_ids = tuple(event_ids)


class PrivacyError(EventSourceError):
    """Personal data was used in a way that would leave it unprotected, or before it was opened."""


class DecryptionError(PrivacyError):
    """Personal data cannot be opened: the key is wrong or missing, or the data was changed."""

    def __init__(self, subject: str, place: str, reason: str) -> None:
        super().__init__(f"Personal data of {subject} in {place} cannot be opened: {reason}.")
        self.subject = subject
        self.place = place
        self.reason = reason


class SubjectErasedError(PrivacyError):
    """New personal data of somebody who was erased; nothing was stored."""

    def __init__(self, subject: str) -> None:
        super().__init__(
            f"{subject} was erased, and its key with it, so nothing new about it can be stored. "
            "Somebody who comes back is a new subject, with an id of its own."
        )
        self.subject = subject


class PrivacyNotAvailableError(EventSourceError, ImportError):
    """Personal data is used without the library that encrypts it."""

    def __init__(self) -> None:
        super().__init__(
            "Personal data needs cryptography: pip install 'eventsource-tutorial[privacy]' "
            "installs it."
        )
