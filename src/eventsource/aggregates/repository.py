"""`AggregateRepository`: aggregates by id, whatever store is behind it."""

import inspect
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid5

from eventsource.aggregates.base import UNKNOWN_TYPE, AggregateRoot
from eventsource.aggregates.snapshotting import Snapshotting, check_options
from eventsource.backoff import back_off
from eventsource.events.base import DomainEvent
from eventsource.exceptions import (
    AggregateNotFoundError,
    EventPublishError,
    OptimisticLockError,
)
from eventsource.observability import (
    ATTR_AGGREGATE_ID,
    ATTR_AGGREGATE_TYPE,
    ATTR_EVENT_COUNT,
    TRACE_KEY,
    Tracer,
    create_tracer,
)
from eventsource.snapshots.interface import Snapshot, SnapshotStore
from eventsource.snapshots.policies import SnapshotMode
from eventsource.stores.interface import EventPublisher, EventStore

TAggregate = TypeVar("TAggregate", bound=AggregateRoot[Any])

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.01, 0.1


class AggregateRepository(Generic[TAggregate]):
    """Loads an aggregate by replaying its events and saves the events it has gained.

    With an `event_publisher`, saved events are published after they are stored. A crash between
    the two loses the publication; the store's outbox does not. Both together publish twice.

    With a `snapshot_store`, a load starts from the latest snapshot. One is taken whenever a save
    crosses a multiple of `snapshot_threshold` events; `snapshot_mode` says who waits for it:
    "sync" the save, "background" nobody (`await_pending_snapshots` before you stop), "manual" takes
    none but those of `create_snapshot`. A snapshot that cannot be taken or used costs a warning.
    The metric `eventsource.snapshot.misses` counts loads without one by `eventsource.reason`.
    """

    def __init__(
        self,
        event_store: EventStore,
        aggregate_factory: Callable[[UUID], TAggregate],
        aggregate_type: str | None = None,
        event_publisher: EventPublisher | None = None,
        *,
        snapshot_store: SnapshotStore | None = None,
        snapshot_threshold: int | None = None,
        snapshot_mode: SnapshotMode = "sync",
        tracer: Tracer | None = None,
        enable_tracing: bool = True,
    ) -> None:
        self._event_store = event_store
        self._aggregate_factory = aggregate_factory
        self._aggregate_type = _resolve_type(aggregate_factory, aggregate_type)
        self._event_publisher = event_publisher
        check_options(snapshot_store, snapshot_threshold, snapshot_mode)
        self._snapshots: Snapshotting[TAggregate] | None = None
        if snapshot_store is not None:
            self._snapshots = Snapshotting(
                snapshot_store,
                snapshot_threshold,
                snapshot_mode,
                self._aggregate_type,
                enable_tracing,
            )
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
            aggregate = self._aggregate_factory(aggregate_id)
            if self._snapshots and await self._load_from_snapshot(aggregate, self._snapshots):
                return aggregate
            stream = await self._event_store.get_events(aggregate_id, self._aggregate_type)
            if stream.is_empty:
                return None
            # A failed restore may have touched the first one.
            aggregate = self._aggregate_factory(aggregate_id)
            aggregate.load_from_history(stream.events)
            return aggregate

    async def _load_from_snapshot(
        self, aggregate: TAggregate, snapshots: Snapshotting[TAggregate]
    ) -> bool:
        if not await snapshots.restore(aggregate):
            return False
        # After the snapshot, so that a stream that is shorter than it is never one we read early.
        stream = await self._event_store.get_events(
            aggregate.aggregate_id, self._aggregate_type, from_version=aggregate.version
        )
        if stream.version < aggregate.version:
            snapshots.ignore(
                aggregate.aggregate_id,
                "stream_too_short",
                f"it is of version {aggregate.version}, and the stream ends at {stream.version}. "
                "If the events were restored from a backup, delete the snapshots",
            )
            return False
        aggregate.load_from_history(stream.events)
        return True

    async def save(self, aggregate: TAggregate, *, transaction: Any = None) -> None:
        """Store the uncommitted events, then publish them, then take a snapshot if one is due.

        With a `transaction`, as in `append_events`, they are stored when you commit it, and no
        snapshot is taken. Load the aggregate again after a rollback. A publisher would tell of
        events that may never be stored, so it raises ValueError: use the outbox.

        OptimisticLockError if somebody else saved meanwhile; the aggregate keeps its events then.
        EventPublishError if the events are stored and publishing failed.
        """
        if transaction is not None and self._event_publisher is not None:
            raise ValueError("With event_publisher, save cannot join a transaction. Use an outbox.")
        events = aggregate.uncommitted_events
        if not events:
            return
        with self._tracer.span("eventsource.repository.save", self._attributes_of_save(aggregate)):
            events = self._traced(events)
            await self._append(aggregate, events, transaction)
            if transaction is None:
                await self._announce(aggregate, events)

    async def update(
        self,
        aggregate_id: UUID,
        command: Callable[[TAggregate], object],
        *,
        retries: int = 3,
        create: bool = False,
        command_id: UUID | None = None,
        cause: DomainEvent | None = None,
    ) -> TAggregate:
        """Load the aggregate, call `command` with it, plain or async, and save; returns it saved.

        If somebody else saved meanwhile, all of this is done again, up to `retries` times; then
        OptimisticLockError. Whatever else `command` does, it does once each time. Without events
        to load: AggregateNotFoundError, or a new aggregate with `create`.

        With a `command_id`, a command whose events are stored already is not carried out again.
        The first event of the command gets an id made from it, so the store itself is the guard.

        With a `cause`, events that name no other cause name this one, and all share its correlation
        id. Its id is the command's, unless you give one: a cause has one effect on an aggregate.
        """
        if cause is not None:
            command_id = command_id or cause.event_id
        event_id = command_id and uuid5(command_id, f"{self._aggregate_type}:{aggregate_id}")
        for attempt in range(retries + 1):
            aggregate = await (self.load_or_create if create else self.load)(aggregate_id)
            # After the load: what a rival stores from here on makes the save fail.
            if event_id and await self._event_store.event_exists(event_id):
                return await self.load(aggregate_id)  # it may have been stored since our load
            aggregate._next_event_id, aggregate._cause = event_id, cause
            answer = command(aggregate)
            if inspect.isawaitable(answer):
                await answer
            try:
                return await self._save_once(aggregate, event_id)
            except OptimisticLockError:
                if attempt == retries:
                    raise
                await back_off(attempt, _FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS)
        raise ValueError(f"retries must be 0 or more, not {retries}")

    async def _save_once(self, aggregate: TAggregate, event_id: UUID | None) -> TAggregate:
        aggregate._next_event_id = aggregate._cause = None
        events = aggregate.uncommitted_events
        if event_id is None or not events:
            await self.save(aggregate)
            return aggregate
        with self._tracer.span("eventsource.repository.save", self._attributes_of_save(aggregate)):
            events = self._traced(events)
            await self._append(aggregate, events)
            # Of two appends of one event by the same command the store takes the first and calls
            # the second a repetition: then theirs is stored, and ours never was.
            stored = await self._event_store.get_events(
                aggregate.aggregate_id,
                self._aggregate_type,
                from_version=aggregate.version - len(events),
            )
            if stored.events[: len(events)] != events:
                return await self.load(aggregate.aggregate_id)
            await self._announce(aggregate, events)
        return aggregate

    def _traced(self, events: list[DomainEvent]) -> list[DomainEvent]:
        """The events, with the trace of this save for those who will handle them."""
        headers = self._tracer.inject()
        return [
            event.with_metadata(**{TRACE_KEY: headers}) if headers else event for event in events
        ]

    async def _append(
        self, aggregate: TAggregate, events: list[DomainEvent], transaction: Any = None
    ) -> None:
        await self._event_store.append_events(
            aggregate.aggregate_id,
            self._aggregate_type,
            events,
            expected_version=aggregate.version - len(events),
            transaction=transaction,
        )
        aggregate.mark_events_as_committed(len(events))

    async def _announce(self, aggregate: TAggregate, events: list[DomainEvent]) -> None:
        try:
            if self._event_publisher is not None:
                await self._event_publisher.publish(events)
        except Exception as error:
            raise EventPublishError([event.event_id for event in events]) from error
        if self._snapshots:
            await self._snapshots.after_save(aggregate, len(events))

    async def create_snapshot(self, aggregate: TAggregate) -> Snapshot:
        """Take and store a snapshot now, in any mode.

        SnapshotError for an aggregate with unsaved events, without any, or with a state that
        JSON cannot hold; RuntimeError without a snapshot store.
        """
        if self._snapshots is None:
            raise RuntimeError(
                "There is no snapshot store. Pass snapshot_store= to the repository."
            )
        snapshot = self._snapshots.capture(aggregate)
        await self._snapshots.store.save_snapshot(snapshot)
        return snapshot

    @property
    def pending_snapshot_count(self) -> int:
        """Snapshots of "background" mode that are on their way."""
        return self._snapshots.writer.pending_count if self._snapshots else 0

    async def await_pending_snapshots(self) -> int:
        """Wait until they are stored, or have failed; how many there were."""
        return await self._snapshots.writer.await_pending() if self._snapshots else 0

    async def exists(self, aggregate_id: UUID) -> bool:
        with self._tracer.span("eventsource.repository.exists", self._attributes(aggregate_id)):
            return await self.get_version(aggregate_id) > 0

    async def get_version(self, aggregate_id: UUID) -> int:
        """The stored version; 0 if it has no events."""
        return await self._event_store.get_stream_version(aggregate_id, self._aggregate_type)

    def _attributes_of_save(self, aggregate: TAggregate) -> dict[str, str | int]:
        count = len(aggregate.uncommitted_events)
        return self._attributes(aggregate.aggregate_id) | {ATTR_EVENT_COUNT: count}

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
