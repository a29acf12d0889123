"""The port every snapshot store implements, and the value that crosses it."""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from eventsource.exceptions import SnapshotDeserializationError, SnapshotError


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An aggregate's state after its event number `version`. `state` holds JSON values only."""

    aggregate_id: UUID
    aggregate_type: str
    version: int
    state: dict[str, Any]
    schema_version: int = 1
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        if not isinstance(self.aggregate_id, UUID):
            raise TypeError(f"aggregate_id is a UUID, not {self.aggregate_id!r}")
        if self.version < 1:
            raise ValueError(f"A snapshot is of version 1 or later, not {self.version}")
        if self.created_at.tzinfo is None:
            raise ValueError("created_at needs a time zone, for example datetime.now(UTC)")


class SnapshotStore(ABC):
    """Keeps the latest snapshot of each aggregate.

    Snapshots are a cache: deleting any of them loses nothing. Delete them all when you restore
    the events from a backup, since they may tell of events that are no more.
    """

    @abstractmethod
    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep it, unless the one that is there is of a later version or, at the same version, of
        a later schema. SnapshotError for a state that is not JSON."""

    @abstractmethod
    async def get_snapshot(self, aggregate_id: UUID, aggregate_type: str) -> Snapshot | None:
        """SnapshotDeserializationError for one that cannot be read."""

    @abstractmethod
    async def delete_snapshot(self, aggregate_id: UUID, aggregate_type: str) -> bool:
        """False if there was none."""

    @abstractmethod
    async def snapshot_exists(self, aggregate_id: UUID, aggregate_type: str) -> bool: ...

    @abstractmethod
    async def delete_snapshots_by_type(
        self, aggregate_type: str, schema_version_below: int | None = None
    ) -> int:
        """Delete those of a type, or of its schema versions below the given one. How many?"""


def state_to_text(snapshot: Snapshot) -> str:
    """ASCII only: characters that a database refuses are escaped."""
    if not isinstance(snapshot.state, dict):
        raise SnapshotError(
            f"The state of {snapshot.aggregate_type} {snapshot.aggregate_id} is a "
            f"{type(snapshot.state).__name__}, and must be a dict"
        )
    try:
        text = json.dumps(snapshot.state, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise SnapshotError(
            f"The state of {snapshot.aggregate_type} {snapshot.aggregate_id} is no JSON: {error}"
        ) from error
    return text


def state_from_text(text: str, aggregate_id: UUID, aggregate_type: str) -> dict[str, Any]:
    try:
        state = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SnapshotDeserializationError(aggregate_id, aggregate_type, str(error)) from error
    if not isinstance(state, dict):
        raise SnapshotDeserializationError(aggregate_id, aggregate_type, "it is no JSON object.")
    return state
