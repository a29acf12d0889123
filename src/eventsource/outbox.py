"""From the outbox to a bus: every event at least once, each stream in order.

The transactional outbox of Chris Richardson, "Microservices Patterns" (2018).
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from uuid import UUID

from eventsource.background import log_failure
from eventsource.events.base import DomainEvent
from eventsource.events.confidential import masked
from eventsource.events.registry import EventRegistry, default_registry
from eventsource.exceptions import EventSourceError, EventStoreError, SchemaError
from eventsource.notifications import Doorbell
from eventsource.observability import ATTR_EVENT_COUNT, Tracer, create_tracer
from eventsource.repositories.outbox import OutboxEntry, OutboxRepository
from eventsource.serialization import EventReader
from eventsource.stores.interface import EventPublisher
from eventsource.type_conversion import DefaultTypeConverter, TypeConverter

_log = logging.getLogger(__name__)

_LONGEST_DELAY_SECONDS = 300.0
_OUTAGE_AFTER = 3  # failures in a row, before anything went out


@dataclass(slots=True)
class _Batch:
    """Claimed entries, and what became of them."""

    entries: list[OutboxEntry]
    published: list[UUID] = field(default_factory=list)
    failures: dict[UUID, Exception] = field(default_factory=dict)
    reasons: dict[UUID, str] = field(default_factory=dict)  # as they may be kept

    def fail(self, entry: OutboxEntry, error: Exception, event: DomainEvent | None) -> None:
        self.failures[entry.id] = error
        self.reasons[entry.id] = masked(f"{type(error).__name__}: {error}", event)

    def waiting(self) -> list[OutboxEntry]:
        """Entries that are neither through nor behind a failure in their stream, in order."""
        done, blocked, waiting = set(self.published), set(), []
        for entry in self.entries:
            if entry.id in self.failures:
                blocked.add(entry.stream)
            elif entry.id not in done and entry.stream not in blocked:
                waiting.append(entry)
        return waiting

    def next_of_any_stream(self) -> OutboxEntry | None:
        heads = {entry.stream: entry for entry in reversed(self.waiting())}
        # At random, so that a few that fail do not always come first and look like an outage.
        return random.choice(list(heads.values())) if heads else None  # noqa: S311  # no secret

    def is_outage(self) -> bool:
        """Nothing went out and nothing but connections failed: that is no event's fault."""
        failures = self.failures.values()
        return not self.published and all(isinstance(error, OSError) for error in failures)


