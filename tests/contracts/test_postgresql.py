"""What the PostgreSQL event store alone promises."""

import asyncio
import json
from collections.abc import Callable
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import async_sessionmaker

from eventsource import (
    DatabaseError,
    DefaultTypeConverter,
    DomainEvent,
    EventRegistry,
    ExpectedVersion,
    OptimisticLockError,
    PostgreSQLEventStore,
    SchemaError,
    default_registry,
    register_event,
)
from eventsource.migrations import get_schema


@register_event
class FlagRaised(DomainEvent):
    aggregate_type: str = "Ship"
    colour: str = "red"


def flags(ship, *versions: int, **fields: object) -> list[FlagRaised]:
    return [FlagRaised(aggregate_id=ship, aggregate_version=n, **fields) for n in versions]


def test_the_store_shows_what_it_was_given(store_on: Callable) -> None:
    registry = EventRegistry()
    url = "postgresql+asyncpg://nobody@localhost/nothing"
    store = store_on(url, event_registry=registry, outbox_enabled=True)
    assert (store.event_registry, store.outbox_enabled) == (registry, True)
    usual = store_on(url)
    assert (usual.event_registry, usual.outbox_enabled) == (default_registry, False)
    assert store.session_factory.kw["bind"] is not None


async def test_the_outbox_row_comes_with_the_event(
    store_on: Callable, database_url: str, database_connection: asyncpg.Connection
) -> None:
    store, ship, tenant = store_on(database_url, outbox_enabled=True), uuid4(), uuid4()
    events = flags(ship, 1, 2, 3, tenant_id=tenant)
    await store.append_events(ship, "Ship", events, 0)
    await store.append_events(ship, "Ship", [*events, *flags(ship, 9)], ExpectedVersion.ANY)
    with pytest.raises(OptimisticLockError):
        await store.append_events(ship, "Ship", flags(ship, 2), 1)
    rows = await database_connection.fetch("SELECT * FROM event_outbox ORDER BY sequence")
    assert [row["event_id"] for row in rows[:3]] == [event.event_id for event in events]
    data = [json.loads(row["event_data"]) for row in rows]
    assert [one["aggregate_version"] for one in data] == [1, 2, 3, 4]
    assert FlagRaised.from_dict(data[0]) == events[0]
    assert {(row["event_type"], row["aggregate_id"], row["status"]) for row in rows} == {
        ("FlagRaised", ship, "pending")
    }
    assert [row["tenant_id"] for row in rows] == [tenant, tenant, tenant, None]


async def test_without_the_outbox_no_row_is_queued(
    store_on: Callable, database_url: str, database_connection: asyncpg.Connection
) -> None:
    ship = uuid4()
    await store_on(database_url).append_events(ship, "Ship", flags(ship, 1), 0)
    assert await database_connection.fetchval("SELECT count(*) FROM event_outbox") == 0


async def test_events_and_outbox_rows_are_stored_together_or_not_at_all(
    store_on: Callable, database_url: str, database_connection: asyncpg.Connection
) -> None:
    await database_connection.execute(
        "ALTER TABLE event_outbox ADD CHECK (event_type <> 'FlagRaised')"
    )
    store, ship = store_on(database_url, outbox_enabled=True), uuid4()
    with pytest.raises(DatabaseError, match="violates check constraint") as refusal:
        await store.append_events(ship, "Ship", flags(ship, 1), 0)
    assert refusal.value.sqlstate == "23514"
    assert await store.get_stream_version(ship, "Ship") == 0


