"""How far each projection or subscription has read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from eventsource.repositories.sql import (
    InMemoryRepository,
    PostgreSQLRepository,
    Row,
    SQLiteRepository,
    SQLRepository,
    as_uuid,
    check_event_id,
    now,
    record,
)
from eventsource.types import Position


@dataclass(frozen=True, slots=True)
class CheckpointData:
    """Where a reader stands. `position` is None as long as only `update_checkpoint` was used."""

    projection_name: str
    last_event_id: UUID | None = None
    last_event_type: str | None = None
    last_processed_at: datetime | None = None
    events_processed: int = 0
    position: Position | None = None

    @property
    def global_position(self) -> int | None:
        return self.position.sequence if self.position else None


_GET = "SELECT * FROM projection_checkpoints WHERE projection_name = $1"

_GET_ALL = "SELECT * FROM projection_checkpoints"

_UPDATE = """
INSERT INTO projection_checkpoints AS stored (
    projection_name, last_event_id, last_event_type, last_processed_at, created_at,
    updated_at, events_processed
)
VALUES ($1, $2, $3, $4, $4, $4, 1)
ON CONFLICT (projection_name) DO UPDATE SET
    last_event_id = CASE WHEN stored.global_position IS NULL
        THEN excluded.last_event_id ELSE stored.last_event_id END,
    last_event_type = CASE WHEN stored.global_position IS NULL
        THEN excluded.last_event_type ELSE stored.last_event_type END,
    last_processed_at = excluded.last_processed_at,
    updated_at = excluded.updated_at,
    events_processed = stored.events_processed + 1
"""

# The row's lock makes rivals wait for each other, and the condition lets one of them through.
_SAVE_ON = """
INSERT INTO projection_checkpoints AS stored (
    projection_name, last_event_id, last_event_type, last_processed_at, created_at,
    updated_at, events_processed, transaction_id, global_position
)
VALUES ($1, $2, $3, $4, $4, $4, $5, $6, $7)
ON CONFLICT (projection_name) DO UPDATE SET
    last_event_id = excluded.last_event_id,
    last_event_type = excluded.last_event_type,
    last_processed_at = excluded.last_processed_at,
    updated_at = excluded.updated_at,
    events_processed = stored.events_processed + excluded.events_processed,
    transaction_id = excluded.transaction_id,
    global_position = excluded.global_position
WHERE stored.global_position IS NULL{or_before}
RETURNING projection_name
"""
_SAVE = _SAVE_ON.format(
    or_before="""
    OR (stored.transaction_id, stored.global_position)
        < (excluded.transaction_id, excluded.global_position)"""
)
_SAVE_FIRST = _SAVE_ON.format(or_before="")

# Without an INSERT: a checkpoint that is reset at this moment must not come back.
_SAVE_AFTER = """
UPDATE projection_checkpoints SET
    last_event_id = $2,
    last_event_type = $3,
    last_processed_at = $4,
    updated_at = $4,
    events_processed = events_processed + $5,
    transaction_id = $6,
    global_position = $7
WHERE projection_name = $1
    AND (coalesce(transaction_id, 0), global_position) = ($8, $9)
    AND (coalesce(transaction_id, 0), global_position) < ($6, $7)
RETURNING projection_name
"""

_RESET = "DELETE FROM projection_checkpoints WHERE projection_name = $1"


class CheckpointRepository(SQLRepository):
    """One checkpoint for each name. Writes join `transaction` if you give one."""

    schema = "checkpoints"

    async def get_checkpoint(self, projection_name: str) -> UUID | None:
        """The id of the event at the position; without one, of the last event processed."""
        rows = await self._fetch(_GET, projection_name)
        return as_uuid(rows[0]["last_event_id"]) if rows else None

    async def update_checkpoint(
        self, projection_name: str, event_id: UUID, event_type: str, *, transaction: Any = None
    ) -> None:
        """Record one more processed event. A stored position stays, and so does its event: this
        one may be an older event, processed again."""
        check_event_id(event_id)
        values = projection_name, event_id, event_type, now()
        await self._fetch(_UPDATE, *values, transaction=transaction)

    async def get_position(self, subscription_id: str) -> Position | None:
        rows = await self._fetch(_GET, subscription_id)
        return _position(rows[0]) if rows else None

    async def save_position(
        self,
        subscription_id: str,
        position: Position,
        event_id: UUID,
        event_type: str,
        *,
        after: Position | None = None,
        events: int = 1,
        transaction: Any = None,
    ) -> bool:
        """Move the checkpoint on to `position`, having processed so many events since the last.

        False, and nothing changes, if it already stands there or further: another process was
        faster. Undo what you did for these events then; in the same transaction, roll it back.
        With `after` also if it does not stand right there: another moved or reset it while you
        worked. Position.START means no position yet.
        """
        check_event_id(event_id)
        if position == Position.START:
            raise ValueError("No event stands at Position.START. To begin again: reset_checkpoint.")
        place = position.transaction, position.sequence
        values = [subscription_id, event_id, event_type, now(), events, *place]
        if after is None:
            statement = _SAVE
        elif after == Position.START:
            statement = _SAVE_FIRST
        else:
            statement, values = _SAVE_AFTER, [*values, after.transaction, after.sequence]
        return bool(await self._fetch(statement, *values, transaction=transaction))

    async def reset_checkpoint(self, projection_name: str, *, transaction: Any = None) -> None:
        """Forget it: the next read starts at the beginning. No error if there is none."""
        await self._fetch(_RESET, projection_name, transaction=transaction)

    async def get_all_checkpoints(self) -> list[CheckpointData]:
        """Sorted by name."""
        rows = await self._fetch(_GET_ALL)
        found = [record(CheckpointData, row, position=_position(row)) for row in rows]
        # Databases sort names by their own rules; these are the same everywhere.
        return sorted(found, key=lambda checkpoint: checkpoint.projection_name)


def _position(row: Row) -> Position | None:
    sequence = row["global_position"]
    return None if sequence is None else Position(row["transaction_id"] or 0, sequence)


class InMemoryCheckpointRepository(InMemoryRepository, CheckpointRepository): ...


class SQLiteCheckpointRepository(SQLiteRepository, CheckpointRepository): ...


class PostgreSQLCheckpointRepository(PostgreSQLRepository, CheckpointRepository): ...
