"""What the SQLite event store alone promises, and the database it shares with repositories."""

import asyncio
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import uuid4

import pytest

from eventsource import (
    DatabaseError,
    DefaultTypeConverter,
    DomainEvent,
    EventRegistry,
    EventStoreConnectionError,
    EventStoreError,
    EventTypeNotFoundError,
    OptimisticLockError,
    PositionNotFoundError,
    ReadOptions,
    SchemaError,
    SQLiteDatabase,
    SQLiteEventStore,
    SQLiteNotAvailableError,
    default_registry,
    register_event,
)
from eventsource import sqlite_database as module
from eventsource.stores import sqlite_statements as sql
from tutorial_support.lab import eventually


@register_event
class CoinDropped(DomainEvent):
    aggregate_type: str = "Well"
    cents: int = 1


def coins(well, *versions: int, **fields: object) -> list[CoinDropped]:
    return [CoinDropped(aggregate_id=well, aggregate_version=n, **fields) for n in versions]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wells.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SQLiteDatabase]:
    async with SQLiteDatabase(path) as database:
        await database.initialize()
        yield database


async def test_a_file_is_opened_closed_and_opened_again(path: Path) -> None:
    store, well = SQLiteEventStore(path), uuid4()
    assert not store.is_connected
    with pytest.raises(RuntimeError, match="not open"):
        await store.get_events(well)
    await store.initialize()
    await store.initialize()
    await store.append_events(well, "Well", coins(well, 1), 0)
    await store.close()
    await store.close()
    assert not store.is_connected
    with pytest.raises(RuntimeError, match="not open"):
        await store.append_events(well, "Well", coins(well, 2), 1)
    async with store:
        assert await store.get_stream_version(well, "Well") == 1
    assert [*path.parent.iterdir()] == [path]


def test_a_closed_database_is_opened_in_another_event_loop(path: Path) -> None:
    """As by two calls of `asyncio.run` with a database that a module keeps."""
    database = SQLiteDatabase(path)

    async def use() -> None:
        async with database:
            await asyncio.gather(*(database.fetch("SELECT 1") for _ in range(5)))

    for _ in range(2):
        asyncio.run(asyncio.wait_for(use(), 20))


@pytest.mark.parametrize("steps", range(1, 4))
async def test_an_opening_that_is_cancelled_leaves_nothing_open(path: Path, steps: int) -> None:
    """A thread of the driver would keep the process from ending."""
    before, database = set(threading.enumerate()), SQLiteDatabase(path)
    opening = asyncio.create_task(database.open())
    for _ in range(steps):
        await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert not database.is_open
    await eventually(lambda: set(threading.enumerate()) <= before, timeout_seconds=20)
    async with database:
        assert await database.fetchrow("SELECT 1")


async def test_a_database_that_was_given_stays_open(database: SQLiteDatabase) -> None:
    async with SQLiteEventStore(database) as store:
        assert store.database is database
    assert database.is_open


async def test_a_database_in_memory_lives_as_long_as_its_store() -> None:
    well = uuid4()
    async with SQLiteEventStore(":memory:") as store:
        await store.initialize()
        await store.append_events(well, "Well", coins(well, 1), 0)
        assert await store.event_exists((await store.get_events(well)).events[0].event_id)
    async with store:
        with pytest.raises(SchemaError, match="initialize"):
            await store.get_events(well)


async def test_what_is_wrong_with_the_file_is_said(tmp_path: Path, path: Path) -> None:
    with pytest.raises(EventStoreConnectionError, match="folder"):
        await SQLiteEventStore(tmp_path / "nowhere" / "wells.db").initialize()
    with pytest.raises(DatabaseError, match="not a database"):
        await SQLiteEventStore(__file__).initialize()
    async with SQLiteEventStore(path) as store:
        with pytest.raises(SchemaError, match=r"no such table: events.*initialize"):
            await store.get_events(uuid4())


async def test_the_store_shows_and_uses_what_it_was_given(path: Path) -> None:
    registry = EventRegistry()
    store = SQLiteEventStore(path, registry, outbox_enabled=True)
    assert (store.event_registry, store.outbox_enabled) == (registry, True)
    usual = SQLiteEventStore(path)
    assert (usual.event_registry, usual.outbox_enabled) == (default_registry, False)
    well = uuid4()
    async with store:
        await store.initialize()
        with pytest.raises(EventTypeNotFoundError):
            await store.append_events(well, "Well", coins(well, 1), 0)
        registry.register(CoinDropped)
        await store.append_events(well, "Well", coins(well, 1), 0)