class OutboxPublisher:
    """Publishes pending entries of an outbox, beside as many others as you like.

    Run it with `async with`, or await `run()`. Consumers get every event at least once: after a
    crash some come again, and an inbox makes their effect happen once. The first deliveries of a
    stream's events are in order.

    Up to `batch_size` events go to one call of `publish`; if it raises, they go one by one. What
    fails alone is tried again after `retry_delay_seconds`, doubled each time up to 5 minutes; after
    `max_attempts` it is parked as failed, and holds back its stream but no other. Errors that are
    an OSError (ConnectionError, TimeoutError) count only if other events went out meanwhile:
    otherwise the broker is down, and the publisher waits for it.

    The entries of a killed publisher come back after `lease_seconds`; one call of `publish` may
    take a sixth of that. A `doorbell` wakes the publisher between two polls.
    """

    def __init__(
        self,
        outbox: OutboxRepository,
        publisher: EventPublisher,
        *,
        batch_size: int = 100,
        poll_interval_seconds: float = 1.0,
        lease_seconds: float = 60.0,
        max_attempts: int = 10,
        retry_delay_seconds: float = 1.0,
        doorbell: Doorbell | None = None,
        event_registry: EventRegistry | None = None,
        type_converter: TypeConverter | None = None,
        tracer: Tracer | None = None,
        enable_tracing: bool = True,
    ) -> None:
        if batch_size < 1 or max_attempts < 1:
            raise ValueError("batch_size and max_attempts must be at least 1")
        if min(poll_interval_seconds, lease_seconds, retry_delay_seconds) <= 0:
            raise ValueError("poll_interval, lease and retry_delay must be more than 0 seconds")
        self._outbox = outbox
        self._publisher = publisher
        self._batch_size = batch_size
        self._poll_interval_seconds = poll_interval_seconds
        self._lease_seconds = lease_seconds
        self._longest_call_seconds = lease_seconds / 6
        self._max_attempts = max_attempts
        self._retry_delay_seconds = retry_delay_seconds
        self._doorbell = doorbell
        self._reader = EventReader(
            event_registry or default_registry, type_converter or DefaultTypeConverter()
        )
        self._tracer = tracer or create_tracer(__name__, enable_tracing)
        self._stopped = asyncio.Event()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Publish until `stop()`. Waits out brokers and databases that are down.

        SchemaError if the outbox lacks its table or a column.
        """
        try:
            async with self._listening():
                await self._run()
        finally:
            self._stopped.clear()

    def wake(self) -> None:
        """Look for entries now. To be called in the publisher's own event loop."""
        self._woken.set()

    def stop(self) -> None:
        """End `run()` when the entries now being published are through."""
        self._stopped.set()
        self._woken.set()

    async def __aenter__(self) -> Self:
        if self._task is not None:
            raise RuntimeError("This OutboxPublisher runs already.")
        self._task = asyncio.create_task(self.run(), name="outbox-publisher")
        told = log_failure(_log, "The outbox publisher has stopped: %s")
        self._task.add_done_callback(told)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        if task is not None:
            if not task.done():  # or the next run would end at once
                self.stop()
            await task

    async def publish_batch(self) -> int:
        """Publish what is to be had now, at most one batch; the number of events that went out.

        If nothing went out because the broker is out of reach, the entries are released and its
        error is raised. If cancelled, likewise: some entries may have gone out and go again.
        """
        deadline = time.monotonic() + self._lease_seconds - self._longest_call_seconds
        batch = _Batch(await self._outbox.claim(self._batch_size, self._lease_seconds))
        if not batch.entries:
            return 0
        with self._tracer.span(
            "eventsource.outbox.publish", {ATTR_EVENT_COUNT: len(batch.entries)}
        ):
            try:
                await self._publish(batch, deadline)
            finally:
                await self._settle(batch)
        if batch.failures and batch.is_outage():
            raise next(iter(batch.failures.values()))
        return len(batch.published)

    async def _publish(self, batch: _Batch, deadline: float) -> None:
        if len(together := self._never_failed(batch)) > 1:
            try:
                await self._send(list(together.values()))
                batch.published += together
            except Exception as error:  # noqa: BLE001  # whose fault it is shows when they go alone
                said = repr(error)
                for event in together.values():
                    said = masked(said, event)
                _log.info("Publishing %d events one by one: %s", len(together), said)
        while entry := batch.next_of_any_stream():
            given_up = len(batch.failures) >= _OUTAGE_AFTER and batch.is_outage()
            if given_up or time.monotonic() >= deadline:
                return
            alone = None
            try:
                await self._send([alone := self._event(entry)])
                batch.published.append(entry.id)
            except Exception as error:  # noqa: BLE001  # kept with the entry
                batch.fail(entry, error, alone)

    def _never_failed(self, batch: _Batch) -> dict[UUID, DomainEvent]:
        """Events that may go together: nothing in their stream has failed so far."""
        suspects = {entry.stream for entry in batch.entries if entry.retry_count}
        events = {}
        for entry in batch.entries:
            if entry.stream not in suspects:
                try:
                    events[entry.id] = self._event(entry)
                except EventSourceError:
                    suspects.add(entry.stream)
        return events

    def _event(self, entry: OutboxEntry) -> DomainEvent:
        return self._reader.read(
            entry.event_type, entry.event_data, lambda: f"outbox entry {entry.id}"
        )

    async def _send(self, events: list[DomainEvent]) -> None:
        async with asyncio.timeout(self._longest_call_seconds):
            await self._publisher.publish(events)

    async def _settle(self, batch: _Batch) -> None:
        # What went out is marked last: with its first entry unmarked, the stream is still ours.
        blamed = {} if batch.is_outage() else batch.failures
        settled = {*batch.published, *blamed}
        if given_back := [entry.id for entry in batch.entries if entry.id not in settled]:
            await self._outbox.release(*given_back)
        for entry in batch.entries:
            if entry.id in blamed:
                await self._settle_failure(entry, batch.reasons[entry.id])
        if batch.published:
            await self._outbox.mark_published(*batch.published)

    async def _settle_failure(self, entry: OutboxEntry, reason: str) -> None:
        delay = _delay(self._retry_delay_seconds, entry.retry_count)
        await self._outbox.increment_retry(entry.id, reason, delay_seconds=delay)
        attempt, of = entry.retry_count + 1, self._max_attempts
        _log.warning(
            "Event %s not published, attempt %d of %d: %s", entry.event_id, attempt, of, reason
        )
        if attempt >= of:
            await self._outbox.mark_failed(entry.id, reason)
            _log.error("Outbox entry %s is parked; requeue() tries it again.", entry.id)

    async def _run(self) -> None:
        troubles = 0
        while not self._stopped.is_set():
            self._woken.clear()
            try:
                if not await self.publish_batch():
                    await _wait(self._woken, self._poll_interval_seconds)
                troubles = 0
            except SchemaError:
                raise
            except (OSError, EventStoreError) as error:
                delay = _delay(self._retry_delay_seconds, troubles)
                troubles += 1
                _log.warning("Nothing is published for %g s: %s", delay, error)
                await _wait(self._stopped, delay)

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        if self._doorbell is None:
            yield
            return
        listener = asyncio.create_task(self._doorbell.listen(self.wake))
        try:
            yield
        finally:
            listener.cancel()
            await asyncio.wait([listener])


def _delay(first_seconds: float, failures: int) -> float:
    return min(first_seconds * 2.0 ** min(failures, 30), _LONGEST_DELAY_SECONDS)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
