"""Projections that are updated in the transaction of the append."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from eventsource.backoff import back_off
from eventsource.events.base import DomainEvent
from eventsource.exceptions import ProjectionError
from eventsource.projections.database import DatabaseProjection
from eventsource.projections.transactions import ReadModelDatabase
from eventsource.retries import HandlerFailedError
from eventsource.stores.interface import AppendResult, EventStore
from eventsource.stores.wrapper import EventStoreWrapper

_MOST_ATTEMPTS = 10
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.005, 1.0
_TRY_AGAIN = {"40001", "40P01"}  # serialization failure, deadlock


class InlineEventStore(EventStoreWrapper):
    """The event store with `inline` projections that every append through here updates in its
    own transaction: the read model is never behind, and a handler's error refuses the append.

    All appends to the log must come this way, and the tables must be in the database of the log.
    Appends that change the same rows wait for each other; one that is the victim of a deadlock is
    repeated.
    """

    def __init__(self, event_store: EventStore, projections: Sequence[DatabaseProjection]) -> None:
        if not projections:
            raise ValueError("InlineEventStore needs at least one projection")
        if outsiders := [each.projection_name for each in projections if not each.inline]:
            raise ValueError(
                f"{', '.join(outsiders)}: set inline = True in the class. A projection that reads "
                "the feed as well would count every event twice."
            )
        super().__init__(event_store)
        # In one order for everybody, so that appends cannot lock each other out.
        self._projections = sorted(projections, key=lambda each: each.projection_name)

    @property
    def _database(self) -> ReadModelDatabase:
        return self._projections[0].database

    async def append_events(
        self,
        aggregate_id: UUID,
        aggregate_type: str,
        events: Sequence[DomainEvent],
        expected_version: int,
        *,
        transaction: Any = None,
    ) -> AppendResult:
        """As the port says; ProjectionError, and nothing stored, if a projection's handler
        fails. An event that was stored before is not projected again."""
        attempt = 0
        while True:
            attempt += 1
            try:
                async with self._database.transaction(transaction) as joined:
                    return await self._append_in(
                        joined, aggregate_id, aggregate_type, events, expected_version
                    )
            except Exception as error:
                last = transaction is not None or attempt == _MOST_ATTEMPTS
                if last or _sqlstate(error) not in _TRY_AGAIN:
                    raise
            await back_off(attempt, _FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS)

    async def _append_in(
        self,
        transaction: Any,
        aggregate_id: UUID,
        aggregate_type: str,
        events: Sequence[DomainEvent],
        expected_version: int,
    ) -> AppendResult:
        for projection in self._projections:
            await self._database.lock(transaction, projection.projection_name, shared=True)
        # Alone in the stream, "not stored yet" stays true until the append has been made.
        await self._database.lock(transaction, f"{aggregate_id}:{aggregate_type}")
        event_ids = [event.event_id for event in events]
        known = await self._database.known_events(transaction, event_ids)
        result = await self._event_store.append_events(
            aggregate_id, aggregate_type, events, expected_version, transaction=transaction
        )
        new = list({each.event_id: each for each in events if each.event_id not in known}.values())
        first_version = result.new_version - len(new) + 1
        for version, event in enumerate(new, start=first_version):
            await self._project(event.with_aggregate_version(version), transaction)
        return result

    async def _project(self, event: DomainEvent, transaction: Any) -> None:
        for projection in self._projections:
            try:
                await projection._apply(event, replaying=False, transaction=transaction)
            except HandlerFailedError as failure:
                raise ProjectionError(
                    projection.projection_name,
                    event.event_id,
                    f"{type(failure.error).__name__}: {failure.error}. Nothing was stored.",
                ) from failure.error


def _sqlstate(error: BaseException | None) -> str | None:
    """PostgreSQL's code of the error that started it all."""
    while error is not None:
        for source in (error, getattr(error, "orig", None)):
            if sqlstate := getattr(source, "sqlstate", None):
                return str(sqlstate)
        error = error.__cause__
    return None