async def test_free_form_text_is_converted_as_asked(database: SQLiteDatabase) -> None:
    well, text = uuid4(), str(uuid4())
    metadata = {"user_id": text, "note": text, "badge_id": text}
    await SQLiteEventStore(database).append_events(
        well, "Well", coins(well, 1, metadata=metadata), 0
    )

    async def kinds(**options: object) -> list[str]:
        stream = await SQLiteEventStore(database, **options).get_events(well)
        return [type(value).__name__ for value in stream.events[0].metadata.values()]

    assert await kinds() == ["UUID", "str", "UUID"]
    assert await kinds(auto_detect_uuid=False, uuid_fields=["note"]) == ["UUID", "UUID", "str"]
    assert await kinds(string_id_fields=["user_id"]) == ["str", "str", "UUID"]
    strict = DefaultTypeConverter.strict(["badge_id"])
    assert await kinds(type_converter=strict) == ["str", "str", "UUID"]


async def test_the_outbox_row_comes_with_the_event(database: SQLiteDatabase) -> None:
    store, well, tenant = SQLiteEventStore(database, outbox_enabled=True), uuid4(), uuid4()
    events = coins(well, 1, 2, tenant_id=tenant)
    await store.append_events(well, "Well", events, 0)
    await store.append_events(well, "Well", events, 0)
    rows = await database.fetch("SELECT * FROM event_outbox ORDER BY sequence")
    assert [row["event_id"] for row in rows] == [str(event.event_id) for event in events]
    assert [CoinDropped.from_dict(json.loads(row["event_data"])) for row in rows] == events
    assert {(row["status"], row["aggregate_type"], row["tenant_id"]) for row in rows} == {
        ("pending", "Well", str(tenant))
    }


async def test_times_compare_as_times_whatever_their_zone(database: SQLiteDatabase) -> None:
    store, well = SQLiteEventStore(database), uuid4()
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    await store.append_events(well, "Well", coins(well, 1, occurred_at=noon), 0)
    minute, karachi = timedelta(minutes=1), timezone(timedelta(hours=5))
    before, after = ((noon + shift).astimezone(karachi) for shift in (-minute, minute))
    assert (await store.get_events(well, from_timestamp=before, to_timestamp=after)).events
    assert not (await store.get_events(well, from_timestamp=after)).events
    assert await store.get_events_by_type("Well", from_timestamp=before)
    assert not await store.get_events_by_type("Well", from_timestamp=noon)


async def test_stored_events_are_not_changed(database: SQLiteDatabase) -> None:
    well = uuid4()
    await SQLiteEventStore(database).append_events(well, "Well", coins(well, 1), 0)
    for statement in ("UPDATE events SET version = 7", "DELETE FROM events"):
        with pytest.raises(DatabaseError, match="append-only"):
            await database.fetch(statement)


async def test_a_position_of_another_store_is_not_in_the_log(database: SQLiteDatabase) -> None:
    store, well = SQLiteEventStore(database), uuid4()
    await store.append_events(well, "Well", coins(well, 1, 2), 0)
    with pytest.raises(PositionNotFoundError):
        await anext(store.read_all(ReadOptions(from_position=3)))


async def test_an_append_that_fails_half_way_stores_nothing(database: SQLiteDatabase) -> None:
    store, well, other = SQLiteEventStore(database), uuid4(), uuid4()
    await database.fetch(
        "CREATE TRIGGER full BEFORE INSERT ON events WHEN NEW.version = 3 "
        "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
    )
    with pytest.raises(DatabaseError, match="the disk is full"):
        await store.append_events(well, "Well", coins(well, 1, 2, 3), 0)
    await store.append_events(other, "Well", coins(other, 1), 0)
    assert [stored.aggregate_id async for stored in store.read_all()] == [other]
    assert await store.get_global_position() == 1


