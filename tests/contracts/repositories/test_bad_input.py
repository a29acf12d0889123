"""Hostile arguments: a repository keeps them exactly or refuses them, and stays readable."""

import math
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from eventsource import DomainEvent, InMemoryInboxRepository, SQLiteCheckpointRepository
from eventsource.exceptions import (
    DatabaseError,
    EventSourceError,
    SerializationError,
    SnapshotError,
)
from eventsource.snapshots.in_memory import InMemorySnapshotStore
from eventsource.snapshots.interface import Snapshot
from eventsource.types import Position
from tests.fuzzing import HOSTILE, fuzz

names = st.sampled_from([*HOSTILE, "x" * 300]) | st.text(max_size=20)
# Of larger floats PostgreSQL's JSONB keeps the decimal digits, and reads them as an int.
floats = st.floats(-1e15, 1e15) | st.sampled_from([math.nan, math.inf, -math.inf])
leaves = st.none() | st.booleans() | st.integers() | floats | st.sampled_from(HOSTILE)
values = st.recursive(leaves, lambda one: st.lists(one) | st.dictionaries(names, one), max_leaves=5)
data = st.dictionaries(names, values, max_size=3)
BOOM = ValueError("boom")


async def test_what_a_repository_cannot_be_on_is_refused_in_words() -> None:
    with pytest.raises(TypeError, match="SQLite needs a SQLiteDatabase or a transaction of one"):
        SQLiteCheckpointRepository("sqlite:///shop.db")
    with pytest.raises(TypeError, match="in memory has no transactions to join"):
        await InMemoryInboxRepository().record("mail", uuid4(), transaction="x")


@fuzz
@given(name=names)
async def test_a_name_is_kept_or_refused(checkpoints: Any, inbox_of: Any, name: str) -> None:
    before = await checkpoints.get_all_checkpoints()
    event_id = uuid4()
    try:
        await checkpoints.update_checkpoint(name, event_id, name)
    except EventSourceError:
        assert await checkpoints.get_all_checkpoints() == before
    else:
        (kept,) = [c for c in await checkpoints.get_all_checkpoints() if c.projection_name == name]
        assert (kept.last_event_id, kept.last_event_type) == (event_id, name)
    try:
        assert await inbox_of.record(name, event_id)
    except EventSourceError:
        return
    assert await inbox_of.is_recorded(name, event_id)


@fuzz
@given(event_data=data)
async def test_a_dead_letter_is_kept_or_refused(
    dead_letters: Any, event_data: dict[str, Any]
) -> None:
    before = await dead_letters.get_failed_events(limit=10**6)
    event_id = uuid4()
    try:
        await dead_letters.add_failed_event(event_id, "orders", "Thing", event_data, BOOM)
    except SerializationError:
        assert await dead_letters.get_failed_events(limit=10**6) == before
        return
    after = await dead_letters.get_failed_events(limit=10**6)
    (kept,) = [entry for entry in after if entry.event_id == event_id]
    assert kept.event_data == event_data


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, "\0", "\ud800", {"a": ["\\\0"]}, object()],
    ids=["nan", "infinity", "nul", "surrogate", "nul within", "no value"],
)
async def test_dead_letters_refuse_what_is_no_json(dead_letters: Any, value: object) -> None:
    with pytest.raises(SerializationError, match="Thing: event"):
        await dead_letters.add_failed_event(uuid4(), "orders", "Thing", {"a": value}, BOOM)
    assert await dead_letters.get_failed_events() == []


async def test_dead_letters_keep_text_that_looks_like_an_escape(dead_letters: Any) -> None:
    said = {"a": r"\u0000", "b": "\\\\u0000", "c": "ü"}
    await dead_letters.add_failed_event(uuid4(), "orders", "Thing", said, BOOM)
    assert (await dead_letters.get_failed_events())[0].event_data == said


async def test_dead_letters_refuse_deep_nesting(dead_letters: Any) -> None:
    nest: dict[str, Any] = {}
    for _ in range(100_000):
        nest = {"a": nest}
    with pytest.raises(SerializationError):
        await dead_letters.add_failed_event(uuid4(), "orders", "Thing", nest, BOOM)


@pytest.mark.parametrize("event_id", ["not-a-uuid", 5, None, "\ud800"], ids=ascii)
async def test_an_event_id_is_a_uuid(
    checkpoints: Any, inbox_of: Any, dead_letters: Any, event_id: Any
) -> None:
    for refused in (
        inbox_of.record("mail", event_id),
        checkpoints.update_checkpoint("orders", event_id, "Thing"),
        checkpoints.save_position("orders", Position(1, 1), event_id, "Thing"),
        dead_letters.add_failed_event(event_id, "orders", "Thing", {}, BOOM),
    ):
        with pytest.raises(TypeError, match="event_id is a UUID, not"):
            await refused
    assert await checkpoints.get_all_checkpoints() == []
    assert await dead_letters.get_failed_events() == []


@pytest.mark.parametrize("number", [2**63, 10**400], ids=["2**63", "10**400"])
async def test_a_number_that_no_column_holds_is_refused(
    checkpoints: Any, dead_letters: Any, number: int
) -> None:
    for refused in (
        checkpoints.save_position("orders", Position(1, number), uuid4(), "Thing"),
        dead_letters.add_failed_event(uuid4(), "orders", "Thing", {}, BOOM, number),
        dead_letters.get_failed_events(limit=number),
    ):
        with pytest.raises(DatabaseError, match="refused a statement"):
            await refused
    assert await checkpoints.get_all_checkpoints() == []


@pytest.mark.parametrize(
    "time",
    [math.nan, math.inf, 1e300, 2**63, 10**400],
    ids=["nan", "inf", "1e300", "2**63", "10**400"],
)
async def test_a_time_beyond_the_calendar_is_refused(
    inbox_of: Any, dead_letters: Any, entries: Any, time: float
) -> None:
    for refused in (
        inbox_of.cleanup(time),
        dead_letters.delete_resolved_events(time),
        entries.cleanup_published(time),
        entries.increment_retry(uuid4(), delay_seconds=time),
    ):
        with pytest.raises(ValueError, match=r"days|seconds|NaN"):
            await refused


async def test_why_an_entry_is_parked_is_text(entries: Any) -> None:
    event = DomainEvent(aggregate_id=uuid4(), aggregate_type="Thing")
    entry_id = await entries.add_event(event)
    with pytest.raises(TypeError, match="noted as text, not as NoneType"):
        await entries.mark_failed(entry_id, None)
    (entry,) = await entries.get_pending_events()
    assert (entry.id, entry.last_error) == (entry_id, None)


async def test_a_snapshot_is_of_a_uuid_and_its_state_a_dict() -> None:
    with pytest.raises(TypeError, match="aggregate_id is a UUID, not 'x'"):
        Snapshot("x", "Thing", 1, {})  # type: ignore[arg-type]
    store = InMemorySnapshotStore()
    snapshot = Snapshot(uuid4(), "Thing", 1, [1])  # type: ignore[arg-type]
    with pytest.raises(SnapshotError, match="is a list, and must be a dict"):
        await store.save_snapshot(snapshot)
    assert not await store.snapshot_exists(snapshot.aggregate_id, "Thing")


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:00:00-05:00"])
def test_a_time_that_utc_does_not_have_is_refused(text: str) -> None:
    moment = datetime.fromisoformat(text)
    with pytest.raises(ValidationError, match="before the year 1 or after 9999"):
        DomainEvent(aggregate_id=uuid4(), aggregate_type="Thing", occurred_at=moment)
