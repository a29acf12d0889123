"""The port every event store implements, and the values that cross it."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from types import NoneType
from typing import Any, Final, NamedTuple, Protocol, Self
from uuid import UUID

from eventsource.events.base import DomainEvent
from eventsource.types import Position


class ReadDirection(Enum):
    FORWARD = "forward"
    BACKWARD = "backward"


class ExpectedVersion:
    """What an append demands of the stream, besides an exact version above 0."""

    ANY: Final = -1
    NO_STREAM: Final = 0
    STREAM_EXISTS: Final = -2


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Which part of a stream or of the feed to read.

    `from_position` is exclusive in both directions: only later events are read, backwards
    starting at the end. For a stream it is a version; for the feed, the `position` of an event or
    its `global_position`. 0 and -1 both mean "from the start". Times are inclusive and aware.
    Event types are those that are stored.
    """

    direction: ReadDirection = ReadDirection.FORWARD
    from_position: int | Position = 0
    limit: int | None = None
    from_timestamp: datetime | None = None
    to_timestamp: datetime | None = None
    tenant_id: UUID | None = None
    event_types: Collection[str] | None = None
    aggregate_types: Collection[str] | None = None

    def __post_init__(self) -> None:
        check_names(self.event_types, "event_types")
        check_names(self.aggregate_types, "aggregate_types")
        check_type(self.direction, ReadDirection, "direction is a ReadDirection")
        check_type(self.from_position, (int, Position), "from_position is a number or a Position")
        if isinstance(self.from_position, int) and self.from_position < -1:
            raise ValueError(f"from_position must be -1 or more, not {self.from_position}")
        if self.limit is not None:
            check_type(self.limit, int, "limit is a number or None")
            if self.limit < 0:
                raise ValueError(f"limit must not be negative: {self.limit}")
        check_type(self.tenant_id, (UUID, NoneType), "tenant_id is a UUID or None")
        check_aware(self.from_timestamp, "from_timestamp")
        check_aware(self.to_timestamp, "to_timestamp")


@dataclass(frozen=True, slots=True)
class EventStream:
    """Events of one aggregate by version. `version` is the stream's, whatever part was read."""

    aggregate_id: UUID
    aggregate_type: str
    events: list[DomainEvent] = field(default_factory=list)
    version: int = 0

    def __post_init__(self) -> None:
        if self.events is None:
            object.__setattr__(self, "events", [])

    @property
    def is_empty(self) -> bool:
        return not self.events

    @property
    def latest_event(self) -> DomainEvent | None:
        return self.events[-1] if self.events else None

    @classmethod
    def empty(cls, aggregate_id: UUID, aggregate_type: str) -> Self:
        return cls(aggregate_id, aggregate_type)


class StoredEvent(NamedTuple):
    """An event and where it stands. Positions count from 1; 0 where the table has no feed."""

    event: DomainEvent
    stream_id: str
    stream_position: int
    global_position: int
    stored_at: datetime
    transaction: int = 0

    @property
    def position(self) -> Position:
        """Resume `read_all` after this event with it."""
        return Position(self.transaction, self.global_position)

    @property
    def event_id(self) -> UUID:
        return self.event.event_id

    @property
    def event_type(self) -> str:
        return self.event.event_type

    @property
    def aggregate_id(self) -> UUID:
        return self.event.aggregate_id

    @property
    def aggregate_type(self) -> str:
        return self.event.aggregate_type

    def __str__(self) -> str:
        return (
            f"{self.event_type} at {self.stream_id}/{self.stream_position}, "
            f"global position {self.global_position}"
        )


@dataclass(frozen=True, slots=True)
class AppendResult:
    """`new_version` is the version of the last event of the batch, `global_position` its place."""

    success: bool
    new_version: int
    global_position: int = 0
    conflict: bool = False
    transaction: int = 0

    @property
    def position(self) -> Position:
        return Position(self.transaction, self.global_position)

    @classmethod
    def successful(cls, new_version: int, global_position: int = 0, transaction: int = 0) -> Self:
        return cls(True, new_version, global_position, transaction=transaction)

    @classmethod
    def conflicted(cls, current_version: int) -> Self:
        return cls(False, current_version, conflict=True)


class EventPublisher(Protocol):
    """Where a repository sends events once they are stored."""

    async def publish(self, events: list[DomainEvent]) -> Any: ...


