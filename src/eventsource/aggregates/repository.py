"""`AggregateRepository`: aggregates by id, whatever store is behind it."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar
from uuid import UUID

from eventsource.aggregates.base import UNKNOWN_TYPE, AggregateRoot
from eventsource.exceptions import AggregateNotFoundError, EventPublishError
from eventsource.observability import (
    ATTR_AGGREGATE_ID,
    ATTR_AGGREGATE_TYPE,
    ATTR_EVENT_COUNT,
    Tracer,
    create_tracer,
)
from eventsource.stores.interface import EventPublisher, EventStore

TAggregate = TypeVar("TAggregate", bound=AggregateRoot[Any])


class AggregateRepository(Generic[TAggregate]):
    """Loads an aggregate by replaying its events and saves the events it has gained.

    With an `event_publisher`, saved events are published after they are stored. A crash between
    the two loses the publication; the store's outbox does not.
    """

    def __init__(
        self,
        event_store: EventStore,
        aggregate_factory: Callable[[UUID], TAggregate],
        aggregate_type: str | None = None,
        event_publisher: EventPublisher | None = None,
        *,
        tracer: Tracer | None = None,
        enable_tracing: bool = True,
    ) -> None:
        self._event_store = event_store
        self._aggregate_factory = aggregate_factory
        self._aggregate_type = _resolve_type(aggregate_factory, aggregate_type)
        self._event_publisher = event_publisher
        self._tracer = tracer or create_tracer(__name__, enable_tracing)

    @property
    def event_store(self) -> EventStore:
        return self._event_store

    @property
    def aggregate_type(self) -> str:
        return self._aggregate_type

    @property
    def event_publisher(self) -> EventPublisher | None:
        return self._event_publisher

    def create_new(self, aggregate_id: UUID) -> TAggregate:
        """A new aggregate, in memory only until it is saved."""
        return self._aggregate_factory(aggregate_id)

    async def load(self, aggregate_id: UUID) -> TAggregate:
        """AggregateNotFoundError if it has no events."""
        aggregate = await self._load_or_none(aggregate_id)
        if aggregate is None:
            raise AggregateNotFoundError(aggregate_id, self._aggregate_type)
        return aggregate

    async def load_or_create(self, aggregate_id: UUID) -> TAggregate:
        """A new aggregate if it has no events."""
        return await self._load_or_none(aggregate_id) or self.create_new(aggregate_id)

    async def _load_or_none(self, aggregate_id: UUID) -> TAggregate | None:
        with self._tracer.span("eventsource.repository.load", self._attributes(aggregate_id)):
            stream = await self._event_store.get_events(aggregate_id, self._aggregate_type)
            if stream.is_empty:
                return None
            aggregate = self._aggregate_factory(aggregate_id)
            aggregate.load_from_history(stream.events)
            return aggregate

    async def save(self, aggregate: TAggregate) -> None:
        """Store the uncommitted events, then publish them.

        OptimisticLockError if somebody else saved meanwhile; the aggregate keeps its events then.
        EventPublishError if the events are stored and publishing failed.
        """
        events = aggregate.uncommitted_events
        if not events:
            return
        attributes = self._attributes(aggregate.aggregate_id) | {ATTR_EVENT_COUNT: len(events)}
        with self._tracer.span("eventsource.repository.save", attributes):
            await self._event_store.append_events(
                aggregate.aggregate_id,
                self._aggregate_type,
                events,
                expected_version=aggregate.version - len(events),
            )
            aggregate.mark_events_as_committed(len(events))
            if self._event_publisher is None:
                return
            try:
                await self._event_publisher.publish(events)
            except Exception as error:
                raise EventPublishError([event.event_id for event in events]) from error

    async def exists(self, aggregate_id: UUID) -> bool:
        with self._tracer.span("eventsource.repository.exists", self._attributes(aggregate_id)):
            return await self.get_version(aggregate_id) > 0

    async def get_version(self, aggregate_id: UUID) -> int:
        """The stored version; 0 if it has no events."""
        return await self._event_store.get_stream_version(aggregate_id, self._aggregate_type)

    def _attributes(self, aggregate_id: UUID) -> dict[str, str | int]:
        return {ATTR_AGGREGATE_ID: str(aggregate_id), ATTR_AGGREGATE_TYPE: self._aggregate_type}


def _resolve_type(factory: object, aggregate_type: str | None) -> str:
    own_type = getattr(factory, "aggregate_type", UNKNOWN_TYPE)
    resolved = own_type if aggregate_type is None else aggregate_type
    if resolved in ("", UNKNOWN_TYPE):
        raise ValueError(
            "Which aggregate type is this repository for? Set aggregate_type in the aggregate "
            "class, or pass aggregate_type= to the repository."
        )
    if own_type not in (UNKNOWN_TYPE, resolved):
        raise ValueError(
            f"The repository's aggregate_type is '{resolved}', the class says '{own_type}'. "
            "Leave one of them out."
        )
    return resolved