async def test_a_missing_table_names_the_file_to_load(
    store_on: Callable, empty_database_url: str, load_sql: Callable
) -> None:
    store, ship = store_on(empty_database_url), uuid4()
    for call in (
        lambda: store.append_events(ship, "Ship", flags(ship, 1), 0),
        lambda: store.get_events(ship, "Ship"),
        lambda: anext(store.read_all()),
    ):
        with pytest.raises(SchemaError, match=r"all\.sql"):
            await call()
    await load_sql(empty_database_url, get_schema("events"))
    assert (await store.append_events(ship, "Ship", flags(ship, 1), 0)).success
    with_outbox = store_on(empty_database_url, outbox_enabled=True)
    with pytest.raises(SchemaError, match=r"outbox\.sql"):
        await with_outbox.append_events(ship, "Ship", flags(ship, 2), 1)
    await load_sql(empty_database_url, get_schema("outbox"))
    assert (await with_outbox.append_events(ship, "Ship", flags(ship, 2), 1)).success


async def test_a_table_dropped_under_a_running_store_is_noticed(
    store_on: Callable, database_url: str, load_sql: Callable
) -> None:
    store, ship = store_on(database_url), uuid4()
    await store.append_events(ship, "Ship", flags(ship, 1), 0)
    await load_sql(database_url, "DROP TABLE events")
    with pytest.raises(SchemaError, match="no table events"):
        await store.get_events(ship, "Ship")


async def test_a_table_with_other_columns_names_the_missing_ones(
    store_on: Callable, empty_database_url: str, load_sql: Callable
) -> None:
    await load_sql(empty_database_url, "CREATE TABLE events (event_id UUID, version INT)")
    with pytest.raises(SchemaError, match=r"actor_id, aggregate_id, .*timestamp"):
        await store_on(empty_database_url).get_stream_version(uuid4(), "Ship")


async def test_a_table_upgraded_under_a_running_store_is_noticed(
    store_on: Callable, empty_database_url: str, load_sql: Callable, minimal_table: str
) -> None:
    await load_sql(empty_database_url, minimal_table)
    store, ship = store_on(empty_database_url), uuid4()
    await store.append_events(ship, "Ship", flags(ship, 1), 0)
    await load_sql(empty_database_url, get_schema("events_upgrade"))
    assert [stored.global_position async for stored in store.read_all()] == [1]
    result = await store.append_events(ship, "Ship", flags(ship, 2), 1)
    assert result.global_position == 2


async def test_the_version_of_the_row_counts_whatever_the_payload_says(
    store_on: Callable, database_url: str, database_connection: asyncpg.Connection
) -> None:
    store, ship = store_on(database_url), uuid4()
    await store.append_events(ship, "Ship", flags(ship, 1), 0)
    stranger = FlagRaised(aggregate_id=ship, aggregate_version=1)
    await database_connection.execute(
        "INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, version, "
        "timestamp, payload) VALUES ($1, $2, 'Ship', 'FlagRaised', 2, now(), $3)",
        stranger.event_id,
        ship,
        stranger.model_dump_json(),
    )
    events = (await store.get_events(ship, "Ship")).events
    assert [event.aggregate_version for event in events] == [1, 2]


async def test_tenants_may_be_text(
    store_on: Callable, empty_database_url: str, load_sql: Callable
) -> None:
    schema = get_schema("all").replace("tenant_id UUID", "tenant_id VARCHAR(64)", 1)
    await load_sql(empty_database_url, schema)
    store, ship, tenant = store_on(empty_database_url, outbox_enabled=True), uuid4(), uuid4()
    events = flags(ship, 1, tenant_id=tenant) + flags(ship, 2)
    await store.append_events(ship, "Ship", events, 0)
    assert await store.get_events_by_type("Ship", tenant_id=tenant) == events[:1]
    assert await store.get_events_by_type("Ship") == events


