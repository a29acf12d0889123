"""When a snapshot is due, and who waits until it is stored."""

import asyncio
import logging
from typing import Literal

from eventsource.snapshots.interface import Snapshot, SnapshotStore

_log = logging.getLogger(__name__)

#: "sync": a save waits for the snapshot; "background": a task stores it; "manual": you take it.
SnapshotMode = Literal["sync", "background", "manual"]


def crosses_multiple(of: int, before: int, after: int) -> bool:
    """Did the stream pass a multiple on its way from one version to another?

    A save of many events steps over the multiple more often than it lands on it.
    """
    return before // of < after // of


class SnapshotWriter:
    """Stores snapshots, at once or in the background. What fails is logged and raises nothing:
    the events are safe, and the next load replays more of them."""

    def __init__(self, store: SnapshotStore) -> None:
        self._store = store
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pending_count(self) -> int:
        return len(self._tasks)

    async def write(self, snapshot: Snapshot) -> None:
        try:
            await self._store.save_snapshot(snapshot)
        except Exception:  # noqa: BLE001  # the caller has saved its events: nobody is to retry
            _log.exception(
                "The snapshot of %s %s at version %s was not stored.",
                snapshot.aggregate_type,
                snapshot.aggregate_id,
                snapshot.version,
            )

    def write_later(self, snapshot: Snapshot) -> None:
        """The task stores this very snapshot, whatever becomes of its aggregate meanwhile."""
        task = asyncio.create_task(self.write(snapshot))
        self._tasks.add(task)  # the event loop itself keeps no task alive
        task.add_done_callback(self._tasks.discard)

    async def await_pending(self) -> int:
        """Wait for the snapshots on their way; how many there were."""
        pending = list(self._tasks)
        if pending:
            await asyncio.wait(pending)
        return len(pending)
