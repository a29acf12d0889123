"""What the SQL snapshot stores share: one text of each statement serves all backends."""

from uuid import UUID

from eventsource.repositories.sql import SQLRepository, record
from eventsource.snapshots.interface import (
    Snapshot,
    SnapshotStore,
    state_from_text,
    state_to_text,
)

# A slow writer must not replace what a faster one has taken later.
_SAVE = """
INSERT INTO snapshots AS stored (
    aggregate_id, aggregate_type, version, schema_version, state, created_at
)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (aggregate_id, aggregate_type) DO UPDATE SET
    version = excluded.version,
    schema_version = excluded.schema_version,
    state = excluded.state,
    created_at = excluded.created_at
WHERE (stored.version, stored.schema_version) <= (excluded.version, excluded.schema_version)
"""

# As text, because drivers are set up to parse JSON each in its own way.
_GET = """
SELECT aggregate_id, aggregate_type, version, schema_version, CAST(state AS TEXT) AS state,
    created_at
FROM snapshots
WHERE aggregate_id = $1 AND aggregate_type = $2
"""

_EXISTS = "SELECT 1 FROM snapshots WHERE aggregate_id = $1 AND aggregate_type = $2"

_DELETE = "DELETE FROM snapshots WHERE aggregate_id = $1 AND aggregate_type = $2 RETURNING 1"

_DELETE_BY_TYPE = """
DELETE FROM snapshots
WHERE aggregate_type = $1 AND schema_version < coalesce($2, schema_version + 1)
RETURNING 1
"""


class SQLSnapshotStore(SQLRepository, SnapshotStore):
    schema = "snapshots"

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        state = state_to_text(snapshot)
        versions = snapshot.version, snapshot.schema_version
        key = snapshot.aggregate_id, snapshot.aggregate_type
        await self._fetch(_SAVE, *key, *versions, state, snapshot.created_at)

    async def get_snapshot(self, aggregate_id: UUID, aggregate_type: str) -> Snapshot | None:
        for row in await self._fetch(_GET, aggregate_id, aggregate_type):
            state = state_from_text(row["state"], aggregate_id, aggregate_type)
            return record(Snapshot, row, state=state)
        return None

    async def delete_snapshot(self, aggregate_id: UUID, aggregate_type: str) -> bool:
        return bool(await self._fetch(_DELETE, aggregate_id, aggregate_type))

    async def snapshot_exists(self, aggregate_id: UUID, aggregate_type: str) -> bool:
        return bool(await self._fetch(_EXISTS, aggregate_id, aggregate_type))

    async def delete_snapshots_by_type(
        self, aggregate_type: str, schema_version_below: int | None = None
    ) -> int:
        return len(await self._fetch(_DELETE_BY_TYPE, aggregate_type, schema_version_below))