async def test_a_conflict_of_one_task_undoes_nothing_of_another(database: SQLiteDatabase) -> None:
    store, shared = SQLiteEventStore(database), uuid4()
    wells = [uuid4() for _ in range(20)]
    appends = [store.append_events(well, "Well", coins(well, 1, 2, 3), 0) for well in wells]
    racing = [store.append_events(shared, "Well", coins(shared, 1), 0) for _ in wells]
    mixed = [one for pair in zip(appends, racing, strict=True) for one in pair]
    answers = await asyncio.gather(*mixed, return_exceptions=True)
    assert sum(isinstance(answer, Exception) for answer in answers) == len(wells) - 1
    for well in wells:
        assert await store.get_stream_version(well, "Well") == 3
    assert await store.get_global_position() == 3 * len(wells) + 1


async def test_readers_never_see_what_may_be_rolled_back(database: SQLiteDatabase) -> None:
    store, well = SQLiteEventStore(database), uuid4()

    async def write_and_regret() -> None:
        async with database.transaction() as transaction:
            await store.append_events(well, "Well", coins(well, 1), 0, transaction=transaction)
            await asyncio.sleep(0.05)
            raise ZeroDivisionError

    writer = asyncio.create_task(write_and_regret())
    seen = []
    while not writer.done():
        seen.append(await store.get_global_position())
        await asyncio.sleep(0)
    assert isinstance(writer.exception(), ZeroDivisionError)
    assert set(seen) == {0}


async def test_a_task_that_would_wait_for_itself_is_told(database: SQLiteDatabase) -> None:
    store = SQLiteEventStore(database)
    async with database.transaction():
        with pytest.raises(RuntimeError, match="wait for itself"):
            await store.get_events(uuid4())
    assert (await store.get_events(uuid4())).is_empty


async def test_a_part_of_a_transaction_is_undone_alone(database: SQLiteDatabase) -> None:
    await database.fetch("CREATE TABLE notes (line TEXT)")
    async with database.transaction() as outer:
        await outer.fetch("INSERT INTO notes VALUES ('kept')")

        async def fail() -> None:
            async with database.transaction(outer) as inner:
                await inner.fetch("INSERT INTO notes VALUES ('lost')")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
    assert [row["line"] for row in await database.fetch("SELECT line FROM notes")] == ["kept"]
    assert (await database.fetchrow("SELECT line FROM notes"))["line"] == "kept"
    assert await database.fetchrow("SELECT 1 WHERE 0") is None


async def test_parts_of_a_transaction_undo_nothing_of_each_other(database: SQLiteDatabase) -> None:
    """As on PostgreSQL, the tasks of one transaction wait for each other or are told to."""
    store, kept, refused = SQLiteEventStore(database), uuid4(), uuid4()
    async with database.transaction() as transaction:
        stored = asyncio.Event()

        async def refuse_late() -> None:
            async with database.transaction(transaction):
                await asyncio.wait_for(stored.wait(), 20)
                raise ZeroDivisionError

        async def store_meanwhile() -> None:
            try:
                await store.append_events(kept, "Well", coins(kept, 1), 0, transaction=transaction)
            finally:
                stored.set()

        late, told = await asyncio.gather(refuse_late(), store_meanwhile(), return_exceptions=True)
        assert isinstance(late, ZeroDivisionError)
        assert isinstance(told, EventStoreError)
        assert "Await each before the next" in str(told)
        assert await store.append_events(kept, "Well", coins(kept, 1), 0, transaction=transaction)
        with pytest.raises(OptimisticLockError):
            await store.append_events(
                refused, "Well", coins(refused, 8), 7, transaction=transaction
            )
    assert await store.get_stream_version(kept, "Well") == 1


async def test_a_transaction_is_used_while_it_is_open_and_where_it_belongs(
    database: SQLiteDatabase,
) -> None:
    async with database.transaction() as transaction:
        assert (await transaction.fetchrow("SELECT $1 AS one", 1))["one"] == 1
    with pytest.raises(RuntimeError, match="has ended"):
        await transaction.fetch("SELECT 1")
    well = uuid4()
    async with SQLiteDatabase(":memory:") as other, other.transaction() as foreign:
        with pytest.raises(ValueError, match="another SQLiteDatabase"):
            await SQLiteEventStore(database).append_events(
                well, "Well", coins(well, 1), 0, transaction=foreign
            )


