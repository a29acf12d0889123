"""Hostile arguments: a store answers or refuses in words, and no row changes that was there."""

import math
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource import (
    AppendResult,
    DomainEvent,
    EventSourceError,
    EventStore,
    ReadOptions,
    SQLiteEventStore,
    register_event,
)
from eventsource.types import Position
from tests.fuzzing import HOSTILE, fuzz
from tutorial_support.lab import eventually

BACKENDS = ["in-memory", "sqlite", "postgresql", "postgresql-partitioned"]
AN_ID = UUID(int=7)
FIRST_MOMENT = datetime.min.replace(tzinfo=timezone(timedelta(hours=5)))  # UTC has no such time
on_every_store = pytest.mark.parametrize("backend", BACKENDS)


@register_event
class PegDriven(DomainEvent):
    aggregate_type: str = "Fence"


def peg() -> PegDriven:
    return PegDriven(aggregate_id=AN_ID)


texts = st.sampled_from([*HOSTILE, "x" * 300, f"{AN_ID}:\0"]) | st.text(max_size=20)
numbers = st.integers() | st.sampled_from([2**31, 2**63, 10**400, -3])
times = st.datetimes(timezones=st.none() | st.just(UTC)) | st.just(FIRST_MOMENT)
junk = st.none() | st.booleans() | st.floats() | st.binary(max_size=3) | st.builds(object)
single = texts | numbers | times | junk | st.just(AN_ID)
anything = single | st.lists(single, max_size=2) | st.dictionaries(texts, single, max_size=2)
positions = st.builds(Position, st.integers(0), st.integers(0) | st.just(10**400))

Call = Callable[[EventStore, Any], Any]
APPENDS: dict[str, Call] = {
    "to an id": lambda store, x: store.append_events(x, "Fence", [peg()], -1),
    "to a type": lambda store, x: store.append_events(AN_ID, x, [peg()], -1),
    "of events": lambda store, x: store.append_events(AN_ID, "Fence", x, -1),
    "of an event": lambda store, x: store.append_events(AN_ID, "Fence", [peg(), x], -1),
}
READS: dict[str, Call] = {
    "id": lambda store, x: store.get_events(x),
    "type": lambda store, x: store.get_events(AN_ID, x),
    "from version": lambda store, x: store.get_events(AN_ID, "Fence", x),
    "from time": lambda store, x: store.get_events(AN_ID, "Fence", 0, x),
    "to time": lambda store, x: store.get_events(AN_ID, "Fence", 0, None, x),
    "by type": lambda store, x: store.get_events_by_type(x),
    "by type and tenant": lambda store, x: store.get_events_by_type("Fence", x),
    "by type from time": lambda store, x: store.get_events_by_type("Fence", None, x),
    "exists": lambda store, x: store.event_exists(x),
    "version of id": lambda store, x: store.get_stream_version(x, "Fence"),
    "version of type": lambda store, x: store.get_stream_version(AN_ID, x),
    "stream": lambda store, x: everything(store.read_stream(x)),
}
options = st.sampled_from(list(ReadOptions.__dataclass_fields__)).flatmap(
    lambda name: st.fixed_dictionaries({name: anything | positions})
)


async def everything(read: AsyncIterator[Any]) -> list[Any]:
    return [one async for one in read]


async def feed(store: EventStore) -> list[tuple[UUID, int]]:
    return [(one.event_id, one.stream_position) async for one in store.read_all()]


async def feed_with(store: EventStore, result: AppendResult) -> list[tuple[UUID, int]]:
    """Even a transaction of another database can hold the feed back for a moment."""

    async def shows_it() -> bool:
        return await store.get_feed_end() >= result.position

    await eventually(shows_it, timeout_seconds=20)
    return await feed(store)


async def answer(work: Callable[[], Any]) -> Any:
    """What it gives, or None if it is refused in words. Any other error fails the test."""
    try:
        return await work()
    except (EventSourceError, TypeError, ValueError):
        return None


@on_every_store
@fuzz
@given(kind=st.sampled_from(list(APPENDS)), value=anything)
async def test_an_append_of_anything_stores_all_or_nothing(
    event_store: EventStore, kind: str, value: Any
) -> None:
    before = await feed(event_store)
    result = await answer(lambda: APPENDS[kind](event_store, value))
    after = await feed_with(event_store, result or AppendResult.successful(0))
    assert after[: len(before)] == before
    assert len(after) - len(before) <= (result is not None)


@on_every_store
@fuzz
@given(kind=st.sampled_from(list(READS)), value=anything)
async def test_a_question_about_anything_is_answered_or_refused(
    event_store: EventStore, kind: str, value: Any
) -> None:
    result = await event_store.append_events(AN_ID, "Fence", [peg()], -1)
    before = await feed_with(event_store, result)
    await answer(lambda: READS[kind](event_store, value))
    assert await feed(event_store) == before


@on_every_store
@fuzz
@given(asked=options)
async def test_options_of_any_kind_are_taken_or_refused(
    event_store: EventStore, asked: dict[str, Any]
) -> None:
    async def read() -> list[Any]:
        of_feed = await everything(event_store.read_all(ReadOptions(**asked)))
        return of_feed + await everything(
            event_store.read_stream(f"{AN_ID}:Fence", ReadOptions(**asked))
        )

    result = await event_store.append_events(AN_ID, "Fence", [peg()], -1)
    before = await feed_with(event_store, result)
    await answer(read)
    assert await feed(event_store) == before


#: What SQLite would take for NULL, and so for every tenant, is among them.
WRONG: list[tuple[Call, Any, str]] = [
    (READS["by type and tenant"], math.nan, "tenant_id is a UUID or None, not float"),
    (APPENDS["of events"], peg(), "events are DomainEvents in a list, not tuple"),
    (APPENDS["of events"], "x", "events are DomainEvents in a list, not str"),
    (APPENDS["of an event"], None, "events are DomainEvents in a list, not NoneType"),
    (READS["id"], str(AN_ID), "aggregate_id is a UUID, not str"),
    (READS["stream"], uuid4(), r"such as str\(aggregate_id\), not UUID"),
]


@on_every_store
async def test_a_value_of_a_wrong_type_is_refused_in_words(event_store: EventStore) -> None:
    for call, value, says in WRONG:
        with pytest.raises(TypeError, match=says):
            await call(event_store, value)
    if isinstance(event_store, SQLiteEventStore):
        with pytest.raises(TypeError, match="Only a SQLiteTransaction can be joined, not 'x'"):
            await event_store.append_events(AN_ID, "Fence", [peg()], 0, transaction="x")  # type: ignore[arg-type]
    assert await feed(event_store) == []


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("direction", "backward", "direction is a ReadDirection, not str"),
        ("from_position", "5", "from_position is a number or a Position, not str"),
        ("limit", 2.5, "limit is a number or None, not float"),
        ("tenant_id", math.nan, "tenant_id is a UUID or None, not float"),
        ("event_types", 5, "event_types is a collection of names, not 5"),
        ("aggregate_types", [PegDriven], "aggregate_types is a collection of names, not"),
    ],
)
def test_an_option_of_a_wrong_type_is_refused_in_words(name: str, value: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        ReadOptions(**{name: value})
