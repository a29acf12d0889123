"""Every snapshot store keeps the promises of the port."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest

from eventsource import (
    InMemoryKeyRepository,
    InMemorySnapshotStore,
    PostgreSQLSnapshotStore,
    PrivateSnapshotStore,
    SnapshotDeserializationError,
    SnapshotStore,
    SQLiteSnapshotStore,
    Vault,
)
from eventsource.exceptions import SchemaError
from eventsource.sqlite_database import SQLiteDatabase
from eventsource.testing.contracts.snapshot_store import *  # noqa: F403  # its tests run here
from eventsource.testing.contracts.snapshot_store import a_snapshot


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SQLiteDatabase]:
    async with SQLiteDatabase(tmp_path / "shop.db") as database:
        await database.initialize()
        yield database


@pytest.fixture(params=["in-memory", "sqlite", "postgresql", "private"])
def snapshot_store(request: pytest.FixtureRequest, engine_of) -> SnapshotStore:
    if request.param == "in-memory":
        return InMemorySnapshotStore()
    if request.param == "private":
        vault = Vault(InMemoryKeyRepository(), bytes(32))
        return PrivateSnapshotStore(InMemorySnapshotStore(), vault)
    if request.param == "sqlite":
        return SQLiteSnapshotStore(request.getfixturevalue("database"))
    return PostgreSQLSnapshotStore(engine_of(request.getfixturevalue("database_url")))


def test_a_snapshot_has_a_version_and_a_time_with_a_zone() -> None:
    with pytest.raises(ValueError, match="version 1 or later"):
        a_snapshot(version=0)
    with pytest.raises(ValueError, match="time zone"):
        a_snapshot(created_at=datetime(2026, 3, 1))  # noqa: DTZ001  # the mistake under test


async def test_clear_forgets_everything() -> None:
    snapshots = InMemorySnapshotStore()
    await snapshots.save_snapshot(a_snapshot())
    await snapshots.clear()
    assert await snapshots.delete_snapshots_by_type("Cart") == 0


@pytest.mark.parametrize("damage", ["{", "[1]"])
async def test_a_damaged_row_is_named(database: SQLiteDatabase, damage: str) -> None:
    snapshots, snapshot = SQLiteSnapshotStore(database), a_snapshot()
    await snapshots.save_snapshot(snapshot)
    await database.fetch("UPDATE snapshots SET state = ?1", damage)
    with pytest.raises(SnapshotDeserializationError, match=str(snapshot.aggregate_id)):
        await snapshots.get_snapshot(snapshot.aggregate_id, "Cart")


async def test_a_missing_table_names_its_schema(empty_database_url: str, engine_of) -> None:
    snapshots = PostgreSQLSnapshotStore(engine_of(empty_database_url))
    with pytest.raises(SchemaError, match=r"get_schema\('snapshots'\)"):
        await snapshots.save_snapshot(a_snapshot())


async def test_a_cancelled_save_leaves_a_store_that_works(snapshot_store: SnapshotStore) -> None:
    saves = [asyncio.create_task(snapshot_store.save_snapshot(a_snapshot())) for _ in range(8)]
    await asyncio.sleep(0)
    for save in saves:
        save.cancel()
    await asyncio.gather(*saves, return_exceptions=True)
    after = a_snapshot()
    await snapshot_store.save_snapshot(after)
    assert await snapshot_store.get_snapshot(after.aggregate_id, "Cart") == after
