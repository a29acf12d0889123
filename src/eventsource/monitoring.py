"""What an operator has to know: how far readers lag behind the log, and how old the outbox is."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from eventsource.exceptions import EventStoreError
from eventsource.observability import ATTR_PROJECTION_NAME, create_meter
from eventsource.repositories.checkpoint import CheckpointData, CheckpointRepository
from eventsource.repositories.outbox import OutboxRepository, OutboxStats
from eventsource.stores.interface import EventStore, ReadOptions
from eventsource.types import Position

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lag:
    """How much of the log a reader has not processed. `events` counts positions, of which some may
    never have been used; `seconds` is how long the first of these events has been stored."""

    events: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Measurements:
    lags: Mapping[str, Lag] = field(default_factory=dict)  #: by the name of the checkpoint
    outbox: OutboxStats | None = None


class Monitor:
    """Measures, and sets gauges of OpenTelemetry where that is installed.

    - `eventsource.feed.lag` (events) and `eventsource.feed.delay` (seconds), of each checkpoint
    - `eventsource.outbox.pending` and `eventsource.outbox.failed` (events), and
      `eventsource.outbox.age` (seconds) of the oldest pending one

    A delay that grows means that a reader is stuck, or too slow: alert on it.
    """

    def __init__(
        self,
        event_store: EventStore,
        checkpoints: CheckpointRepository | None = None,
        outbox: OutboxRepository | None = None,
    ) -> None:
        self._event_store = event_store
        self._checkpoints = checkpoints
        self._outbox = outbox
        meter = create_meter()
        self._gauges = meter and {
            name: meter.create_gauge(f"eventsource.{name}", unit)
            for name, unit in {
                "feed.lag": "{event}",
                "feed.delay": "s",
                "outbox.pending": "{event}",
                "outbox.failed": "{event}",
                "outbox.age": "s",
            }.items()
        }

    async def measure(self) -> Measurements:
        """Measure now. Costs a few indexed queries, and one over the outbox."""
        lags = {}
        if self._checkpoints is not None:
            end = await self._event_store.get_feed_end()
            for checkpoint in await self._checkpoints.get_all_checkpoints():
                if "#" not in checkpoint.projection_name:  # notes that go by a reader's name
                    lag = lags[checkpoint.projection_name] = await self._lag(checkpoint, end)
                    reader = {ATTR_PROJECTION_NAME: checkpoint.projection_name}
                    self._set("feed.lag", lag.events, reader)
                    self._set("feed.delay", lag.seconds, reader)
        stats = None
        if self._outbox is not None:
            stats = await self._outbox.get_stats()
            self._set("outbox.pending", stats.pending_count)
            self._set("outbox.failed", stats.failed_count)
            self._set("outbox.age", stats.oldest_pending_age_seconds)
        return Measurements(lags, stats)

    async def run(self, interval_seconds: float = 15.0) -> None:
        """Measure for ever. Cancel it to stop; a database that is out of reach does not."""
        while True:
            try:
                await self.measure()
            except EventStoreError as error:
                _log.warning("Nothing was measured: %s", error)
            await asyncio.sleep(interval_seconds)

    async def _lag(self, checkpoint: CheckpointData, end: Position) -> Lag:
        after = checkpoint.position or Position.START
        options = ReadOptions(from_position=after, limit=1)
        async for stored in self._event_store.read_all(options):
            waiting = (datetime.now(UTC) - stored.stored_at).total_seconds()
            return Lag(max(1, end.sequence - after.sequence), max(0.0, waiting))
        return Lag()

    def _set(self, name: str, value: float, attributes: Mapping[str, str] | None = None) -> None:
        if self._gauges:
            self._gauges[name].set(value, attributes)
