"""A repository with snapshots loads what it would load without them, from fewer events."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel

from eventsource import (
    AggregateRepository,
    AggregateRoot,
    DomainEvent,
    EventStore,
    EventStream,
    InMemoryEventStore,
    InMemorySnapshotStore,
    PostgreSQLSnapshotStore,
    Snapshot,
    SnapshotError,
    SnapshotStore,
    SQLiteSnapshotStore,
    register_event,
)
from eventsource.sqlite_database import SQLiteDatabase


@register_event
class Metered(DomainEvent):
    aggregate_type: str = "Meter"
    value: int


class Reading(BaseModel):
    values: list[int] = []


class Meter(AggregateRoot[Reading]):
    aggregate_type = "Meter"

    def _get_initial_state(self) -> Reading:
        return Reading()

    def _apply(self, event: DomainEvent) -> None:
        assert isinstance(event, Metered)
        before = self._state or self._get_initial_state()
        self._state = Reading(values=[*before.values, event.value])

    def read(self, *values: int) -> None:
        for value in values:
            self.apply_event(
                Metered(
                    aggregate_id=self.aggregate_id,
                    aggregate_version=self.get_next_version(),
                    value=value,
                )
            )


class NewMeter(Meter):
    schema_version = 2


class CountingStore(InMemoryEventStore):
    """Counts the events that loads replay."""

    replayed = 0

    async def get_events(self, *args: Any, **kwargs: Any) -> EventStream:
        stream = await super().get_events(*args, **kwargs)
        self.replayed += len(stream.events)
        return stream


class SlowSnapshots(InMemorySnapshotStore):
    """Holds every save up until `may_go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go = asyncio.Event()

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        await self.may_go.wait()
        await super().save_snapshot(snapshot)


class BrokenSnapshots(InMemorySnapshotStore):
    async def save_snapshot(self, snapshot: Snapshot) -> None:
        raise ConnectionError("no snapshots today")

    async def get_snapshot(self, aggregate_id: UUID, aggregate_type: str) -> Snapshot | None:
        raise ConnectionError("no snapshots today")


@pytest.fixture(params=["in-memory", "sqlite", "postgresql"])
async def snapshot_store(
    request: pytest.FixtureRequest, tmp_path: Path, engine_of
) -> AsyncIterator[SnapshotStore]:
    if request.param == "in-memory":
        yield InMemorySnapshotStore()
    elif request.param == "postgresql":
        yield PostgreSQLSnapshotStore(engine_of(request.getfixturevalue("database_url")))
    else:
        async with SQLiteDatabase(tmp_path / "shop.db") as database:
            await database.initialize()
            yield SQLiteSnapshotStore(database)


@pytest.fixture
def event_store() -> CountingStore:
    return CountingStore()


def repository(
    store: EventStore, snapshots: SnapshotStore, threshold: int | None = 10, **options: Any
) -> AggregateRepository[Meter]:
    return AggregateRepository(
        store, Meter, snapshot_store=snapshots, snapshot_threshold=threshold, **options
    )


async def read(meters: AggregateRepository[Meter], meter_id: UUID, count: int) -> Meter:
    """One save of so many events."""
    return await meters.update(meter_id, lambda meter: meter.read(*range(count)), create=True)


async def version_of(snapshots: SnapshotStore, meter_id: UUID) -> int | None:
    snapshot = await snapshots.get_snapshot(meter_id, "Meter")
    return snapshot and snapshot.version


async def test_a_load_replays_only_what_follows_the_snapshot(
    event_store: CountingStore, snapshot_store: SnapshotStore
) -> None:
    meters, meter_id = repository(event_store, snapshot_store), uuid4()
    await read(meters, meter_id, 25)
    saved = await read(meters, meter_id, 3)
    event_store.replayed = 0
    loaded = await meters.load(meter_id)
    assert event_store.replayed == 3
    full = await AggregateRepository(event_store, Meter).load(meter_id)
    assert (loaded.version, loaded.state) == (full.version, full.state)
    assert (saved.version, saved.state) == (full.version, full.state)


@pytest.mark.parametrize(
    ("sizes", "snapshots"),
    [
        ((16,), [16]),
        ((6, 6, 6, 6), [None, 12, 12, 24]),
        ((9, 1), [None, 10]),
        ((10, 9, 1), [10, 10, 20]),
        ((35, 4, 1), [35, 35, 40]),
    ],
)
async def test_a_save_that_crosses_a_multiple_takes_a_snapshot(
    event_store: CountingStore, sizes: tuple[int, ...], snapshots: list[int | None]
) -> None:
    store, meter_id = InMemorySnapshotStore(), uuid4()
    meters = repository(event_store, store)
    seen = []
    for size in sizes:
        await read(meters, meter_id, size)
        seen.append(await version_of(store, meter_id))
    assert seen == snapshots


async def test_a_snapshot_of_another_schema_is_ignored_and_replaced(
    event_store: CountingStore, snapshot_store: SnapshotStore, caplog: pytest.LogCaptureFixture
) -> None:
    meter_id = uuid4()
    await read(repository(event_store, snapshot_store), meter_id, 12)
    newer = AggregateRepository(event_store, NewMeter, snapshot_store=snapshot_store)
    event_store.replayed = 0
    with caplog.at_level(logging.WARNING):
        loaded = await newer.load(meter_id)
    assert (event_store.replayed, loaded.version) == (12, 12)
    assert "schema version 1" in caplog.text
    await newer.create_snapshot(loaded)
    event_store.replayed = 0
    assert (await newer.load(meter_id)).state == loaded.state
    assert event_store.replayed == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 40}, "the stream ends at 12"),
        ({"version": 13}, "the stream ends at 12"),
        ({"version": 13, "state": {"values": "unreadable"}}, "does not fit"),
    ],
)
async def test_a_snapshot_that_cannot_be_right_is_ignored(
    event_store: CountingStore,
    snapshot_store: SnapshotStore,
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, Any],
    reason: str,
) -> None:
    meters, meter_id = repository(event_store, snapshot_store), uuid4()
    await read(meters, meter_id, 12)
    good = await snapshot_store.get_snapshot(meter_id, "Meter")
    assert good is not None
    await snapshot_store.save_snapshot(replace(good, **changes))
    with caplog.at_level(logging.WARNING):
        loaded = await meters.load(meter_id)
    assert (loaded.version, loaded.state) == (12, Reading(values=list(range(12))))
    assert reason in caplog.text


async def test_a_snapshot_without_a_stream_is_no_aggregate(
    event_store: CountingStore, snapshot_store: SnapshotStore
) -> None:
    meters, meter_id = repository(event_store, snapshot_store), uuid4()
    await snapshot_store.save_snapshot(Snapshot(meter_id, "Meter", 3, {"values": [1, 2, 3]}))
    assert (await meters.load_or_create(meter_id)).version == 0


@pytest.mark.parametrize("mode", ["sync", "background"])
async def test_a_broken_snapshot_store_costs_nothing_but_time(
    event_store: CountingStore, caplog: pytest.LogCaptureFixture, mode: Any
) -> None:
    meters, meter_id = repository(event_store, BrokenSnapshots(), snapshot_mode=mode), uuid4()
    await read(meters, meter_id, 12)
    await meters.await_pending_snapshots()
    assert "was not stored" in caplog.text
    assert (await meters.load(meter_id)).version == 12
    assert "no snapshots today" in caplog.text


async def test_a_state_that_cannot_be_kept_does_not_stop_a_save(
    event_store: CountingStore, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(Meter):
        def _serialize_state(self) -> dict[str, Any]:
            raise SnapshotError("not this one")

    snapshots, meter_id = InMemorySnapshotStore(), uuid4()
    odd = AggregateRepository(event_store, Odd, snapshot_store=snapshots, snapshot_threshold=1)
    meter = await odd.update(meter_id, lambda meter: meter.read(1), create=True)
    assert "not this one" in caplog.text
    assert not await snapshots.snapshot_exists(meter_id, "Meter")
    with pytest.raises(SnapshotError, match="not this one"):
        await odd.create_snapshot(meter)


async def test_a_background_snapshot_holds_what_was_saved_when_it_was_scheduled(
    event_store: CountingStore,
) -> None:
    snapshots, meter_id = SlowSnapshots(), uuid4()
    meters = repository(event_store, snapshots, snapshot_mode="background")
    meter = await read(meters, meter_id, 10)
    assert meters.pending_snapshot_count == 1
    meter.read(99)  # never saved
    snapshots.may_go.set()
    assert await meters.await_pending_snapshots() == 1
    assert (meters.pending_snapshot_count, await meters.await_pending_snapshots()) == (0, 0)
    snapshot = await snapshots.get_snapshot(meter_id, "Meter")
    assert snapshot is not None
    assert (snapshot.version, snapshot.state) == (10, {"values": list(range(10))})


async def test_waiting_for_snapshots_can_be_given_up(event_store: CountingStore) -> None:
    snapshots, meter_id = SlowSnapshots(), uuid4()
    meters = repository(event_store, snapshots, snapshot_mode="background")
    await read(meters, meter_id, 10)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(meters.await_pending_snapshots(), 0.01)
    snapshots.may_go.set()
    await meters.await_pending_snapshots()
    assert await version_of(snapshots, meter_id) == 10


async def test_events_applied_during_a_save_are_in_no_snapshot(event_store: CountingStore) -> None:
    class Interrupting(CountingStore):
        async def append_events(self, *args: Any, **kwargs: Any) -> Any:
            result = await event_store.append_events(*args, **kwargs)
            meter.read(99)
            return result

    snapshots, meter = InMemorySnapshotStore(), Meter(uuid4())
    meter.read(*range(10))
    await repository(Interrupting(), snapshots).save(meter)
    assert meter.version == 11
    assert await version_of(snapshots, meter.aggregate_id) is None


async def test_manual_mode_takes_no_snapshot_by_itself(event_store: CountingStore) -> None:
    snapshots, meter_id = InMemorySnapshotStore(), uuid4()
    meters = repository(event_store, snapshots, 1, snapshot_mode="manual")
    meter = await read(meters, meter_id, 5)
    assert await version_of(snapshots, meter_id) is None
    assert (await meters.create_snapshot(meter)).version == 5
    assert await version_of(snapshots, meter_id) == 5


async def test_a_snapshot_is_of_saved_events_only(event_store: CountingStore) -> None:
    meters = repository(event_store, InMemorySnapshotStore())
    meter = await read(meters, uuid4(), 5)
    meter.read(1)
    with pytest.raises(SnapshotError, match="not saved"):
        await meters.create_snapshot(meter)
    with pytest.raises(SnapshotError, match="no events"):
        await meters.create_snapshot(Meter(uuid4()))


async def test_options_that_would_do_nothing_are_refused(event_store: CountingStore) -> None:
    snapshots = InMemorySnapshotStore()
    for options, problem in (
        ({"snapshot_threshold": 5}, "snapshot_store"),
        ({"snapshot_store": snapshots, "snapshot_threshold": 0}, "1 or more"),
        ({"snapshot_store": snapshots, "snapshot_mode": "sometimes"}, "manual"),
    ):
        with pytest.raises(ValueError, match=problem):
            AggregateRepository(event_store, Meter, **options)
    without = AggregateRepository(event_store, Meter)
    meter = await read(without, uuid4(), 1)
    with pytest.raises(RuntimeError, match="snapshot_store="):
        await without.create_snapshot(meter)
    assert (without.pending_snapshot_count, await without.await_pending_snapshots()) == (0, 0)
