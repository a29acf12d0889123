"""A projection keeps a read model up to date with the feed and knows how far it has come."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any, TypedDict, TypeVar
from uuid import UUID

from eventsource.events.base import DomainEvent
from eventsource.events.confidential import masked, without_secrets
from eventsource.exceptions import ProjectionLagError
from eventsource.observability import (
    ATTR_EVENT_ID,
    ATTR_EVENT_TYPE,
    ATTR_PROJECTION_NAME,
    Tracer,
    create_tracer,
    trace_of,
)
from eventsource.repositories.checkpoint import CheckpointRepository, InMemoryCheckpointRepository
from eventsource.repositories.dlq import DLQRepository
from eventsource.retries import HandlerFailedError, RetryPolicy, raising_the_handlers_error
from eventsource.stores.interface import EventStore, ReadOptions, StoredEvent
from eventsource.stores.paging import read_until_unreadable
from eventsource.types import Position

_log = logging.getLogger(__name__)

T = TypeVar("T")
TenantFilter = UUID | Callable[[], UUID | None] | None

# A context variable, because events of one projection may be handled by several tasks.
_replaying: ContextVar[bool] = ContextVar("replaying", default=False)


class ProjectionOptions(TypedDict, total=False):
    """What every projection takes by name."""

    tenant_filter: TenantFilter
    tracer: Tracer | None
    enable_tracing: bool


class CheckpointTrackingProjection(ABC):
    """Implement `subscribed_to` and `_process_event`, and start it with `catch_up` or `follow`.

    The checkpoint is saved after each event. A crash between the two repeats the event, so make
    `_process_event` idempotent, or use DatabaseProjection, which commits both together. The
    checkpoint goes by `projection_name`: the class's name unless the class sets another. A rename
    would start from the beginning.

    Events of other tenants than `tenant_filter` (an id, or a function that gives one or None) are
    passed over; events without a tenant are for everybody.
    """

    projection_name: str

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "projection_name" not in vars(cls):
            cls.projection_name = cls.__name__

    def __init__(
        self,
        checkpoint_repo: CheckpointRepository | None = None,
        dlq_repo: DLQRepository | None = None,
        retry_policy: RetryPolicy | None = None,
        *,
        tenant_filter: TenantFilter = None,
        tracer: Tracer | None = None,
        enable_tracing: bool = False,
    ) -> None:
        self._checkpoint_repo = checkpoint_repo or InMemoryCheckpointRepository()
        self._dlq_repo = dlq_repo
        self._retry_policy = retry_policy or RetryPolicy()
        self._tenant_filter = tenant_filter
        self._tracer = tracer or create_tracer(__name__, enable_tracing)
        self._always_replays = False

    @abstractmethod
    def subscribed_to(self) -> Sequence[type[DomainEvent]]:
        """Classes of the events to process, subclasses included."""

    @abstractmethod
    async def _process_event(self, event: DomainEvent) -> None:
        """Change the read model."""

    async def _truncate_read_models(self) -> None:  # noqa: B027  # nothing to empty is usual
        """Empty the read model. `reset` calls it."""

    @property
    def is_replaying(self) -> bool:
        """Whether the event at hand has been processed before, in an earlier life of the read
        model. Handlers ask it before anything that must not happen twice, such as a mail."""
        return _replaying.get()

    async def handle(self, event: DomainEvent | StoredEvent) -> None:
        """Process one event, with retries, and save the checkpoint.

        A StoredEvent at or before the checkpoint is passed over. A bare event has no position, nor
        has one from a table without a feed: it is always processed, and the position stays as it
        is. After the last try the event goes to the dead letters and the handler's error is raised.
        """
        if not isinstance(event, StoredEvent):
            await self._handle_bare(event)
            return
        if event.position == Position.START:
            await self._handle_bare(event.event)
            return
        while True:
            after = await self.get_position()
            if after is not None and event.position <= after:
                return
            with raising_the_handlers_error():
                if await self.advance([event], after):
                    return

    async def catch_up(
        self, event_store: EventStore, *, batch_size: int = 500, until: Position | None = None
    ) -> int:
        """Process what the feed holds after the checkpoint, or no further than `until`; returns how
        many events that were.

        Stops at an event that fails, which then is in the dead letters, and raises the handler's
        error; or at one that cannot be read, with UnreadableEventError. The events before it are
        done.
        """
        done = 0
        while True:
            after = await self.get_position()
            batch = await read_batch(event_store, after, batch_size, until)
            if not batch:
                return done
            with raising_the_handlers_error():
                if await self.advance(batch, after):
                    done += len(batch)

    async def follow(
        self,
        event_store: EventStore,
        *,
        poll_interval_seconds: float = 0.1,
        batch_size: int = 500,
    ) -> None:
        """Catch up for ever, looking for new events in this interval. Cancel it to stop."""
        while True:
            await self.catch_up(event_store, batch_size=batch_size)
            await asyncio.sleep(poll_interval_seconds)

    async def wait_for(self, position: Position, *, timeout_seconds: float = 5.0) -> None:
        """Return once the read model holds everything up to `position`, as in
        `await projection.wait_for(result.position)`: then you read your own write.

        The events may be processed by another task or process. ProjectionLagError if they are
        not in time.
        """
        clock = asyncio.get_running_loop().time
        deadline, pause = clock() + timeout_seconds, 0.002
        while (reached := await self.get_position()) is None or reached < position:
            if clock() >= deadline:
                raise ProjectionLagError(self.projection_name, position, reached, timeout_seconds)
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.05)

    async def get_position(self) -> Position | None:
        """The position of the checkpoint; None before the first event."""
        return await self._checkpoint_repo.get_position(self.projection_name)

    async def get_checkpoint(self) -> str | None:
        """The id of the last event processed."""
        event_id = await self._checkpoint_repo.get_checkpoint(self.projection_name)
        return None if event_id is None else str(event_id)

    async def reset(self) -> None:
        """Empty the read model and forget the checkpoint, so that all events come again.

        Up to where the checkpoint stood, `is_replaying` is then true, also after a crash. Stop
        what feeds the projection first.
        """
        await self._remember_effects(self._checkpoint_repo)
        await self._truncate_read_models()
        await self._checkpoint_repo.reset_checkpoint(self.projection_name)

    @property
    def _effects_name(self) -> str:
        """The checkpoint up to which side effects have happened, whatever is replayed since."""
        return f"{self.projection_name}#effects"

    async def _remember_effects(self, checkpoints: CheckpointRepository) -> None:
        position = await checkpoints.get_position(self.projection_name)
        event_id = await checkpoints.get_checkpoint(self.projection_name)
        if position is not None and event_id is not None:
            await checkpoints.save_position(
                self._effects_name, position, event_id, "reset", events=0
            )

    async def _is_replay(self, checkpoints: CheckpointRepository) -> Callable[[StoredEvent], bool]:
        if self._always_replays:
            return lambda stored: True
        effects = await checkpoints.get_position(self._effects_name) or Position.START
        return lambda stored: stored.position <= effects

    async def advance(self, batch: Sequence[StoredEvent], after: Position | None) -> bool:
        """Process the events that follow `after` and move the checkpoint behind them.

        False, with the rest undone where that can be, if the checkpoint does not stand at `after`.
        HandlerFailedError if the event after the checkpoint then fails in every try. What runs the
        projection calls it: `catch_up`, `follow`, or a subscription.
        """
        is_replay = await self._is_replay(self._checkpoint_repo)
        for stored in batch:
            work = partial(self._apply, stored.event, is_replay(stored))
            await self._with_retries(stored.event, work)
            place = stored.position, stored.event_id, stored.event_type
            if not await self._checkpoint_repo.save_position(
                self.projection_name, *place, after=after or Position.START
            ):
                return False
            after = stored.position
        return True

    async def skip(
        self, position: Position, event_id: UUID, event_type: str, after: Position | None
    ) -> bool:
        """Move the checkpoint from `after` to behind an event without processing anything. False if
        the checkpoint does not stand at `after`."""
        return await self._checkpoint_repo.save_position(
            *(self.projection_name, position, event_id, event_type),
            after=after or Position.START,
            events=0,
        )

    async def _handle_bare(self, event: DomainEvent) -> None:
        with raising_the_handlers_error():
            await self._with_retries(event, partial(self._apply, event, replaying=False))
        await self._checkpoint_repo.update_checkpoint(
            self.projection_name, event.event_id, event.event_type
        )

    async def _apply(self, event: DomainEvent, replaying: bool, transaction: Any = None) -> None:
        """HandlerFailedError for whatever the handler raises."""
        if not self._is_for_us(event):
            return
        token = _replaying.set(replaying)
        attributes = {
            ATTR_PROJECTION_NAME: self.projection_name,
            ATTR_EVENT_ID: str(event.event_id),
            ATTR_EVENT_TYPE: event.event_type,
        }
        try:
            with self._tracer.span(
                "eventsource.projection.handle", attributes, parent=trace_of(event.metadata)
            ):
                await self._dispatch(event, transaction)
        except Exception as error:
            raise HandlerFailedError(error, event.event_id) from error
        finally:
            _replaying.reset(token)

    async def _dispatch(self, event: DomainEvent, transaction: Any) -> None:
        await self._process_event(event)

    def _is_for_us(self, event: DomainEvent) -> bool:
        tenant = self._tenant_filter() if callable(self._tenant_filter) else self._tenant_filter
        if tenant is not None and event.tenant_id not in (None, tenant):
            return False
        return isinstance(event, tuple(self.subscribed_to()))

    async def _with_retries(self, event: DomainEvent, work: Callable[[], Awaitable[T]]) -> T:
        """Only a handler's failure is tried again: another try cannot help a lost checkpoint."""
        tries = 0
        while True:
            tries += 1
            try:
                return await work()
            except HandlerFailedError as failure:
                policy = self._retry_policy
                if tries == policy.max_tries or not policy.retry_on(failure.error):
                    await self._bury(event, failure.error, tries)
                    raise
            await asyncio.sleep(self._retry_policy.delay_seconds(tries))

    async def _bury(self, event: DomainEvent, error: Exception, tries: int) -> None:
        if self._dlq_repo is None:
            return
        try:
            place = event.event_id, self.projection_name, event.event_type
            letter = *place, event.to_dict(), error, tries
            await self._dlq_repo.add_failed_event(*letter, event=event)
        except Exception as second:  # noqa: BLE001  # it must not hide the first
            # The handler's error is on its way to the caller and says more.
            said = masked(f"{type(second).__name__}: {second}", event)
            shown = without_secrets(second, event)
            name, event_id = self.projection_name, event.event_id
            _log.error("%s could not file event %s: %s", name, event_id, said, exc_info=shown)


async def read_batch(
    event_store: EventStore,
    after: Position | None,
    size: int,
    until: Position | None = None,
) -> list[StoredEvent]:
    """The next events of the feed after one position, up to another or one that is unreadable.

    UnreadableEventError if that is the very next.
    """
    options = ReadOptions(from_position=after or Position.START, limit=size)
    page, unreadable = await read_until_unreadable(event_store.read_all(options))
    batch = [stored for stored in page if until is None or stored.position <= until]
    if unreadable and not batch and (until is None or unreadable.feed_position <= until):
        raise unreadable
    return batch
