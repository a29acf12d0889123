"""What every snapshot store promises.

Import all names of this module into a test module of yours, and define the fixture
`snapshot_store`, which gives an empty store to every test.
"""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from eventsource.exceptions import SnapshotError
from eventsource.snapshots import Snapshot, SnapshotStore

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def a_snapshot(version: int = 3, **changes: Any) -> Snapshot:
    return replace(
        Snapshot(uuid4(), "Cart", version, {"items": version}, created_at=NOON), **changes
    )


async def latest(store: SnapshotStore, like: Snapshot) -> Snapshot | None:
    return await store.get_snapshot(like.aggregate_id, like.aggregate_type)


async def test_what_is_read_equals_what_was_saved(snapshot_store: SnapshotStore) -> None:
    awkward = {
        "text": 'it\'s "quoted", \x00, \ud800, 猫; DROP TABLE snapshots',
        "numbers": [1, 1.5, 35374000000000001, 3.5374e16, -0.0, 10**30],
        "nested": {"none": None, "true": True, "empty": {}},
    }
    snapshot = a_snapshot(state=awkward, schema_version=4)
    await snapshot_store.save_snapshot(snapshot)
    found = await latest(snapshot_store, snapshot)
    assert found == snapshot
    assert found is not None
    assert repr(found.state["numbers"]) == repr(awkward["numbers"])


async def test_there_is_nothing_at_first(snapshot_store: SnapshotStore) -> None:
    unknown = a_snapshot()
    assert await latest(snapshot_store, unknown) is None
    key = unknown.aggregate_id, unknown.aggregate_type
    assert not await snapshot_store.snapshot_exists(*key)
    assert not await snapshot_store.delete_snapshot(*key)
    assert await snapshot_store.delete_snapshots_by_type("Cart") == 0


async def test_each_aggregate_has_its_own(snapshot_store: SnapshotStore) -> None:
    cart = a_snapshot()
    order = replace(cart, aggregate_type="Order", state={"total": 1})
    other = a_snapshot(state={"items": 99})
    for snapshot in (cart, order, other):
        await snapshot_store.save_snapshot(snapshot)
    assert [await latest(snapshot_store, each) for each in (cart, order, other)] == [
        cart,
        order,
        other,
    ]


@pytest.mark.parametrize(
    ("version", "schema_version", "is_kept"),
    [(6, 2, True), (5, 2, True), (5, 3, True), (6, 1, True), (4, 2, False), (5, 1, False)],
)
async def test_an_older_snapshot_never_replaces_a_newer_one(
    snapshot_store: SnapshotStore, version: int, schema_version: int, is_kept: bool
) -> None:
    first = a_snapshot(5, schema_version=2)
    second = replace(first, version=version, schema_version=schema_version, state={"second": True})
    await snapshot_store.save_snapshot(first)
    await snapshot_store.save_snapshot(second)
    assert await latest(snapshot_store, first) == (second if is_kept else first)


async def test_of_racing_writers_the_latest_version_stays(snapshot_store: SnapshotStore) -> None:
    first = a_snapshot(1)
    versions = [replace(first, version=n, state={"items": n}) for n in (3, 9, 1, 7, 8, 2)]
    await asyncio.gather(*map(snapshot_store.save_snapshot, versions))
    assert await latest(snapshot_store, first) == versions[1]


async def test_a_deleted_snapshot_is_gone(snapshot_store: SnapshotStore) -> None:
    snapshot, other = a_snapshot(), a_snapshot()
    key: tuple[UUID, str] = snapshot.aggregate_id, snapshot.aggregate_type
    await snapshot_store.save_snapshot(snapshot)
    await snapshot_store.save_snapshot(other)
    assert await snapshot_store.snapshot_exists(*key)
    assert await snapshot_store.delete_snapshot(*key)
    assert not await snapshot_store.snapshot_exists(*key)
    assert await latest(snapshot_store, other) == other


async def test_a_type_is_deleted_whole_or_below_a_schema_version(
    snapshot_store: SnapshotStore,
) -> None:
    old, present = a_snapshot(schema_version=1), a_snapshot(schema_version=2)
    order = a_snapshot(aggregate_type="Order")
    for snapshot in (old, present, order):
        await snapshot_store.save_snapshot(snapshot)
    assert await snapshot_store.delete_snapshots_by_type("Cart", schema_version_below=2) == 1
    assert await latest(snapshot_store, old) is None
    assert await snapshot_store.delete_snapshots_by_type("Cart") == 1
    assert await latest(snapshot_store, present) is None
    assert await latest(snapshot_store, order) == order


@pytest.mark.parametrize("state", [{"x": float("nan")}, {"x": uuid4()}, {"x": {1, 2}}])
async def test_a_state_that_is_no_json_is_refused(
    snapshot_store: SnapshotStore, state: dict[str, Any]
) -> None:
    stored = a_snapshot()
    await snapshot_store.save_snapshot(stored)
    with pytest.raises(SnapshotError, match="no JSON"):
        await snapshot_store.save_snapshot(replace(stored, version=9, state=state))
    assert await latest(snapshot_store, stored) == stored


async def test_what_is_read_is_the_readers_own(snapshot_store: SnapshotStore) -> None:
    snapshot = a_snapshot(state={"tags": ["a"]})
    await snapshot_store.save_snapshot(snapshot)
    found = await latest(snapshot_store, snapshot)
    assert found is not None
    found.state["tags"].append("b")
    assert await latest(snapshot_store, snapshot) == snapshot
