"""Whatever is appended in whatever order, every store agrees with a model of ten lines."""

import dataclasses
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventsource import (
    DomainEvent,
    DuplicateEventError,
    EventStore,
    ExpectedVersion,
    OptimisticLockError,
    ReadDirection,
    ReadOptions,
    register_event,
)
from tutorial_support.lab import eventually


@register_event
class BeadThreaded(DomainEvent):
    aggregate_type: str = "Chain"


@register_event
class BeadLost(DomainEvent):
    aggregate_type: str = "Chain"


@dataclasses.dataclass(frozen=True)
class Append:
    """Events by number, so that some come again; a number always means the same event."""

    chain: int
    beads: tuple[int, ...]
    expected_version: int


appends = st.lists(
    st.builds(
        Append,
        chain=st.integers(0, 2),
        beads=st.lists(st.integers(0, 12), max_size=3, unique=True).map(tuple),
        expected_version=st.sampled_from(
            [ExpectedVersion.ANY, ExpectedVersion.STREAM_EXISTS, 0, 1, 2, 3, 4]
        ),
    ),
    max_size=12,
)


class Model:
    """The promise of `append_events`, over numbers."""

    def __init__(self) -> None:
        self.log: list[tuple[int, int]] = []  # chain and bead

    def chain(self, chain: int) -> list[int]:
        return [bead for owner, bead in self.log if owner == chain]

    def append(self, one: Append) -> int | type[Exception]:
        stored = self.chain(one.chain)
        if any(bead in one.beads and owner != one.chain for owner, bead in self.log):
            return DuplicateEventError
        if not one.beads:
            return len(stored)
        if {*one.beads} <= {*stored}:
            return max(stored.index(bead) for bead in one.beads) + 1
        exact = one.expected_version in (ExpectedVersion.ANY, len(stored))
        if not exact and not (one.expected_version == ExpectedVersion.STREAM_EXISTS and stored):
            return OptimisticLockError
        self.log += [(one.chain, bead) for bead in one.beads if bead not in stored]
        return len(self.chain(one.chain))


async def answer_of(
    store: EventStore, chains: list[UUID], beads: dict[int, UUID], one: Append
) -> int | type[Exception]:
    chain = chains[one.chain]
    kinds = [BeadLost if bead % 3 == 0 else BeadThreaded for bead in one.beads]
    events = [
        kind(aggregate_id=chain, event_id=beads[bead], occurred_at="2026-01-01T00:00Z")
        for kind, bead in zip(kinds, one.beads, strict=True)
    ]
    try:
        result = await store.append_events(chain, "Chain", events, one.expected_version)
    except (DuplicateEventError, OptimisticLockError) as error:
        return type(error)
    return result.new_version


@pytest.mark.parametrize("backend", ["in-memory", "sqlite", "postgresql"])
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=appends)
async def test_any_history_gives_the_models_answers_and_streams(
    event_store: EventStore, history: list[Append]
) -> None:
    chains, model = [uuid4() for _ in range(3)], Model()
    beads = {number: uuid4() for number in range(13)}
    for one in history:
        assert await answer_of(event_store, chains, beads, one) == model.append(one)

    async def feed_is(log: list[tuple[int, int]], **options: object) -> bool:
        read = event_store.read_all(ReadOptions(**options))
        # Other examples have left their events in the same log.
        ours = [stored async for stored in read if stored.aggregate_id in chains]
        found = [(stored.aggregate_id, stored.event_id) for stored in ours]
        return found == [(chains[chain], beads[bead]) for chain, bead in log]

    # Even a transaction of another database can hold the feed back for a moment.
    await eventually(lambda: feed_is(model.log))
    await eventually(lambda: feed_is(model.log[::-1], direction=ReadDirection.BACKWARD))
    lost = [(chain, bead) for chain, bead in model.log if bead % 3 == 0]
    await eventually(lambda: feed_is(lost, event_types=["BeadLost"]))
    for number, chain in enumerate(chains):
        stream = await event_store.get_events(chain, "Chain")
        assert [event.event_id for event in stream.events] == [
            beads[bead] for bead in model.chain(number)
        ]
        versions = [event.aggregate_version for event in stream.events]
        assert versions == list(range(1, stream.version + 1))
