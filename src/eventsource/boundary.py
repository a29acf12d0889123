"""Rules across streams: the dynamic consistency boundary.

A rule such as "at most thirty students in a course, at most ten courses for a student" has no
aggregate of its own. So events carry tags ("course:7", "student:12"), a decision reads the events
of all tags that it depends on, and the append fails if any of these tags has gained an event since.
The idea is Sara Pellegrini's, "I am here to kill the Aggregate" (2023); see https://dcb.events.

Here a tag is counted like a stream: the primary key on (tag, version) is the guard.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

from eventsource.backoff import back_off
from eventsource.events.base import DomainEvent
from eventsource.events.registry import EventRegistry, default_registry
from eventsource.exceptions import DatabaseError, SchemaError, TagConflictError
from eventsource.projections.transactions import ReadModelSource, read_model_database
from eventsource.serialization import EventReader
from eventsource.stores.interface import EventStore, ExpectedVersion
from eventsource.type_conversion import DefaultTypeConverter, TypeConverter
from eventsource.types import Position

_NO_TABLE = "42P01"
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.01, 0.1

_READ = """
SELECT tagged.version AS tag_version, events.event_id, events.event_type, events.aggregate_id,
    events.version, events.global_position, CAST(events.payload AS TEXT) AS payload
FROM event_tags AS tagged JOIN events ON events.event_id = tagged.event_id
WHERE tagged.tag = $1
ORDER BY tagged.version
"""

# Waits for a rival who has taken the version and not committed yet.
_CLAIM = """
INSERT INTO event_tags (tag, version, event_id) VALUES ($1, $2, $3)
ON CONFLICT (tag, version) DO NOTHING
RETURNING tag
"""

_HOLDER = "SELECT event_id FROM event_tags WHERE tag = $1 AND version = $2"


@dataclass(frozen=True, slots=True)
class TaggedEvents:
    """What a decision depends on: each tag's events, each once, in the order of the log, and how
    many each tag had."""

    events: list[DomainEvent]
    versions: Mapping[str, int]


class ConsistencyBoundary:
    """Decides over any set of events, and appends only if none of them is out of date.

    `event_store` and `database` are of the same database: PostgreSQL (an engine or a session
    factory) or SQLite (a SQLiteDatabase). Only appends that come this way are counted and guarded,
    so let all events of a rule come this way.
    """

    def __init__(
        self,
        event_store: EventStore,
        database: ReadModelSource,
        *,
        event_registry: EventRegistry | None = None,
        type_converter: TypeConverter | None = None,
    ) -> None:
        self._event_store = event_store
        self._database = read_model_database(database)
        self._reader = EventReader(
            event_registry or default_registry, type_converter or DefaultTypeConverter()
        )

    async def read(self, *tags: str) -> TaggedEvents:
        """The events that carry any of the tags. ValueError without a tag, or for an empty one."""
        if not tags or "" in tags:
            raise ValueError(f"Name the tags that the decision depends on, not {tags!r}.")
        # Tags need not be read at the same moment: all must stand still until the append.
        async with self._database.transaction() as transaction:
            rows_of = {tag: await self._fetch(transaction, _READ, tag) for tag in sorted({*tags})}
        rows = {str(row["event_id"]): row for rows in rows_of.values() for row in rows}
        in_order = sorted(rows.values(), key=lambda row: row["global_position"])
        versions = {tag: rows[-1]["tag_version"] if rows else 0 for tag, rows in rows_of.items()}
        return TaggedEvents([self._event(row) for row in in_order], versions)

    async def append(self, events: Sequence[DomainEvent], seen: TaggedEvents) -> Position | None:
        """Store the events, each in its own stream, and give all of them the tags that were seen.

        All or nothing. Returns the position of the last, None for no events. TagConflictError if
        somebody else has appended under one of the tags: read again and decide anew. Repeating an
        append gives the first answer again.
        """
        position = None
        async with self._database.transaction() as transaction:
            for tag in sorted(seen.versions):  # the same order for all, or they would deadlock
                for version, event in enumerate(events, start=seen.versions[tag] + 1):
                    await self._claim(transaction, tag, version, event.event_id)
            for (aggregate_id, aggregate_type), batch in groupby(events, _stream_of):
                result = await self._event_store.append_events(
                    aggregate_id,
                    aggregate_type,
                    list(batch),
                    ExpectedVersion.ANY,
                    transaction=transaction,
                )
                position = result.position
        return position

    async def decide(
        self,
        tags: Iterable[str],
        decision: Callable[[Sequence[DomainEvent]], Sequence[DomainEvent]],
        *,
        retries: int = 3,
    ) -> list[DomainEvent]:
        """Read, call `decision` with the events, and append those it returns; returns them.

        If a rival was faster, all of this is done again, up to `retries` times; then
        TagConflictError, or DatabaseError after a deadlock. What `decision` raises to refuse is
        raised.
        """
        names = tuple(tags)
        for attempt in range(retries + 1):
            seen = await self.read(*names)
            events = list(decision(seen.events))
            try:
                await self.append(events, seen)
            except (TagConflictError, DatabaseError) as error:
                rivals = isinstance(error, TagConflictError) or error.is_lost_race
                if attempt == retries or not rivals:
                    raise
                await back_off(attempt, _FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS)
            else:
                return events
        raise ValueError(f"retries must be 0 or more, not {retries}")

    async def _claim(self, transaction: Any, tag: str, version: int, event_id: UUID) -> None:
        if await self._fetch(transaction, _CLAIM, tag, version, event_id):
            return
        (holder,) = await self._fetch(transaction, _HOLDER, tag, version)
        if str(holder["event_id"]) != str(event_id):  # or this is the same append again
            raise TagConflictError(tag, version - 1)

    async def _fetch(self, transaction: Any, statement: str, *arguments: Any) -> list[Any]:
        try:
            return await self._database.fetch(transaction, statement, *arguments)
        except DatabaseError as error:
            if error.sqlstate != _NO_TABLE:
                raise
            raise SchemaError(
                f"{error} Run the text of eventsource.migrations.get_schema('tags')."
            ) from error

    def _event(self, row: Any) -> DomainEvent:
        return self._reader.read(
            row["event_type"],
            row["payload"],
            lambda: f"aggregate {row['aggregate_id']}, version {row['version']}",
            version=row["version"],
        )


def _stream_of(event: DomainEvent) -> tuple[UUID, str]:
    return event.aggregate_id, event.aggregate_type
