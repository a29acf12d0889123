"""What an append may store: the rules that are the same for every store."""

from collections.abc import Sequence
from uuid import UUID

from eventsource.events.base import DomainEvent
from eventsource.exceptions import AggregateMismatchError, DuplicateEventError
from eventsource.stores.interface import ExpectedVersion, check_type

_LONGEST_NAME = 255  #: characters, in a column on PostgreSQL: so in every store


def check_expected_version(expected_version: int) -> None:
    check_type(expected_version, int, "expected_version is a number")
    if expected_version < ExpectedVersion.STREAM_EXISTS:
        raise ValueError(
            f"expected_version is a version or one of ExpectedVersion, not {expected_version}"
        )


def is_expected(expected_version: int, actual_version: int) -> bool:
    """The version rule of `append_events`."""
    if expected_version == ExpectedVersion.ANY:
        return True
    if expected_version == ExpectedVersion.STREAM_EXISTS:
        return actual_version > 0
    return expected_version == actual_version


def check_batch(
    aggregate_id: UUID, aggregate_type: str, events: Sequence[DomainEvent]
) -> list[DomainEvent]:
    """The batch without repeated events.

    AggregateMismatchError for a foreign event, DuplicateEventError for two different events that
    share an id, ValueError for a stream without a type and for a name of more than 255 characters,
    TypeError for what is no event.
    """
    if not aggregate_type:
        raise ValueError("aggregate_type must not be empty")
    _check_length("aggregate_type", aggregate_type)
    batch: dict[UUID, DomainEvent] = {}
    for event in events:
        check_type(event, DomainEvent, "events are DomainEvents in a list")
        if event.aggregate_id != aggregate_id or event.aggregate_type != aggregate_type:
            raise AggregateMismatchError(
                event.event_id,
                expected=(aggregate_id, aggregate_type),
                actual=(event.aggregate_id, event.aggregate_type),
            )
        _check_length("event_type", event.event_type)
        _check_length("actor_id", event.actor_id or "")
        known = batch.setdefault(event.event_id, event)
        if known is not event and known != event:
            raise DuplicateEventError(event.event_id, "another event of the same batch")
    return list(batch.values())


def _check_length(field: str, name: str) -> None:
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"{field} has {len(name)} characters, and {_LONGEST_NAME} is the most")


def with_versions(events: Sequence[DomainEvent], stored_version: int) -> list[DomainEvent]:
    """The events as they follow `stored_version`, whatever versions they said."""
    return [
        event if event.aggregate_version == version else event.with_aggregate_version(version)
        for version, event in enumerate(events, start=stored_version + 1)
    ]
