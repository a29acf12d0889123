"""What a repository does with snapshots."""

import logging
from typing import Any, Generic, TypeVar, get_args
from uuid import UUID

from eventsource.aggregates.base import AggregateRoot
from eventsource.exceptions import SnapshotDeserializationError, SnapshotError
from eventsource.observability import ATTR_AGGREGATE_TYPE, ATTR_REASON, create_meter
from eventsource.snapshots.interface import Snapshot, SnapshotStore
from eventsource.snapshots.policies import SnapshotMode, SnapshotWriter, crosses_multiple

_log = logging.getLogger(__name__)

TAggregate = TypeVar("TAggregate", bound=AggregateRoot[Any])


class Snapshotting(Generic[TAggregate]):
    """Takes snapshots of one aggregate type when they are due, and restores from them."""

    def __init__(
        self,
        store: SnapshotStore,
        threshold: int | None,
        mode: SnapshotMode,
        aggregate_type: str,
        enable_metrics: bool,
    ) -> None:
        self.store, self.threshold, self.mode = store, threshold, mode
        self.writer = SnapshotWriter(store)
        self._aggregate_type = aggregate_type
        meter = create_meter(enable_metrics)
        self._misses = meter and meter.create_counter(
            "eventsource.snapshot.misses", "{load}", "Loads that found no snapshot they could use."
        )

    async def restore(self, aggregate: TAggregate) -> bool:
        """Whether the aggregate now stands where its snapshot does. Never an error: the events
        tell everything the snapshot does."""
        aggregate_id = aggregate.aggregate_id
        try:
            snapshot = await self.store.get_snapshot(aggregate_id, self._aggregate_type)
        except SnapshotDeserializationError as error:
            self.ignore(aggregate_id, "deserialization_error", str(error))
            return False
        except Exception as error:  # noqa: BLE001  # a cache must not stop a load
            self.ignore(aggregate_id, "store_error", f"{type(error).__name__}: {error}")
            return False
        if snapshot is None:
            self._count_miss("missing")
            return False
        return self._restore_from(snapshot, aggregate)

    def _restore_from(self, snapshot: Snapshot, aggregate: TAggregate) -> bool:
        if snapshot.schema_version != aggregate.schema_version:
            self.ignore(
                aggregate.aggregate_id,
                "schema_mismatch",
                f"it has schema version {snapshot.schema_version}, {type(aggregate).__name__} "
                f"has {aggregate.schema_version}",
            )
            return False
        try:
            aggregate._restore_from_snapshot(snapshot.state, snapshot.version)
        except Exception as error:  # noqa: BLE001  # a state class may raise anything
            details = f"{type(error).__name__}: {error}"
            self.ignore(aggregate.aggregate_id, "state_restore_failed", details)
            return False
        return True

    def ignore(self, aggregate_id: UUID, reason: str, details: str) -> None:
        """Count it by the reason, and say the details."""
        self._count_miss(reason)
        _log.warning(
            "The snapshot of %s %s is ignored and all events are replayed: %s.",
            self._aggregate_type,
            aggregate_id,
            details,
        )

    def _count_miss(self, reason: str) -> None:
        if self._misses:
            self._misses.add(1, {ATTR_AGGREGATE_TYPE: self._aggregate_type, ATTR_REASON: reason})

    def capture(self, aggregate: TAggregate) -> Snapshot:
        """The aggregate as it is now. SnapshotError while it has events that are not saved."""
        if aggregate.has_uncommitted_events:
            raise SnapshotError(
                f"{aggregate!r} has events that are not saved. Save it, then take the snapshot."
            )
        if aggregate.version == 0:
            raise SnapshotError(f"{aggregate!r} has no events, so there is nothing to keep.")
        return Snapshot(
            aggregate.aggregate_id,
            self._aggregate_type,
            aggregate.version,
            aggregate._serialize_state(),
            aggregate.schema_version,
        )

    async def after_save(self, aggregate: TAggregate, saved: int) -> None:
        """Take the snapshot if the save made one due. Never an error: the events are stored."""
        if self.threshold is None or self.mode == "manual":
            return
        if not crosses_multiple(self.threshold, aggregate.version - saved, aggregate.version):
            return
        try:
            snapshot = self.capture(aggregate)
        except Exception:  # noqa: BLE001  # a state class may raise anything
            _log.exception("No snapshot was taken of %r.", aggregate)
            return
        if self.mode == "background":
            self.writer.write_later(snapshot)
        else:
            await self.writer.write(snapshot)


def check_options(store: SnapshotStore | None, threshold: int | None, mode: SnapshotMode) -> None:
    """ValueError for options that would do nothing or that do not exist."""
    if mode not in get_args(SnapshotMode):
        raise ValueError(
            f"snapshot_mode is {mode!r}; it may be {', '.join(get_args(SnapshotMode))}"
        )
    if threshold is not None and threshold < 1:
        raise ValueError(f"snapshot_threshold counts events; it must be 1 or more, not {threshold}")
    if threshold is not None and store is None:
        raise ValueError("snapshot_threshold needs a snapshot_store to put the snapshots in")