async def test_values_that_sqlite_cannot_hold_are_refused(database: SQLiteDatabase) -> None:
    for value in (2**63, "\ud800", object()):
        with pytest.raises(DatabaseError):
            await database.fetch("SELECT $1", value)
    with pytest.raises(ValueError, match="time zone"):
        await database.fetch("SELECT $1", datetime(2026, 3, 1))  # noqa: DTZ001  # the mistake


async def test_another_processs_write_is_waited_for(path: Path, database: SQLiteDatabase) -> None:
    impatient, well = SQLiteDatabase(path, busy_timeout=50), uuid4()
    rival = sqlite3.connect(path, isolation_level=None)
    async with impatient:
        rival.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseError, match="busy_timeout"):
            await SQLiteEventStore(impatient).append_events(well, "Well", coins(well, 1), 0)
        patient = asyncio.create_task(
            SQLiteEventStore(database).append_events(well, "Well", coins(well, 1), 0)
        )
        await asyncio.wait([patient], timeout=0.2)
        assert not patient.done()
        rival.execute("COMMIT")
        assert (await patient).new_version == 1
    rival.close()


@pytest.mark.parametrize(("wal_mode", "mode"), [(True, "wal"), (False, "delete")])
async def test_the_journal_is_the_one_asked_for(path: Path, wal_mode: bool, mode: str) -> None:
    async with SQLiteDatabase(path, wal_mode=wal_mode) as database:
        row = await database.fetchrow("PRAGMA journal_mode")
    assert row["journal_mode"] == mode


@pytest.mark.parametrize("turns", range(0, 40, 2))
async def test_an_append_cancelled_anywhere_is_all_or_nothing(
    database: SQLiteDatabase, turns: int
) -> None:
    store, well, other = SQLiteEventStore(database), uuid4(), uuid4()
    task = asyncio.create_task(store.append_events(well, "Well", coins(well, 1, 2, 3), 0))
    for _ in range(turns):
        await asyncio.sleep(0)
    for _ in range(3):  # also while it cleans up
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([task])
    await store.append_events(other, "Well", coins(other, 1), 0)
    version = await store.get_stream_version(well, "Well")
    assert version in (0, 3)
    assert version == 3 or task.cancelled()


async def test_a_database_that_was_never_closed_is_named(path: Path) -> None:
    database = SQLiteDatabase(path)
    await database.open()
    connection = database.connection
    with pytest.warns(ResourceWarning, match=r"wells\.db.*never closed"):
        del database
    await eventually(lambda: not connection._sqlite._thread.is_alive())


def test_without_the_driver_the_library_works_and_sqlite_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SQLITE_AVAILABLE", False)
    with pytest.raises(SQLiteNotAvailableError, match=r"eventsource-tutorial\[sqlite\]"):
        asyncio.run(SQLiteDatabase(":memory:").open())


def test_importing_the_library_does_not_import_the_driver() -> None:
    check = "import sys, eventsource; sys.exit('aiosqlite' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


async def test_a_cancellation_while_a_part_is_released_stays_a_cancellation(
    database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, well = SQLiteEventStore(database), uuid4()
    fetch = database.connection.fetch

    async def work() -> None:
        async with database.transaction() as transaction:
            await store.append_events(well, "Well", coins(well, 1), 0, transaction=transaction)

    async def cancel_at_the_release(statement: str, *arguments: object) -> list:
        if statement.startswith("RELEASE"):
            task.cancel()
        return await fetch(statement, *arguments)

    monkeypatch.setattr(database.connection, "fetch", cancel_at_the_release)
    task = asyncio.create_task(work())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await store.get_stream_version(well, "Well") == 0


@pytest.mark.parametrize("statement", [sql.FEED_PAGE_FORWARD, sql.FEED_PAGE_BACKWARD])
async def test_a_page_of_the_feed_is_found_by_its_position(
    database: SQLiteDatabase, statement: str
) -> None:
    arguments = 0, 5, 1000, None, None, None, None, None, 0, 9
    plan = await database.fetch(f"EXPLAIN QUERY PLAN {statement}", *arguments)
    assert plan[0]["detail"].startswith("SEARCH events USING INTEGER PRIMARY KEY (rowid>")
