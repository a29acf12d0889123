"""Every snapshot store keeps the promises of the port."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eventsource import (
    InMemorySnapshotStore,
    PostgreSQLSnapshotStore,
    SnapshotDeserializationError,
    SnapshotStore,
    SQLiteSnapshotStore,
)
from eventsource.exceptions import SchemaError
from eventsource.sqlite_database import SQLiteDatabase
from eventsource.testing.contracts.snapshot_store import SnapshotStoreContract, a_snapshot


class TestInMemory(SnapshotStoreContract):
    @pytest.fixture
    def snapshot_store(self) -> SnapshotStore:
        return InMemorySnapshotStore()

    async def test_clear_forgets_everything(self, snapshot_store: InMemorySnapshotStore) -> None:
        await snapshot_store.save_snapshot(a_snapshot())
        await snapshot_store.clear()
        assert await snapshot_store.delete_snapshots_by_type("Cart") == 0


class TestSQLite(SnapshotStoreContract):
    @pytest.fixture
    async def database(self, tmp_path: Path) -> AsyncIterator[SQLiteDatabase]:
        async with SQLiteDatabase(tmp_path / "shop.db") as database:
            await database.initialize()
            yield database

    @pytest.fixture
    def snapshot_store(self, database: SQLiteDatabase) -> SnapshotStore:
        return SQLiteSnapshotStore(database)

    async def test_a_damaged_row_is_named(
        self, database: SQLiteDatabase, snapshot_store: SnapshotStore
    ) -> None:
        snapshot = a_snapshot()
        await snapshot_store.save_snapshot(snapshot)
        for damage in ("{", "[1]"):
            await database.fetch("UPDATE snapshots SET state = ?1", damage)
            with pytest.raises(SnapshotDeserializationError, match=str(snapshot.aggregate_id)):
                await snapshot_store.get_snapshot(snapshot.aggregate_id, "Cart")


class TestPostgreSQL(SnapshotStoreContract):
    @pytest.fixture
    def snapshot_store(self, database_url: str, engine_of) -> SnapshotStore:
        return PostgreSQLSnapshotStore(engine_of(database_url))

    async def test_a_missing_table_names_its_schema(
        self, empty_database_url: str, engine_of
    ) -> None:
        store = PostgreSQLSnapshotStore(engine_of(empty_database_url))
        with pytest.raises(SchemaError, match=r"get_schema\('snapshots'\)"):
            await store.save_snapshot(a_snapshot())

    async def test_a_cancelled_save_gives_its_connection_back(
        self, snapshot_store: SnapshotStore
    ) -> None:
        saves = [asyncio.create_task(snapshot_store.save_snapshot(a_snapshot())) for _ in range(8)]
        await asyncio.sleep(0)
        for save in saves:
            save.cancel()
        await asyncio.gather(*saves, return_exceptions=True)
        after = a_snapshot()
        await snapshot_store.save_snapshot(after)
        assert await snapshot_store.get_snapshot(after.aggregate_id, "Cart") == after
