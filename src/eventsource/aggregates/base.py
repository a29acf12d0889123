"""`AggregateRoot`: state that changes only by events."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from eventsource.aggregates.state import dump_state, load_state
from eventsource.events.base import DomainEvent
from eventsource.exceptions import (
    AggregateMismatchError,
    EventVersionError,
    StreamClosedError,
)

_log = logging.getLogger(__name__)

TState = TypeVar("TState")

UNKNOWN_TYPE = "Unknown"


class AggregateRoot(ABC, Generic[TState]):
    """Subclasses set `aggregate_type`, implement `_apply`, which assigns `self._state`, and offer
    commands that decide and then call `apply_event`.

    `state` is None until the first event.
    """

    aggregate_type: ClassVar[str] = UNKNOWN_TYPE
    #: Raise it with every change to the state's class: older snapshots are not used then.
    schema_version: ClassVar[int] = 1
    validate_versions: ClassVar[bool] = True

    def __init__(self, aggregate_id: UUID) -> None:
        self._aggregate_id = aggregate_id
        self._version = 0
        self._state: TState | None = None
        self._uncommitted_events: list[DomainEvent] = []
        self._next_event_id: UUID | None = None
        self._cause: DomainEvent | None = None
        self._renamed: dict[UUID | None, UUID] = {}

    @property
    def aggregate_id(self) -> UUID:
        return self._aggregate_id

    @property
    def version(self) -> int:
        """Number of events applied, saved or not; 0 for a new aggregate."""
        return self._version

    @property
    def state(self) -> TState | None:
        return self._state

    @property
    def uncommitted_events(self) -> list[DomainEvent]:
        """Events that are not saved yet, as a copy."""
        return list(self._uncommitted_events)

    @property
    def has_uncommitted_events(self) -> bool:
        return bool(self._uncommitted_events)

    @property
    def is_closed(self) -> bool:
        """Override it to end a stream: once it is True, new events raise StreamClosedError.

        Decide by the state alone.
        """
        return False

    @abstractmethod
    def _get_initial_state(self) -> TState:
        """A fresh state, for handlers that build on one."""

    @abstractmethod
    def _apply(self, event: DomainEvent) -> None:
        """Assign the state after this event to `self._state`. Decide nothing here.

        Assign a new state rather than changing the old one, which comes back if this raises.
        """

    def get_next_version(self) -> int:
        """The `aggregate_version` the next event must carry."""
        return self._version + 1

    def apply_event(self, event: DomainEvent, is_new: bool = True) -> None:
        """Change state, version and, for a new event, the list of events to save.

        All three change or none. Raises EventVersionError for an event out of turn (a warning with
        `validate_versions = False`), AggregateMismatchError for one of another aggregate, and
        StreamClosedError for a new one after the end.
        """
        self._check_owner(event)
        if is_new and self.is_closed:
            raise StreamClosedError(self._aggregate_id, event.aggregate_type, event.event_type)
        self._check_version(event)
        if is_new:
            event = self._identified(event)
        before = self._state, self._version
        try:
            self._version = event.aggregate_version
            self._apply(event)
        except BaseException:
            self._state, self._version = before
            raise
        if is_new:
            self._uncommitted_events.append(event)
            self._next_event_id = None

    def load_from_history(self, events: Iterable[DomainEvent]) -> None:
        """Replay stored events; a gap, a repeat or a foreign event raises as in `apply_event`."""
        for event in events:
            self.apply_event(event, is_new=False)

    def mark_events_as_committed(self, count: int | None = None) -> None:
        """Forget the first `count` events to save, or all of them."""
        del self._uncommitted_events[:count]

    def _identified(self, event: DomainEvent) -> DomainEvent:
        """The event under the id and with the cause that a repository chose for it, if it did."""
        changes: dict[str, UUID] = {}
        if self._cause is not None:
            changes["correlation_id"] = self._cause.correlation_id
            changes["causation_id"] = event.causation_id or self._cause.event_id
        if self._next_event_id is not None:
            self._renamed[event.event_id] = changes["event_id"] = self._next_event_id
        if cause := self._renamed.get(event.causation_id):
            changes["causation_id"] = cause
        return event.model_copy(update=changes) if changes else event

    def _serialize_state(self) -> dict[str, Any]:
        """The state for a snapshot, as JSON-ready values; {} if there is none.

        SnapshotError for a state that would come back changed.
        """
        return {} if self._state is None else dump_state(type(self), self._state)

    def _restore_from_snapshot(self, state: dict[str, Any], version: int) -> None:
        """Become what `_serialize_state` described; {} sets only the version."""
        if state:
            self._state = load_state(type(self), state)
        self._version = version

    def _check_owner(self, event: DomainEvent) -> None:
        own_type = self.aggregate_type
        if own_type == UNKNOWN_TYPE:
            own_type = event.aggregate_type
        if event.aggregate_id != self._aggregate_id or event.aggregate_type != own_type:
            raise AggregateMismatchError(
                event.event_id,
                expected=(self._aggregate_id, own_type),
                actual=(event.aggregate_id, event.aggregate_type),
            )

    def _check_version(self, event: DomainEvent) -> None:
        if event.aggregate_version == self._version + 1:
            return
        error = EventVersionError(
            self._version + 1, event.aggregate_version, event.event_id, self._aggregate_id
        )
        if self.validate_versions:
            raise error
        _log.warning("%s It is applied, because validate_versions is False.", error)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AggregateRoot):
            return NotImplemented
        return type(self) is type(other) and self._aggregate_id == other._aggregate_id

    def __hash__(self) -> int:
        return hash(self._aggregate_id)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self._aggregate_id}, version={self._version}, "
            f"uncommitted={len(self._uncommitted_events)})"
        )