async def test_naming_rules_reach_free_form_data(store_on: Callable, database_url: str) -> None:
    ship, number = uuid4(), str(uuid4())
    metadata = {"parent": number, "stripe_customer_id": number, "any_id": number}
    await store_on(database_url).append_events(ship, "Ship", flags(ship, 1, metadata=metadata), 0)

    async def kinds(store: PostgreSQLEventStore) -> list[str]:
        metadata = (await store.get_events(ship, "Ship")).events[0].metadata
        return [type(metadata[key]).__name__ for key in ("parent", "stripe_customer_id", "any_id")]

    assert await kinds(store_on(database_url)) == ["str", "UUID", "UUID"]
    named = store_on(database_url, uuid_fields={"parent"}, string_id_fields={"stripe_customer_id"})
    assert await kinds(named) == ["UUID", "str", "UUID"]
    assert await kinds(store_on(database_url, auto_detect_uuid=False)) == ["str", "str", "str"]
    own = store_on(database_url, type_converter=DefaultTypeConverter.strict({"any_id"}))
    assert await kinds(own) == ["str", "str", "UUID"]
    strict = PostgreSQLEventStore.with_strict_uuid_detection(
        own.session_factory, {"parent"}, outbox_enabled=True
    )
    assert strict.outbox_enabled
    usual = PostgreSQLEventStore.with_strict_uuid_detection(own.session_factory, {"parent"})
    assert not usual.outbox_enabled
    assert await kinds(strict) == ["UUID", "str", "str"]


async def test_events_cannot_be_changed_unless_the_transaction_says_so(
    store_on: Callable, database_url: str, database_connection: asyncpg.Connection
) -> None:
    store, ship = store_on(database_url), uuid4()
    await store.append_events(ship, "Ship", flags(ship, 1), 0)
    attacks = ("UPDATE events SET version = 9", "DELETE FROM events", "TRUNCATE events")
    for attack in attacks:
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only") as refusal:
            await database_connection.execute(attack)
        assert "SET LOCAL eventsource.allow_mutation = 'on'" in refusal.value.hint
    assert await store.get_stream_version(ship, "Ship") == 1
    for attack in attacks:
        async with database_connection.transaction():
            await database_connection.execute("SET LOCAL eventsource.allow_mutation = 'on'")
            await database_connection.execute(attack)
        with pytest.raises(asyncpg.RestrictViolationError):
            await database_connection.execute(attack)
    assert await store.get_stream_version(ship, "Ship") == 0


@pytest.mark.parametrize("backend", ["postgresql-partitioned"])
async def test_partitions_cannot_be_changed_either(event_store, events_url: str) -> None:
    ship = uuid4()
    await event_store.append_events(ship, "Ship", flags(ship, 1), 0)
    connection = await asyncpg.connect(events_url.replace("+asyncpg", ""))
    home = await connection.fetchval("SELECT tableoid::regclass::text FROM events")
    for table in ("events", home):
        for attack in (
            f"UPDATE {table} SET version = 9",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
        ):
            with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
                await connection.execute(attack)
    async with connection.transaction():
        await connection.execute("SET LOCAL eventsource.allow_mutation = 'on'")
        await connection.execute("UPDATE events SET actor_id = 'x'")
        await connection.execute(f"DELETE FROM {home} WHERE actor_id = 'x'")
    await connection.close()
    assert await event_store.get_stream_version(ship, "Ship") == 0


MONTHS_WITH_GUARD = """
CREATE TABLE events (
    event_id UUID NOT NULL,
    aggregate_id UUID NOT NULL,
    aggregate_type VARCHAR(255) NOT NULL,
    event_type VARCHAR(255) NOT NULL,
    tenant_id UUID,
    actor_id VARCHAR(255),
    version INTEGER NOT NULL,
    timestamp TIMESTAMPTZ NOT NULL,
    payload JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, timestamp),
    CONSTRAINT useless UNIQUE (aggregate_id, aggregate_type, version, timestamp)
) PARTITION BY RANGE (timestamp);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
CREATE TABLE events_new PARTITION OF events FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
CREATE TABLE event_versions (
    aggregate_id UUID, aggregate_type TEXT, version INTEGER,
    PRIMARY KEY (aggregate_id, aggregate_type, version)
);
CREATE FUNCTION claim_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO event_versions VALUES (NEW.aggregate_id, NEW.aggregate_type, NEW.version);
    RETURN NEW;
END $$;
CREATE TRIGGER claim_version BEFORE INSERT ON events
    FOR EACH ROW EXECUTE FUNCTION claim_version();
"""


