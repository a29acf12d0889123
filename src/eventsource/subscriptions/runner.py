"""What one subscription does: read a page after its position, deliver it, look for more.

There is one way to events, the store's feed, in catch-up as when live. So nothing can fall between
two phases, and a wake-up that is lost costs no more than the wait for the next poll.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from eventsource.events.base import DomainEvent
from eventsource.events.confidential import masked
from eventsource.exceptions import (
    DatabaseError,
    EventDeliveryError,
    EventStoreConnectionError,
    UnreadableEventError,
)
from eventsource.observability import ATTR_EVENT_COUNT, Tracer
from eventsource.repositories.dlq import DLQRepository
from eventsource.retries import HandlerFailedError
from eventsource.stores.interface import EventStore, ReadDirection, ReadOptions, StoredEvent
from eventsource.stores.paging import read_until_unreadable
from eventsource.subscriptions.config import type_names
from eventsource.subscriptions.delivery import Target, is_connection_lost
from eventsource.subscriptions.subscription import Subscription, SubscriptionState
from eventsource.types import Position

_log = logging.getLogger(__name__)

#: Of the database, not of an event: wait, and do it again.
_TROUBLE: Final = (EventStoreConnectionError, DatabaseError, DBAPIError)

_FIRST_LOOK_SECONDS: Final = 0.02


Report = Callable[[Subscription, Exception], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Place:
    """An event's place in the feed, whether it can be read or not."""

    position: Position
    event_id: UUID
    event_type: str
    event_data: str | None = None
    event: DomainEvent | None = None

    @classmethod
    def of(cls, stored: StoredEvent) -> "_Place":
        place = stored.position, stored.event_id, stored.event_type
        return cls(*place, event=stored.event)

    @classmethod
    def of_unreadable(cls, error: UnreadableEventError) -> "_Place":
        return cls(error.feed_position, error.event_id, error.event_type, error.event_data)

    def dead_letter_data(self) -> dict[str, Any]:
        return {"stored": self.event_data} if self.event is None else self.event.to_dict()


