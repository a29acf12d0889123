"""The shipped SQL files: they load, load again, agree with each other and with Alembic."""

import json
import runpy
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from eventsource import (
    DomainEvent,
    PostgreSQLEventStore,
    SchemaError,
    SQLiteDatabase,
    migrations,
    register_event,
)
from eventsource.migrations import (
    get_alembic_template,
    get_schema,
    get_statements,
    get_template_path,
    list_backends,
)
from eventsource.testing import eventually
from tests.fuzzing import HOSTILE, fuzz

# What a database is, as far as its catalogue tells; comparing two is comparing two of these.
CATALOGUE = """
SELECT 'column' AS kind, table_name || '.' || column_name AS name,
    concat_ws(' ', ordinal_position, data_type, character_maximum_length, is_nullable,
        column_default, is_identity) AS definition
FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL
SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'function', proname, pg_get_functiondef(oid)
FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL
SELECT 'policy', tablename || '.' || policyname, concat_ws(' ', cmd, qual, with_check)
FROM pg_policies WHERE schemaname = 'public'
UNION ALL
SELECT 'row security', relname, concat_ws(' ', relrowsecurity, relforcerowsecurity)
FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
UNION ALL
SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT 'comment', 'events', coalesce(obj_description(to_regclass('events'), 'pg_class'), '')
UNION ALL
SELECT 'sequence', sequencename, concat_ws(' ', data_type, start_value, increment_by)
FROM pg_sequences WHERE schemaname = 'public'
ORDER BY 1, 2, 3
"""

SEED_TABLE = """
CREATE TABLE events (
    event_id UUID PRIMARY KEY,
    aggregate_id UUID NOT NULL,
    aggregate_type VARCHAR(255) NOT NULL,
    event_type VARCHAR(255) NOT NULL,
    tenant_id UUID,
    actor_id VARCHAR(255),
    version INTEGER NOT NULL,
    timestamp TIMESTAMP WITH TIME ZONE NOT NULL,
    payload JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    CONSTRAINT uq_events_aggregate_version UNIQUE (aggregate_id, aggregate_type, version)
);
CREATE INDEX idx_events_aggregate_id ON events (aggregate_id);
CREATE INDEX idx_events_aggregate_type ON events (aggregate_type);
CREATE INDEX idx_events_event_type ON events (event_type);
CREATE INDEX idx_events_timestamp ON events (timestamp);
CREATE INDEX idx_events_aggregate_version ON events (aggregate_id, aggregate_type, version);
"""

TABLE_WITH_POSITION = SEED_TABLE.replace(
    "event_id UUID PRIMARY KEY",
    "global_position BIGSERIAL PRIMARY KEY, event_id UUID NOT NULL UNIQUE",
)


@register_event
class PageTurned(DomainEvent):
    aggregate_type: str = "Book"
    page: int