async def test_a_guard_table_of_the_users_own_gives_the_same_conflict(
    store_on: Callable, empty_database_url: str, load_sql: Callable
) -> None:
    await load_sql(empty_database_url, MONTHS_WITH_GUARD)
    store, ship = store_on(empty_database_url), uuid4()
    for version in range(3):
        answers = await asyncio.gather(
            *(store.append_events(ship, "Ship", flags(ship, 1), version) for _ in range(12)),
            return_exceptions=True,
        )
        conflicts = [one for one in answers if isinstance(one, OptimisticLockError)]
        assert len(conflicts) == 11
        assert {conflict.actual_version for conflict in conflicts} == {version + 1}
    assert await store.get_stream_version(ship, "Ship") == 3


@pytest.mark.parametrize("expected_version", [0, ExpectedVersion.ANY])
async def test_another_unique_rule_of_the_users_is_no_version_conflict(
    store_on: Callable, database_url: str, load_sql: Callable, expected_version: int
) -> None:
    await load_sql(
        database_url, "CREATE UNIQUE INDEX one_of_a_colour ON events ((payload->>'colour'))"
    )
    store, first, second = store_on(database_url), uuid4(), uuid4()
    await store.append_events(first, "Ship", flags(first, 1), 0)
    with pytest.raises(DatabaseError, match="one_of_a_colour") as refusal:
        await store.append_events(second, "Ship", flags(second, 1), expected_version)
    assert isinstance(refusal.value.__cause__, asyncpg.UniqueViolationError)
    assert await store.get_stream_version(second, "Ship") == 0


async def test_a_deadlock_is_retried(
    store_on: Callable,
    database_url: str,
    load_sql: Callable,
    database_connection: asyncpg.Connection,
) -> None:
    # The first two attempts fail as a deadlock's victim would.
    await load_sql(
        database_url,
        """
        CREATE SEQUENCE attempts;
        CREATE FUNCTION fail_twice() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('attempts') < 3 THEN
                RAISE EXCEPTION 'again' USING ERRCODE = 'deadlock_detected';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER fail_twice BEFORE INSERT ON events
            FOR EACH ROW EXECUTE FUNCTION fail_twice();
        """,
    )
    store, ship = store_on(database_url), uuid4()
    assert (await store.append_events(ship, "Ship", flags(ship, 1), 0)).new_version == 1
    assert await database_connection.fetchval("SELECT last_value FROM attempts") == 3


async def test_serializable_writers_are_told_the_same(
    engine_of: Callable, database_url: str, load_sql: Callable
) -> None:
    server_settings = {"default_transaction_isolation": "serializable"}
    engine = engine_of(database_url, connect_args={"server_settings": server_settings})
    store, ship = PostgreSQLEventStore(async_sessionmaker(engine)), uuid4()
    answers = await asyncio.gather(
        *(store.append_events(ship, "Ship", flags(ship, 1), 0) for _ in range(16)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, OptimisticLockError) for answer in answers) == 15


async def test_what_postgresql_refuses_is_typed(
    store_on: Callable, database_url: str, database_connection: asyncpg.Connection
) -> None:
    store, ship = store_on(database_url), uuid4()
    shorter = "ALTER TABLE events ALTER COLUMN aggregate_type TYPE VARCHAR(20)"
    await database_connection.execute(shorter)  # as somebody's own table may have it
    long_type = "T" * 21
    event = flags(ship, 1, aggregate_type=long_type)
    with pytest.raises(DatabaseError, match="too long") as refusal:
        await store.append_events(ship, long_type, event, 0)
    assert refusal.value.sqlstate == "22001"
    with pytest.raises(DatabaseError):
        await store.get_events(ship, "Ship\0")
