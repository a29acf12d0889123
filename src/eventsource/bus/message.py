"""An event as the message a broker carries, and the dead letter that it may become."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Self

from eventsource.events.base import DomainEvent
from eventsource.events.registry import EventRegistry
from eventsource.exceptions import EventBusError, EventSourceError
from eventsource.observability import ATTR_EVENT_ID, ATTR_EVENT_TYPE, Tracer, trace_of
from eventsource.serialization import EventReader, encode

_REASON: Final = "dlq_reason"
_ATTEMPTS: Final = "dlq_attempts"
_FAILED_AT: Final = "dlq_failed_at"


@dataclass(frozen=True, slots=True)
class Message:
    """Headers for whoever routes, filters and traces, and the event's JSON text."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message whose handlers failed for good, or that is no event this process can read."""

    id: str  #: the name by which to replay or discard it
    reason: str  #: what went wrong, and in which handlers; no more than 10,000 characters of it
    attempts: int  #: how often handlers were tried; 0 if there was no event to give them
    failed_at: datetime
    message: Message

    @property
    def event_type(self) -> str | None:
        return self.message.headers.get("event_type")

    @property
    def event_id(self) -> str | None:
        return self.message.headers.get("event_id")

    def to_message(self) -> Message:
        facts = {
            _REASON: self.reason,
            _ATTEMPTS: str(self.attempts),
            _FAILED_AT: self.failed_at.isoformat(),
        }
        return replace(self.message, headers={**self.message.headers, **facts})

    @classmethod
    def from_message(cls, letter_id: str, message: Message) -> Self:
        headers = dict(message.headers)
        failed_at = headers.pop(_FAILED_AT, None)
        return cls(
            id=letter_id,
            reason=headers.pop(_REASON, "the broker gave up delivering it"),
            attempts=int(headers.pop(_ATTEMPTS, "0")),
            failed_at=datetime.fromisoformat(failed_at) if failed_at else datetime.now(UTC),
            message=replace(message, headers=headers),
        )


def to_message(event: DomainEvent, tracer: Tracer) -> Message:
    """SerializationError if the event cannot be written as JSON."""
    headers = {
        "event_id": str(event.event_id),
        "event_type": event.event_type,
        "aggregate_id": str(event.aggregate_id),
        "aggregate_type": event.aggregate_type,
        "occurred_at": event.occurred_at.isoformat(),
        **_trace_headers(event, tracer),
    }
    if event.tenant_id is not None:
        headers["tenant_id"] = str(event.tenant_id)
    return Message(headers, encode(event).encode())


def _trace_headers(event: DomainEvent, tracer: Tracer) -> dict[str, str]:
    """The trace that the event was stored in goes on; without one, that of the publisher.

    A batch holds events of many traces, so each gets a span of its own.
    """
    if not (carried := trace_of(event.metadata)):
        return tracer.inject()
    attributes = {ATTR_EVENT_ID: str(event.event_id), ATTR_EVENT_TYPE: event.event_type}
    with tracer.span("eventsource.event_bus.create", attributes, parent=carried):
        return tracer.inject() or carried


def to_event(message: Message, registry: EventRegistry) -> DomainEvent:
    """EventBusError, saying why, if the message is no event of a registered type."""
    try:
        text = message.body.decode()
        event_type = json.loads(text)["event_type"]
        return EventReader(registry).read(event_type, text, lambda: "the bus")
    except EventSourceError as error:
        raise EventBusError(str(error)) from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise EventBusError(
            f"The message is not the JSON text of an event: {type(error).__name__}: {error}"
        ) from error