class EventStore(ABC):
    """Append-only streams of events, one per aggregate, and one feed of all of them."""

    @abstractmethod
    async def append_events(
        self,
        aggregate_id: UUID,
        aggregate_type: str,
        events: Sequence[DomainEvent],
        expected_version: int,
        *,
        transaction: Any = None,
    ) -> AppendResult:
        """Store all events or none, with consecutive versions.

        With a `transaction` the events are stored when the caller commits it: an AsyncConnection
        or AsyncSession for PostgreSQL, what `SQLiteDatabase.transaction()` gives for SQLite. It
        stays usable when the append is refused. The in-memory store has none and raises TypeError.

        `expected_version` is the stream's exact version or one of `ExpectedVersion`. Events that
        are in the stream already are skipped, so repeating an append gives the first answer again.
        The stored events carry the versions they were given, whatever `aggregate_version` said.

        Raises OptimisticLockError if the stream is at another version, AggregateMismatchError for
        an event of another aggregate, DuplicateEventError for an id used elsewhere,
        SerializationError for a value that cannot be stored exactly, and ValueError for an
        aggregate type that is empty or, like an event type or actor id, over 255 characters long.
        """

    @abstractmethod
    async def get_events(
        self,
        aggregate_id: UUID,
        aggregate_type: str | None = None,
        from_version: int = 0,
        from_timestamp: datetime | None = None,
        to_timestamp: datetime | None = None,
    ) -> EventStream:
        """Events after `from_version`, by version; time bounds inclusive and aware.

        Without a type: the events of all types of this id. An unknown id gives an empty stream.
        """

    @abstractmethod
    async def get_events_by_type(
        self,
        aggregate_type: str,
        tenant_id: UUID | None = None,
        from_timestamp: datetime | None = None,
    ) -> list[DomainEvent]:
        """Events of all aggregates of a type, by time, then position; the bound is exclusive."""

    @abstractmethod
    async def event_exists(self, event_id: UUID) -> bool: ...

    @abstractmethod
    async def get_stream_version(self, aggregate_id: UUID, aggregate_type: str) -> int:
        """0 for a stream without events."""

    @abstractmethod
    async def get_feed_end(self) -> Position:
        """The position of the last event that `read_all` gives now; Position.START if none."""

    async def get_global_position(self) -> int:
        """The sequence number of `get_feed_end`, 0 when the feed is empty."""
        return (await self.get_feed_end()).sequence

    @abstractmethod
    def read_stream(
        self, stream_id: str, options: ReadOptions | None = None
    ) -> AsyncIterator[StoredEvent]:
        """Events of "aggregate_id:aggregate_type", or of a bare id, in pages."""

    def read_all(self, options: ReadOptions | None = None) -> AsyncIterator[StoredEvent]:
        """Every event once, in one order that never changes, in pages.

        Raises PositionNotFoundError for a `from_position` that is not in this log.
        """
        raise NotImplementedError(f"{type(self).__name__} has no global feed")


def stream_id_of(aggregate_id: UUID, aggregate_type: str) -> str:
    return f"{aggregate_id}:{aggregate_type}"


def parse_stream_id(stream_id: str) -> tuple[UUID, str | None]:
    """The id and the type, None if the text is a bare id. ValueError for any other text."""
    check_type(stream_id, str, "A stream id is text, such as str(aggregate_id)")
    head, _, aggregate_type = stream_id.partition(":")
    try:
        return UUID(head), aggregate_type or None
    except ValueError:
        raise ValueError(
            f"A stream id is 'aggregate_id:aggregate_type' or a bare id, not {stream_id!r}"
        ) from None


def check_aware(moment: datetime | None, name: str) -> None:
    """TypeError if it is no datetime, ValueError if it has no time zone."""
    if moment is None:
        return
    if not isinstance(moment, datetime):
        raise TypeError(f"{name} must be a datetime, not {type(moment).__name__}")
    if moment.tzinfo is None:
        raise ValueError(f"{name} needs a time zone, for example datetime.now(UTC)")


def check_type(value: object, kind: type | tuple[type, ...], rule: str) -> None:
    """TypeError, with the rule, for a value of another type."""
    if not isinstance(value, kind):
        raise TypeError(f"{rule}, not {type(value).__name__}")


def check_names(names: Collection[str] | None, what: str) -> None:
    """TypeError if they are anything else than names, or a single one."""
    if names is None:
        return
    if isinstance(names, str):
        raise TypeError(f"{what} is a collection of names: [{names!r}]")
    if not (isinstance(names, Collection) and all(isinstance(name, str) for name in names)):
        raise TypeError(f"{what} is a collection of names, not {names!r}")


def check_of_type(
    aggregate_type: str, tenant_id: UUID | None, from_timestamp: datetime | None
) -> None:
    """What `get_events_by_type` is asked for. SQLite would take NaN for None, and so for all
    tenants. TypeError and ValueError."""
    check_type(aggregate_type, str, "aggregate_type is text")
    check_type(tenant_id, (UUID, NoneType), "tenant_id is a UUID or None")
    check_aware(from_timestamp, "from_timestamp")


def check_part(
    aggregate_id: UUID,
    aggregate_type: str | None,
    from_version: int,
    from_timestamp: datetime | None,
    to_timestamp: datetime | None,
) -> None:
    """What `get_events` is asked for. TypeError and ValueError."""
    check_type(aggregate_id, UUID, "aggregate_id is a UUID")
    check_type(aggregate_type, (str, NoneType), "aggregate_type is text or None")
    check_type(from_version, int, "from_version is a number")
    check_aware(from_timestamp, "from_timestamp")
    check_aware(to_timestamp, "to_timestamp")


def version_to_start_after(options: ReadOptions) -> int:
    """`from_position` of a stream read, which is a version."""
    if isinstance(options.from_position, Position):
        raise TypeError("from_position of a stream is a version, a whole number")
    return options.from_position
