"""What an append may store: the rules that are the same for every store."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from eventsource.events.base import DomainEvent
from eventsource.exceptions import (
    AggregateMismatchError,
    DuplicateEventError,
    OptimisticLockError,
)
from eventsource.stores.interface import AppendResult, ExpectedVersion, check_type, stream_id_of


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
    share an id, ValueError for a stream without a type, TypeError for what is no event.
    """
    if not aggregate_type:
        raise ValueError("aggregate_type must not be empty")
    batch: dict[UUID, DomainEvent] = {}
    for event in events:
        check_type(event, DomainEvent, "events are DomainEvents in a list")
        if event.aggregate_id != aggregate_id or event.aggregate_type != aggregate_type:
            raise AggregateMismatchError(
                event.event_id,
                expected=(aggregate_id, aggregate_type),
                actual=(event.aggregate_id, event.aggregate_type),
            )
        known = batch.setdefault(event.event_id, event)
        if known is not event and known != event:
            raise DuplicateEventError(event.event_id, "another event of the same batch")
    return list(batch.values())


@dataclass(frozen=True, slots=True)
class Taken:
    """Where an event of the batch is stored already."""

    event_id: UUID
    stream_id: str
    version: int
    position: int


@dataclass(frozen=True, slots=True)
class ExclusiveAppend:
    """An append by a store that lets nobody else write meanwhile, so it may look first."""

    aggregate_id: UUID
    aggregate_type: str
    expected_version: int

    def answer(
        self, batch: list[DomainEvent], head: AppendResult, taken: Iterable[Taken]
    ) -> AppendResult | list[DomainEvent]:
        """The events to store, with their versions, or the answer if there is nothing to store.

        `head` tells the last version and position of the stream. Raises what `append_events` does.
        """
        known = {one.event_id: one for one in taken}
        stream_id = stream_id_of(self.aggregate_id, self.aggregate_type)
        for one in known.values():
            if one.stream_id != stream_id:
                raise DuplicateEventError(one.event_id, f"an event of stream {one.stream_id}")
        if not batch:
            return head
        if len(known) == len(batch):
            last = max(known.values(), key=lambda one: one.version)
            return AppendResult.successful(last.version, last.position)
        if not is_expected(self.expected_version, head.new_version):
            raise OptimisticLockError(self.aggregate_id, self.expected_version, head.new_version)
        new = [event for event in batch if event.event_id not in known]
        return with_versions(new, head.new_version)


def with_versions(events: Sequence[DomainEvent], stored_version: int) -> list[DomainEvent]:
    """The events as they follow `stored_version`, whatever versions they said."""
    return [
        event if event.aggregate_version == version else event.with_aggregate_version(version)
        for version, event in enumerate(events, start=stored_version + 1)
    ]
