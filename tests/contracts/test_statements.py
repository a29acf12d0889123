"""Every SQL statement of the PostgreSQL store, against real tables."""

import asyncpg
import pytest

from eventsource.stores import postgresql_statements
from eventsource.stores.postgresql_table import EventsTable, probe

STATEMENTS = {
    name: text
    for name, text in vars(postgresql_statements).items()
    if name.isupper() and not name.startswith("_")
}
FEED = {name for name in STATEMENTS if name.startswith(("FEED", "FIND", "LOG"))}
OUTBOX = {"APPEND_WITH_OUTBOX"}

INDEX_OF = {
    "APPEND": "uq_events_aggregate_version",
    "APPEND_WITH_OUTBOX": "uq_events_aggregate_version",
    "DIAGNOSE": "uq_events_event_id",
    "HEAD": "uq_events_aggregate_version",
    "STREAM": "uq_events_aggregate_version",
    "STREAM_PART": "uq_events_aggregate_version",
    "STREAMS_OF_ID": "uq_events_aggregate_version",
    "BY_TYPE": "idx_events_aggregate_type",
    "EVENT_EXISTS": "uq_events_event_id",
    "STREAM_PAGE_FORWARD": "uq_events_aggregate_version",
    "STREAM_PAGE_BACKWARD": "uq_events_aggregate_version",
    "FEED_PAGE_FORWARD": "idx_events_feed",
    "FEED_PAGE_BACKWARD": "idx_events_feed",
    "FEED_END": "idx_events_feed",
    "FIND_POSITION": "events_pkey",
    "LOG_REACHES": "idx_events_feed",
}
IN_INDEX_ORDER = {"LOG_REACHES", "FEED_PAGE_FORWARD", "FEED_PAGE_BACKWARD", "FEED_END", "HEAD"}


FILL = """
INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, version, timestamp, payload)
SELECT gen_random_uuid(), aggregate_id, 'Type ' || n % 5, 'Event', version, now(), '{}'
FROM (SELECT n, gen_random_uuid() AS aggregate_id FROM generate_series(1, 400) AS n) AS streams,
    generate_series(1, 10) AS version
"""


@pytest.fixture
async def connection(events_url: str):
    connection = await asyncpg.connect(events_url.replace("+asyncpg", ""))
    yield connection
    await connection.close()


async def table_of(connection: asyncpg.Connection) -> EventsTable:
    return await probe(connection)


@pytest.mark.parametrize("backend", ["postgresql", "postgresql-partitioned", "postgresql-minimal"])
async def test_every_statement_can_be_prepared(
    connection: asyncpg.Connection, backend: str
) -> None:
    table = await table_of(connection)
    impossible = (FEED if backend == "postgresql-minimal" else set()) | (
        OUTBOX if backend != "postgresql" else set()
    )
    for name in STATEMENTS.keys() - impossible:
        assert await connection.prepare(table.fill(STATEMENTS[name]))
    for name in impossible:
        with pytest.raises((asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)):
            await connection.prepare(table.fill(STATEMENTS[name]))


@pytest.mark.parametrize("name", sorted(STATEMENTS))
async def test_an_index_serves_it_whatever_the_values(
    connection: asyncpg.Connection, name: str
) -> None:
    statement = (await table_of(connection)).fill(STATEMENTS[name])
    parameters = (await connection.prepare(statement)).get_parameters()
    nulls = ", ".join(["NULL"] * len(parameters))
    await connection.execute(FILL)
    await connection.execute("ANALYZE events; SET plan_cache_mode = force_generic_plan")
    await connection.execute(f"PREPARE probe AS {statement}")
    rows = await connection.fetch("EXPLAIN EXECUTE probe" + (f"({nulls})" if nulls else ""))
    plan = "\n".join(row[0] for row in rows)
    assert INDEX_OF[name] in plan, plan
    assert "Seq Scan" not in plan, plan
    if name in IN_INDEX_ORDER:
        assert "Sort" not in plan


@pytest.mark.parametrize(
    "filters", ["NULL, NULL, true, NULL, NULL", "NULL, NULL, true, NULL, $${Event}$$"]
)
@pytest.mark.parametrize("after", ["'0', 0", "'{middle}', 8000"])
async def test_the_feed_is_walked_page_by_page_even_before_statistics_are_taken(
    connection: asyncpg.Connection, after: str, filters: str
) -> None:
    statement = (await table_of(connection)).fill(STATEMENTS["FEED_PAGE_FORWARD"])
    await connection.execute("ALTER TABLE events SET (autovacuum_enabled = false)")
    payload = "jsonb_build_object('note', repeat('x', 500))"
    for _ in range(5):
        await connection.execute(FILL.replace("'{}'", payload))
    middle = await connection.fetchval("SELECT min(transaction_id)::text FROM events")
    values = f"{after.format(middle=middle)}, 1000, {filters}, NULL, '0'"
    await connection.execute("SET random_page_cost = 1.1")
    for mode in ("force_custom_plan", "force_generic_plan"):
        await connection.execute(f"SET plan_cache_mode = {mode}")
        await connection.execute(f"PREPARE {mode} AS {statement}")
        rows = await connection.fetch(f"EXPLAIN EXECUTE {mode} ({values})")
        plan = "\n".join(row[0] for row in rows)
        assert "Index Scan using idx_events_feed" in plan, plan
        assert "Sort" not in plan, plan
