"""kill -9 on a process that takes snapshots: the next load is right, whatever was left behind."""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from eventsource import (
    AggregateRepository,
    AggregateRoot,
    DomainEvent,
    PostgreSQLEventStore,
    PostgreSQLSnapshotStore,
    SnapshotStore,
    SQLiteSnapshotStore,
    register_event,
)
from eventsource.sqlite_database import SQLiteDatabase

LEDGER_ID = UUID("5d3f9f5e-6f5c-4d3c-9a35-0d1b8a2f7c11")


@register_event
class EntryMade(DomainEvent):
    aggregate_type: str = "Ledger"
    amount: int


class Ledger(AggregateRoot[dict[str, list[int]]]):
    aggregate_type = "Ledger"

    def _get_initial_state(self) -> dict[str, list[int]]:
        return {"entries": []}

    def _apply(self, event: DomainEvent) -> None:
        assert isinstance(event, EntryMade)
        before = self._state or self._get_initial_state()
        self._state = {"entries": [*before["entries"], event.amount]}

    def make(self, count: int) -> None:
        for _ in range(count):
            version = self.get_next_version()
            self.apply_event(
                EntryMade(aggregate_id=self.aggregate_id, aggregate_version=version, amount=version)
            )


@asynccontextmanager
async def repository(
    url: str, sqlite_path: str, mode: str
) -> AsyncIterator[tuple[AggregateRepository[Ledger], SnapshotStore]]:
    engine = create_async_engine(url)
    async with SQLiteDatabase(sqlite_path or ":memory:") as database:
        await database.initialize()
        snapshots: SnapshotStore = PostgreSQLSnapshotStore(engine)
        if sqlite_path:
            snapshots = SQLiteSnapshotStore(database)
        yield (
            AggregateRepository(
                PostgreSQLEventStore(engine),
                Ledger,
                snapshot_store=snapshots,
                snapshot_threshold=2,
                snapshot_mode=mode,  # type: ignore[arg-type]  # it comes over the command line
            ),
            snapshots,
        )
    await engine.dispose()


async def snapshotter(url: str, sqlite_path: str, mode: str) -> None:
    """Make entries without end, with a snapshot after each of them or nearly."""
    async with repository(url, sqlite_path, mode) as (ledgers, _):
        while True:
            saved = await ledgers.update(LEDGER_ID, lambda ledger: ledger.make(3), create=True)
            print(saved.version, flush=True)


PROGRAM = """
import asyncio, importlib.util, sys
spec = importlib.util.spec_from_file_location("snapshotter", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
asyncio.run(module.snapshotter(*sys.argv[2:]))
"""


@pytest.fixture
def kill_after(database_url: str) -> Callable[[int, str, str], int]:
    """Run a snapshotter, kill it when it has told of so many saves, and give the last version."""

    def run(saves: int, sqlite_path: str, mode: str) -> int:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, __file__, database_url, sqlite_path, mode],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:
            told = [process.stdout.readline() for _ in range(saves)]
        finally:
            process.kill()
            rest, _ = process.communicate(timeout=30)
        lines = ("".join(told) + rest).split("\n")[:-1]
        return int(lines[-1])

    return run


@pytest.mark.parametrize("mode", ["sync", "background"])
@pytest.mark.parametrize("backend", ["postgresql", "sqlite"])
async def test_a_load_after_the_crash_equals_the_full_replay(
    database_url: str,
    tmp_path: Path,
    kill_after: Callable[[int, str, str], int],
    backend: str,
    mode: str,
) -> None:
    sqlite_path = str(tmp_path / "snapshots.db") if backend == "sqlite" else ""
    for saves in (3, 11, 17):
        told = kill_after(saves, sqlite_path, mode)
        async with repository(database_url, sqlite_path, mode) as (ledgers, snapshots):
            snapshot = await snapshots.get_snapshot(LEDGER_ID, "Ledger")
            stored = await ledgers.get_version(LEDGER_ID)
            if snapshot is None:  # killed before the first one was written
                assert (mode, saves) == ("background", 3)
            else:
                assert snapshot.version <= stored
                assert snapshot.state == {"entries": list(range(1, snapshot.version + 1))}
            loaded = await ledgers.load(LEDGER_ID)
            full = await AggregateRepository(ledgers.event_store, Ledger).load(LEDGER_ID)
            assert loaded.version == full.version == stored >= told
            assert loaded.state == full.state
