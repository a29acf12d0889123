"""Ids of version 7 tell when they were made, in order."""

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from uuid import RFC_4122, UUID, uuid4

import pytest
from pydantic import Field

from eventsource import DomainEvent, uuid7
from eventsource.events import ids


def milliseconds_of(identifier: UUID) -> int:
    return identifier.int >> 80


def test_ids_are_of_version_7_and_carry_the_time() -> None:
    before = time.time_ns() // 1_000_000
    identifier = uuid7()
    after = time.time_ns() // 1_000_000
    assert (identifier.version, identifier.variant) == (7, RFC_4122)
    assert before <= milliseconds_of(identifier) <= after + 1


def test_later_ids_are_greater() -> None:
    made = [uuid7() for _ in range(20_000)]
    assert all(earlier < later for earlier, later in pairwise(made))


def test_ids_keep_their_order_when_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = uuid7()
    monkeypatch.setattr(ids.time, "time_ns", lambda: 1_000_000_000)
    assert first < uuid7() < uuid7()


def test_threads_never_make_the_same_id() -> None:
    with ThreadPoolExecutor(8) as threads:
        batches = threads.map(lambda _: [uuid7() for _ in range(2000)], range(8))
        made = [identifier for batch in batches for identifier in batch]
    assert len({identifier.int >> 64 for identifier in made}) == len(made)


def test_a_base_class_gives_its_events_such_ids() -> None:
    class Dated(DomainEvent):
        aggregate_type: str = "Diary"
        event_id: UUID = Field(default_factory=uuid7)

    class Written(Dated):
        line: str

    first, second = (Written(aggregate_id=uuid4(), line=line) for line in "ab")
    assert first.event_id.version == 7
    assert first.event_id < second.event_id
