"""The port of an event bus.

What every bus promises:

- `publish` returns once the bus answers for the events: a broker has confirmed them, the
  in-memory bus has run the handlers.
- An event goes to every handler that subscribed to its class or to a base class of it, and to
  those that want all events, at the same time. One handler's failure does not keep the others from
  running; those that failed, and no others, are called again.
- What keeps failing, is of an unknown type or cannot be read becomes a dead letter that says why.
- With a broker: a message is acknowledged after its handlers succeeded or its dead letter is kept.
  A consumer that dies before that gets it again, so delivery is at least once and handlers must
  bear repetition (the inbox helps). One aggregate's events arrive in the order of publishing.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from eventsource.bus.dispatch import BUS_RETRIES, Dispatcher
from eventsource.bus.message import DeadLetter, Message, to_event, to_message
from eventsource.events.base import DomainEvent
from eventsource.events.confidential import masked
from eventsource.events.registry import EventRegistry, default_registry
from eventsource.exceptions import EventBusError
from eventsource.observability import (
    ATTR_AGGREGATE_ID,
    ATTR_EVENT_COUNT,
    ATTR_EVENT_TYPE,
    Tracer,
    create_tracer,
)
from eventsource.protocols import AnyEventHandler, EventSubscriber
from eventsource.retries import RetryPolicy

_log = logging.getLogger(__name__)

# Brokers carry it as a header: UTF-8, and in RabbitMQ all headers together have 128 KiB.
_LONGEST_REASON = 10_000


@dataclass(slots=True)
class BusStats:
    """Counted since this bus object was made."""

    events_published: int = 0
    events_handled: int = 0  #: deliveries of which every handler succeeded
    handler_errors: int = 0  #: failed calls of a handler, retries included
    dead_letters: int = 0
    reconnections: int = 0


class EventBus(ABC):
    """Subscribe first, then publish. Subscribing needs no `await` and works from any thread."""

    def __init__(
        self,
        event_registry: EventRegistry | None = None,
        *,
        retry: RetryPolicy | None = None,
        tracer: Tracer | None = None,
        enable_tracing: bool = True,
    ) -> None:
        self.stats = BusStats()
        self._registry = event_registry or default_registry
        self._dispatcher = Dispatcher(retry or BUS_RETRIES)
        self._tracer = tracer or create_tracer(__name__, enable_tracing)

    def subscribe(self, event_class: type[DomainEvent], handler: AnyEventHandler) -> None:
        """Give the handler the events of this class and its subclasses.

        A handler is a function or an object with `handle`, async or not; TypeError otherwise. One
        that is not async blocks the event loop while it runs.
        """
        self._dispatcher.add(event_class, handler)

    def unsubscribe(self, event_class: type[DomainEvent], handler: AnyEventHandler) -> bool:
        """False if it was not subscribed."""
        return self._dispatcher.remove(event_class, handler)

    def subscribe_all(self, subscriber: EventSubscriber) -> None:
        """Subscribe it to each class that it names."""
        for event_class in subscriber.subscribed_to():
            self.subscribe(event_class, subscriber)

    def subscribe_to_all_events(self, handler: AnyEventHandler) -> None:
        self.subscribe(DomainEvent, handler)

    def unsubscribe_from_all_events(self, handler: AnyEventHandler) -> bool:
        """False if it was not subscribed to all events."""
        return self.unsubscribe(DomainEvent, handler)

    async def publish(self, events: Sequence[DomainEvent]) -> None:
        """Hand over the events; events of one aggregate keep their order.

        SerializationError, with nothing sent, if one cannot be written as JSON; EventBusError if
        the broker refuses or cannot be reached. Some may have been sent then: publish all again.
        """
        if not events:
            return
        with self._tracer.span("eventsource.event_bus.publish", {ATTR_EVENT_COUNT: len(events)}):
            await self._publish(events, [to_message(event, self._tracer) for event in events])
        self.stats.events_published += len(events)

    @abstractmethod
    async def _publish(self, events: Sequence[DomainEvent], messages: Sequence[Message]) -> None:
        """Send them; `messages` are the events as a broker carries them."""

    @abstractmethod
    async def get_dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """The oldest first."""

    @abstractmethod
    async def _find_dead_letter(self, letter_id: str) -> DeadLetter | None: ...

    @abstractmethod
    async def discard_dead_letter(self, letter_id: str) -> bool:
        """Forget it for good. False if there is none of this id."""

    async def replay_dead_letter(self, letter_id: str) -> None:
        """Run this bus's handlers on it again, and forget it once they all succeeded.

        EventBusError if there is none, it cannot be read, or a handler fails again.
        """
        letter = await self._find_dead_letter(letter_id)
        if letter is None:
            raise EventBusError(f"There is no dead letter {letter_id}.")
        if again := await self._process(letter.message):
            raise EventBusError(f"Dead letter {letter_id} failed again: {again.reason}")
        await self.discard_dead_letter(letter_id)

    @abstractmethod
    async def shutdown(self, timeout_seconds: float = 30.0) -> None:
        """Let what is under way finish, for at most `timeout_seconds`, and let go of everything."""

    async def _process(self, message: Message) -> DeadLetter | None:
        """Run the handlers; what to keep, if that failed for good."""
        try:
            event = to_event(message, self._registry)
        except EventBusError as error:
            _log.error("A message cannot be read and becomes a dead letter: %s", error)
            return self._dead_letter(message, str(error), attempts=0)
        return await self._deliver(event, message)

    async def _deliver(self, event: DomainEvent, message: Message) -> DeadLetter | None:
        attributes = {
            ATTR_EVENT_TYPE: event.event_type,
            ATTR_AGGREGATE_ID: str(event.aggregate_id),
        }
        with self._tracer.span(
            "eventsource.event_bus.handle", attributes, parent=dict(message.headers)
        ):
            failures, errors, tries = await self._dispatcher.dispatch(event)
        self.stats.handler_errors += errors
        if not failures:
            self.stats.events_handled += 1
            return None
        reason = masked("; ".join(map(str, failures)), event)
        _log.error("%s becomes a dead letter: %s", event, reason)
        return self._dead_letter(message, reason, tries)

    def _dead_letter(self, message: Message, reason: str, attempts: int) -> DeadLetter:
        self.stats.dead_letters += 1
        text = reason[:_LONGEST_REASON].encode("utf-8", "backslashreplace").decode()
        return DeadLetter(str(uuid4()), text, attempts, datetime.now(UTC), message)