@pytest.fixture
async def empty(empty_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(plain(empty_database_url))
    yield connection
    await connection.close()


def plain(url: str) -> str:
    return url.replace("+asyncpg", "")


async def catalogue(connection: asyncpg.Connection) -> list[tuple[str, ...]]:
    return [tuple(row) for row in await connection.fetch(CATALOGUE)]


@pytest.fixture
async def fresh(database_url: str) -> list[tuple[str, ...]]:
    """The catalogue of a fresh installation."""
    connection = await asyncpg.connect(plain(database_url))
    try:
        return await catalogue(connection)
    finally:
        await connection.close()


@pytest.mark.parametrize("name", migrations.list_schemas())
async def test_every_file_loads_twice(empty: asyncpg.Connection, name: str) -> None:
    if name == "events_upgrade":
        await empty.execute(SEED_TABLE)
    if name == "row_level_security":
        await empty.execute(get_schema("all"))
    await empty.execute(get_schema(name))
    once = await catalogue(empty)
    await empty.execute(get_schema(name))
    for statement in get_statements(name):
        await empty.execute(statement)
    assert once
    assert await catalogue(empty) == once


@pytest.mark.parametrize("name", migrations.list_schemas("sqlite"))
def test_every_sqlite_file_loads_twice(name: str) -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(get_schema(name, "sqlite"))
        once = database.execute("SELECT * FROM sqlite_master").fetchall()
        for statement in get_statements(name, "sqlite"):
            database.execute(statement)
        assert once
        assert database.execute("SELECT * FROM sqlite_master").fetchall() == once


@pytest.mark.parametrize("name", ["events", "events_partitioned", "events_upgrade"])
async def test_every_function_runs(empty: asyncpg.Connection, name: str) -> None:
    if name == "events_upgrade":
        await empty.execute(SEED_TABLE)
    await empty.execute(get_schema(name))
    functions = await empty.fetch(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace "
        "AND prorettype <> 'trigger'::regtype AND pronargs = 0"
    )
    assert {row["proname"] for row in functions} == {
        "event_feed_horizon",
        "event_log_adopt",
        "event_log_is_ahead",
        "event_log_offset",
    }
    for row in functions:
        assert await empty.fetchval(f"SELECT {row['proname']}()") is not None


@pytest.mark.parametrize("backend", migrations.list_backends())
def test_all_is_its_templates_joined(backend: str) -> None:
    assert get_schema("all", backend) == migrations.join_templates(backend), (
        "a template has changed: run python -m eventsource.migrations"
    )


def test_the_command_joins_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {backend: tmp_path / backend for backend in migrations.list_backends()}
    monkeypatch.setattr(migrations, "_JOINED", files)
    runpy.run_module("eventsource.migrations", run_name="__main__")
    for backend, file in files.items():
        assert file.read_text(encoding="utf-8") == migrations.join_templates(backend)


def test_the_partitioned_template_differs_only_where_it_must() -> None:
    plain, partitioned = get_statements("events"), get_statements("events_partitioned")
    shared = [one for one in partitioned if one in plain]
    assert shared == plain[2:-1], "all but the first check's comment, the table and the trigger"
    assert plain[0].partition("\n\n")[2] == partitioned[0].partition("DO $$")[2].join(["DO $$", ""])
    table = plain[1].replace("(global_position)", "(global_position, aggregate_id)")
    table = table.replace("UNIQUE (event_id)", "UNIQUE (event_id, aggregate_id)")
    assert partitioned[1] == table + " PARTITION BY HASH (aggregate_id)"


@pytest.mark.parametrize("older", [SEED_TABLE, TABLE_WITH_POSITION])
async def test_the_upgrade_gives_the_catalogue_of_a_fresh_install(
    empty: asyncpg.Connection, fresh: list[tuple[str, ...]], older: str
) -> None:
    await empty.execute(older)
    await insert(empty, uuid4(), 1, "2026-01-01")
    await empty.execute(get_schema("events_upgrade"))
    for name in migrations.ALL_TEMPLATES[1:]:
        await empty.execute(get_schema(name))
    ours = await catalogue(empty)
    if older is TABLE_WITH_POSITION:  # its columns keep their places
        ours, fresh = [[unplaced(row) for row in rows] for rows in (ours, fresh)]
    assert ours == fresh


def unplaced(row: tuple[str, ...]) -> tuple[str, ...]:
    kind, name, definition = row
    return kind, name, definition.partition(" ")[2] if kind == "column" else definition


async def insert(connection: asyncpg.Connection, book: UUID, version: int, created: str) -> UUID:
    event = PageTurned(aggregate_id=book, aggregate_version=version, page=version)
    await connection.execute(
        "INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, version, "
        "timestamp, payload, created_at) "
        "VALUES ($1, $2, 'Book', 'PageTurned', $3, now(), $4, $5::text::timestamptz)",
        event.event_id,
        book,
        version,
        json.dumps(event.to_dict()),
        created,
    )
    return event.event_id


async def test_the_upgrade_numbers_the_rows_in_the_order_they_were_stored(
    empty: asyncpg.Connection, empty_database_url: str
) -> None:
    await empty.execute(SEED_TABLE)
    one, other = uuid4(), uuid4()
    expected = {
        4: await insert(empty, one, 2, "2026-01-03"),
        2: await insert(empty, other, 1, "2026-01-02"),
        1: await insert(empty, one, 1, "2026-01-01"),
        5: await insert(empty, one, 3, "2026-01-02"),  # the clock went back
        3: await insert(empty, other, 2, "2026-01-02 12:00"),
    }
    await empty.execute(get_schema("events_upgrade"))
    rows = await empty.fetch("SELECT global_position, event_id FROM events ORDER BY 1")
    assert dict(map(tuple, rows)) == dict(sorted(expected.items()))
    engine = create_async_engine(empty_database_url)
    store = PostgreSQLEventStore(async_sessionmaker(engine))
    new = PageTurned(aggregate_id=one, page=4)
    result = await store.append_events(one, "Book", [new], 3)
    assert result.global_position == 6

    async def whole_feed() -> list[int] | None:
        pages = [stored.event.page async for stored in store.read_all()]
        return pages if len(pages) == 6 else None

    # A transaction that ends elsewhere at this very moment can hold the feed back.
    assert await eventually(whole_feed) == [1, 1, 2, 2, 3, 4]
    await engine.dispose()


@pytest.mark.parametrize("name", ["events", "events_partitioned"])
async def test_the_version_that_a_script_records_is_the_librarys(
    empty: asyncpg.Connection, name: str
) -> None:
    await empty.execute(get_schema(name))
    comment = await empty.fetchval("SELECT obj_description('events'::regclass, 'pg_class')")
    assert comment == f"eventsource schema {migrations.SCHEMA_VERSION}"


async def test_a_store_that_meets_an_older_schema_names_the_migration_to_run(
    empty: asyncpg.Connection, empty_database_url: str
) -> None:
    await empty.execute(get_schema("events") + "COMMENT ON TABLE events IS 'eventsource schema 0'")
    engine, book = create_async_engine(empty_database_url), uuid4()
    store = PostgreSQLEventStore(async_sessionmaker(engine))
    events = [PageTurned(aggregate_id=book, page=1)]
    for attempt in (store.append_events(book, "Book", events, 0), store.get_events(book)):
        with pytest.raises(SchemaError, match=r"version 0.*version 1.*events_upgrade"):
            await attempt
    await empty.execute(get_schema("events_upgrade"))
    await store.append_events(book, "Book", events, 0)
    await empty.execute("COMMENT ON TABLE events IS 'eventsource schema 2'")
    with pytest.raises(SchemaError, match=r"version 2.*Install"):
        await PostgreSQLEventStore(async_sessionmaker(engine)).get_events(book)
    await empty.execute("COMMENT ON TABLE events IS 'our own words'")
    stream = await PostgreSQLEventStore(async_sessionmaker(engine)).get_events(book)
    await engine.dispose()
    assert stream.events == events


async def test_a_sqlite_file_of_another_version_is_not_opened(tmp_path: Path) -> None:
    database = SQLiteDatabase(tmp_path / "events.db")
    async with database:
        await database.initialize()
        await database.fetch("UPDATE eventsource_schema SET version = version + 1")
    with pytest.raises(SchemaError, match=r"events\.db.*version 2"):
        await database.open()
    assert not database.is_open


async def test_an_upgrade_that_cannot_finish_changes_nothing(empty: asyncpg.Connection) -> None:
    await empty.execute(SEED_TABLE)
    await empty.execute("CREATE TABLE notes (event_id UUID REFERENCES events (event_id))")
    before = await catalogue(empty)
    with pytest.raises(asyncpg.DependentObjectsStillExistError):
        await empty.execute(get_schema("events_upgrade"))
    assert await catalogue(empty) == before


async def test_an_older_table_is_not_half_converted_by_a_fresh_install(
    empty: asyncpg.Connection,
) -> None:
    await empty.execute(SEED_TABLE)
    before = await catalogue(empty)
    with pytest.raises(asyncpg.RaiseError, match="transaction_id") as refusal:
        await empty.execute(get_schema("all"))
    assert "events_upgrade.sql" in refusal.value.hint
    assert await catalogue(empty) == before


async def test_there_is_nothing_to_upgrade_in_an_empty_database(empty: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.RaiseError, match="no table events"):
        await empty.execute(get_schema("events_upgrade"))


ENVIRONMENT = """
import asyncio
from alembic import context
from sqlalchemy.ext.asyncio import create_async_engine

def run(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()

async def online():
    engine = create_async_engine(context.config.get_main_option("sqlalchemy.url"))
    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()

if context.is_offline_mode():
    context.configure(dialect_name="postgresql")
    with context.begin_transaction():
        context.run_migrations()
else:
    asyncio.run(online())
"""


def alembic(folder: Path, url: str, *arguments: str) -> str:
    """Run `alembic` on a project with the given templates as its only revisions."""
    (folder / "env.py").write_text(ENVIRONMENT)
    ini = folder / "alembic.ini"
    escaped = url.replace("%", "%%")
    ini.write_text(f"[alembic]\nscript_location = {folder}\nsqlalchemy.url = {escaped}\n")
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "-c", str(ini), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("templates", [["all_tables"], migrations.ALL_TEMPLATES])
async def test_alembic_gives_the_catalogue_of_a_fresh_install(
    empty: asyncpg.Connection,
    empty_database_url: str,
    fresh: list[tuple[str, ...]],
    templates: list[str],
    tmp_path: Path,
) -> None:
    versions, down = tmp_path / "versions", "None"
    versions.mkdir()
    for name in templates:
        text = migrations.get_alembic_template(name)
        (versions / f"{name}.py").write_text(
            text.replace("down_revision = None", f"down_revision = {down}")
        )
        down = f'"eventsource_{name}"'
    alembic(tmp_path, empty_database_url, "upgrade", "head")
    await empty.execute("DROP TABLE alembic_version")
    assert await catalogue(empty) == fresh


async def test_alembic_writes_the_same_sql_when_offline(
    empty: asyncpg.Connection, fresh: list[tuple[str, ...]], tmp_path: Path
) -> None:
    (tmp_path / "versions").mkdir()
    text = migrations.get_alembic_template("all_tables")
    (tmp_path / "versions" / "first.py").write_text(text)
    await empty.execute(alembic(tmp_path, "postgresql://", "upgrade", "head", "--sql"))
    await empty.execute("DROP TABLE alembic_version")
    assert await catalogue(empty) == fresh


def test_the_helpers_list_what_there_is() -> None:
    assert {"all", "events", "events_partitioned", "events_upgrade"} < {*migrations.list_schemas()}
    assert {*migrations.ALL_TEMPLATES, "all"} <= {*migrations.list_schemas()}
    assert {"all", "events", "outbox"} <= {*migrations.list_schemas("sqlite")}
    assert migrations.list_backends() == ["postgresql", "sqlite"]
    assert {"all_tables", "events_partitioned"} < {*migrations.list_alembic_templates()}
    assert "CREATE TABLE IF NOT EXISTS events" in get_template_path("events").read_text("utf-8")
    with pytest.raises(FileNotFoundError, match="events_partitioned"):
        get_schema("nonsense")
    with pytest.raises(FileNotFoundError):
        get_template_path("../schemas/all")
    with pytest.raises(FileNotFoundError, match="sqlite"):
        get_schema("events_partitioned", "sqlite")
    with pytest.raises(ValueError, match="postgresql, sqlite"):
        get_schema("all", "oracle")
    with pytest.raises(FileNotFoundError, match="all_tables"):
        migrations.get_alembic_template("nonsense")


odd = st.sampled_from([*HOSTILE, "../../etc/passwd", "all.sql", "/all", "events\n", "x" * 5000])
anything = odd | st.text(max_size=10) | st.none() | st.integers() | st.lists(odd, max_size=1)


@fuzz
@given(name=anything, backend=anything | st.sampled_from(list_backends()))
def test_a_name_that_is_none_is_refused_with_those_that_there_are(name: Any, backend: Any) -> None:
    for ask in (get_schema, get_statements):
        with pytest.raises((FileNotFoundError, ValueError), match=r"There are: .*(all|sqlite)"):
            ask(name, backend)
    with pytest.raises((FileNotFoundError, ValueError), match=r"There are: .*all_tables"):
        get_alembic_template(name)
