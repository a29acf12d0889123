"""How events get from a page of the log to a subscriber."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from eventsource.events.base import DomainEvent
from eventsource.events.confidential import masked
from eventsource.exceptions import EventStoreConnectionError
from eventsource.projections.base import CheckpointTrackingProjection
from eventsource.repositories.checkpoint import CheckpointRepository
from eventsource.retries import HandlerFailedError
from eventsource.stores.interface import StoredEvent
from eventsource.subscriptions.subscription import Subscription
from eventsource.types import Position

_log = logging.getLogger(__name__)


def is_connection_lost(error: BaseException) -> bool:
    """The database is away, which is no event's fault."""
    lost = getattr(error, "connection_invalidated", False)  # of SQLAlchemy's errors
    return isinstance(error, EventStoreConnectionError) or bool(lost)


class HandlerTarget:
    """Calls a handler, and saves the checkpoint after each page. It does for any subscriber what
    a CheckpointTrackingProjection does for itself."""

    def __init__(
        self,
        subscription: Subscription,
        checkpoints: CheckpointRepository,
        call: Callable[[list[DomainEvent]], Awaitable[None] | None],
        *,
        takes_batches: bool = False,
    ) -> None:
        self._subscription = subscription
        self._name, self._config = subscription.name, subscription.config
        self._checkpoints = checkpoints
        self._call = call
        self._takes_batches = takes_batches
        self._unsaved: list[StoredEvent] = []
        self._after: Position | None = None  # where the checkpoint stood before them

    async def get_position(self) -> Position | None:
        await self._save()
        return await self._checkpoints.get_position(self._name)

    async def advance(self, batch: Sequence[StoredEvent], after: Position | None) -> bool:
        """May end early, if the subscription must halt."""
        self._after = after
        try:
            await self._handle_all(batch)
        except HandlerFailedError:
            await self._save()
            raise
        return await self._save()

    async def skip(
        self, position: Position, event_id: UUID, event_type: str, after: Position | None
    ) -> bool:
        return await self._checkpoints.save_position(
            *(self._name, position, event_id, event_type),
            after=after or Position.START,
            events=0,
        )

    async def _save(self) -> bool:
        """Handled events stay unsaved while that fails, rather than being handled again."""
        if not self._unsaved:
            return True
        last = self._unsaved[-1]
        moved = await self._checkpoints.save_position(
            *(self._name, last.position, last.event_id, last.event_type),
            after=self._after or Position.START,
            events=len(self._unsaved),
        )
        self._unsaved.clear()
        return moved

    async def _handle_all(self, batch: Sequence[StoredEvent]) -> None:
        if self._takes_batches and len(batch) > 1:
            try:
                if await self._with_retries(batch):
                    return
            except HandlerFailedError:
                _log.info("%s: %d events go one by one", self._name, len(batch))
        for stored in batch:
            if self._subscription.must_halt or not await self._with_retries([stored]):
                return

    async def _with_retries(self, batch: Sequence[StoredEvent]) -> bool:
        """False if the subscription had to halt between two tries."""
        events, policy = [stored.event for stored in batch], self._config.retry
        failures = 0
        while True:
            try:
                await self._handle(events)
            except Exception as error:
                failures += 1
                if failures == policy.max_tries or is_connection_lost(error):
                    raise HandlerFailedError(error, events[0].event_id) from error
                said = masked(repr(error), events[0])
                _log.info("%s: try %d on %s: %s", self._name, failures, events[0], said)
            else:
                self._unsaved += batch
                return True
            if await self._subscription.has_to_halt_within(policy.delay_seconds(failures)):
                return False

    async def _handle(self, events: list[DomainEvent]) -> None:
        seconds = self._config.processing_timeout_seconds
        try:
            async with asyncio.timeout(seconds) as limit:
                result = self._call(events)
                if inspect.isawaitable(result):
                    await result
        except TimeoutError as error:
            if limit.expired():
                raise TimeoutError(f"the handler took longer than {seconds:g} s") from error
            raise


#: A subscriber with its checkpoint. A projection is one as it stands.
Target = CheckpointTrackingProjection | HandlerTarget


def target_of(subscription: Subscription, checkpoints: CheckpointRepository) -> Target:
    """TypeError if the subscriber has nothing to call."""
    subscriber = subscription.subscriber
    if isinstance(subscriber, CheckpointTrackingProjection):
        return subscriber
    if callable(batch := getattr(subscriber, "handle_batch", None)):
        return HandlerTarget(subscription, checkpoints, batch, takes_batches=True)
    handle = getattr(subscriber, "handle", subscriber)
    if not callable(handle):
        raise TypeError(
            f"A subscriber is a function, or has handle(event) or handle_batch(events); "
            f"{type(subscriber).__name__} is and has neither."
        )
    return HandlerTarget(subscription, checkpoints, lambda events: handle(events[0]))