class Runner:
    """Runs one subscription until it is asked to stop, or cannot go on."""

    def __init__(
        self,
        subscription: Subscription,
        target: Target,
        event_store: EventStore,
        dead_letters: DLQRepository | None,
        *,
        report: Report,
        tracer: Tracer,
    ) -> None:
        self._subscription = subscription
        self._config = subscription.config
        self._target = target
        self._event_store = event_store
        self._dead_letters = dead_letters if self._config.continue_on_error else None
        self._report = report
        self._tracer = tracer
        wanted = self._config.event_types
        if wanted is None and hasattr(subscription.subscriber, "subscribed_to"):
            wanted = subscription.subscriber.subscribed_to()
        self._types = type_names(wanted)
        self._checkpoint: Position | None = None
        self._cursor: Position | None = None

    async def run(self) -> None:
        """Raises what it cannot go on after."""
        subscription, look_after, troubles = self._subscription, _FIRST_LOOK_SECONDS, 0
        while not subscription.must_stop:
            subscription.is_awake()
            await subscription.while_paused()
            try:
                found = await self._next_page()
                troubles, subscription.trouble = 0, None
            except _TROUBLE as error:
                _end_if_cancelled(error)
                troubles += 1
                await self._wait_out(error, troubles)
                continue
            if found or subscription.must_halt:
                look_after = _FIRST_LOOK_SECONDS
                continue
            subscription.move_to(SubscriptionState.LIVE)
            # An older transaction may hold back what the bell was rung for, and ends without
            # ringing. So after a ring look soon and then less and less often.
            rung = await subscription.is_woken_within(look_after)
            longest = self._config.poll_interval_seconds
            look_after = min(_FIRST_LOOK_SECONDS if rung else 2 * look_after, longest)

    async def _wait_out(self, error: Exception, troubles: int) -> None:
        subscription = self._subscription
        subscription.trouble = error
        seconds = self._config.retry.delay_seconds(troubles)
        _log.warning("%s waits for %.1f s: %s", subscription.name, seconds, error)
        await self._report(subscription, error)
        await subscription.has_to_halt_within(seconds)

    async def _next_page(self) -> bool:
        """Deliver one page; False if that was empty."""
        await self._find_place()
        if self._subscription.state is not SubscriptionState.LIVE:
            self._subscription.move_to(SubscriptionState.CATCHING_UP)
        end = await self._last_of_all() if self._is_filtered else None
        page, unreadable = await self._read_page()
        delivered = await self._deliver(page)
        if self._subscription.must_halt or not delivered:
            return bool(page)
        if unreadable is not None:
            await self._give_up(_Place.of_unreadable(unreadable), unreadable)
        elif len(page) < self._config.batch_size and end and end.position > self._cursor_or_start:
            # Nothing up to there is for us, and whoever waits for our checkpoint may know it.
            await self._skip(end)
        return bool(page or unreadable)

    async def _find_place(self) -> None:
        """Where the checkpoint stands, or where we read to after it, if nobody moved it."""
        checkpoint = await self._target.get_position()
        if self._cursor is None or checkpoint != self._checkpoint:
            self._checkpoint, self._cursor = checkpoint, checkpoint
            if checkpoint is None:
                self._cursor = await self._start()
        self._subscription.position = self._cursor

    async def _start(self) -> Position:
        start_from = self._config.start_from
        if isinstance(start_from, Position):
            return start_from
        if start_from == "end" and (last := await self._last_of_all()):
            # Or a restart before the first event would take a later end.
            await self._skip(last)
            return last.position
        return Position.START

    async def _last_of_all(self) -> _Place | None:
        last = ReadOptions(direction=ReadDirection.BACKWARD, limit=1)
        try:
            async for stored in self._event_store.read_all(last):
                return _Place.of(stored)
        except UnreadableEventError as error:
            return _Place.of_unreadable(error)
        return None

    async def _read_page(self) -> tuple[list[StoredEvent], UnreadableEventError | None]:
        options = ReadOptions(
            from_position=self._cursor_or_start,
            limit=self._config.batch_size,
            tenant_id=self._config.tenant_id,
            event_types=self._types,
            aggregate_types=self._config.aggregate_types,
        )
        return await read_until_unreadable(self._event_store.read_all(options))

    async def _deliver(self, page: Sequence[StoredEvent]) -> bool:
        """False if the page is the wrong one by now: somebody else has moved the checkpoint."""
        name = "eventsource.subscription.deliver"
        while page and not self._subscription.must_halt:
            failed, before = None, self._checkpoint
            try:
                with self._tracer.span(name, {ATTR_EVENT_COUNT: len(page)}):
                    moved = await self._target.advance(page, self._checkpoint)
            except HandlerFailedError as error:
                if is_connection_lost(error.error):
                    raise EventStoreConnectionError(str(error)) from error.error
                failed, moved = error, True
            page = await self._what_is_left_of(page)
            if before is not None and (self._checkpoint is None or self._checkpoint < before):
                return False  # a reset: what stands before this page comes again first
            if not moved:
                _log.warning(
                    "%s: another process has moved the checkpoint. If both run, events are "
                    "handled twice: give the managers a leader.",
                    self._subscription.name,
                )
                return False
            if failed is not None:
                if not page or page[0].event_id != failed.event_id:
                    return False  # the checkpoint was moved meanwhile, and may be past the failure
                await self._give_up(_Place.of(page[0]), failed.error)
                page = page[1:]
        return True

    async def _what_is_left_of(self, page: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
        await self._find_place()
        left = [stored for stored in page if stored.position > self._cursor_or_start]
        if done := len(page) - len(left):
            self._subscription.count(done)
        return left

    async def _give_up(self, place: _Place, error: Exception) -> None:
        """File the event and go on, or raise EventDeliveryError."""
        subscription = self._subscription
        said = masked(str(error), place.event)
        failed = EventDeliveryError(subscription.name, place.event_id, place.position, error, said)
        subscription.last_error = failed
        if self._dead_letters is not None:
            await self._dead_letters.add_failed_event(
                place.event_id,
                subscription.name,
                place.event_type,
                place.dead_letter_data(),
                failed,
                self._config.retry.max_tries,
                event=place.event,
            )
            subscription.dead_letters += 1
            await self._skip(place)
            _log.error("A dead letter: %s", failed)
        subscription.events_failed += 1
        await self._report(subscription, failed)
        if self._dead_letters is None:
            raise failed

    async def _skip(self, place: _Place) -> None:
        if await self._target.skip(
            place.position, place.event_id, place.event_type, self._checkpoint
        ):
            self._checkpoint = self._cursor = self._subscription.position = place.position

    @property
    def _is_filtered(self) -> bool:
        config = self._config
        filters = (self._types, config.aggregate_types, config.tenant_id)
        return any(each is not None for each in filters)

    @property
    def _cursor_or_start(self) -> Position:
        return self._cursor or Position.START


def _end_if_cancelled(error: Exception) -> None:
    """A cancelled transaction whose connection has died fails to roll back, and that is raised."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error
