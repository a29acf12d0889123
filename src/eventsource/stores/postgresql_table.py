"""The events table as it is: made by our schema, by an older one, or by the user."""

from dataclasses import dataclass, replace
from functools import cache

from eventsource.asyncpg_pool import Executor
from eventsource.migrations import schema_version_problem

_PROBE = r"""
SELECT to_regclass('event_outbox') IS NOT NULL AS has_outbox,
    to_regprocedure('event_feed_horizon()') IS NOT NULL AS has_horizon,
    substring(obj_description(to_regclass('events'), 'pg_class') FROM '^eventsource schema (\d+)$')
        ::integer AS schema_version,
    array(
        SELECT attname::text FROM pg_attribute
        WHERE attrelid = to_regclass('events') AND attnum > 0 AND NOT attisdropped
    ) AS columns
"""

_IS_AHEAD = "SELECT event_log_is_ahead() AS is_ahead"

_NEEDED = {
    "event_id",
    "aggregate_id",
    "aggregate_type",
    "event_type",
    "tenant_id",
    "actor_id",
    "version",
    "timestamp",
    "payload",
    "created_at",
}

_LOAD = (
    "Load eventsource/migrations/schemas/all.sql with psql, or run the text of "
    "eventsource.migrations.get_schema()"
)

_UPGRADE = (
    "Run the text of eventsource.migrations.get_schema('events_upgrade'), which keeps every row."
)


@dataclass(frozen=True, slots=True)
class EventsTable:
    """What the database has, and what to run for what it lacks."""

    columns: frozenset[str]
    has_horizon: bool
    has_outbox: bool
    schema_version: int | None  # None: made by hand, or before versions were recorded
    is_ahead: bool = False

    @property
    def has_position(self) -> bool:
        return "global_position" in self.columns

    @property
    def has_feed(self) -> bool:
        return self.has_position and "transaction_id" in self.columns and self.has_horizon

    def fill(self, statement: str) -> str:
        """The statement for this table: a missing position reads as 0."""
        position = "global_position" if self.has_position else "0::bigint"
        transaction = "transaction_id" if self.has_feed else "'0'::xid8"
        return _filled(statement, position, transaction)

    def stream_problem(self) -> str | None:
        """What keeps streams from being read, and what to run; None if nothing does."""
        if not self.columns:
            return f"The database has no table events. {_LOAD}."
        if missing := _NEEDED - self.columns:
            return (
                f"The table events has no column {', '.join(sorted(missing))}. {_LOAD} into an "
                "empty database and compare."
            )
        return schema_version_problem(self.schema_version, _UPGRADE)

    def append_problem(self, *, outbox: bool) -> str | None:
        if problem := self.stream_problem() or self._order_problem():
            return problem
        if outbox and not self.has_outbox:
            return (
                "outbox_enabled=True needs the table event_outbox. Load "
                "eventsource/migrations/templates/outbox.sql, or run the text of "
                "eventsource.migrations.get_schema('outbox')."
            )
        return None

    def feed_problem(self) -> str | None:
        if problem := self.stream_problem():
            return problem
        if not self.has_feed:
            return (
                "The table events keeps no order over all streams: it lacks global_position, "
                f"transaction_id or event_feed_horizon(). {_UPGRADE}"
            )
        return self._order_problem()

    def _order_problem(self) -> str | None:
        if not self.is_ahead:
            return None
        return (
            "This log comes from a server whose transaction counter stood higher, so new events "
            "would sort before old ones. Run once: SELECT event_log_adopt();"
        )


@cache
def _filled(statement: str, position: str, transaction: str) -> str:
    return statement.replace("{position}", position).replace("{transaction}", transaction)


async def probe(executor: Executor) -> EventsTable:
    row = await executor.fetchrow(_PROBE)
    assert row is not None
    table = EventsTable(
        frozenset(row["columns"]), row["has_horizon"], row["has_outbox"], row["schema_version"]
    )
    if not table.has_feed:
        return table
    ahead = await executor.fetchrow(_IS_AHEAD)
    assert ahead is not None
    return replace(table, is_ahead=ahead["is_ahead"])
