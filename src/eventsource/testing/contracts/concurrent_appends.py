"""What every event store promises to many writers at once: the version is the lock.

Import all names of this module into a test module of yours, and define the fixture `event_store`.
"""

import asyncio
from uuid import UUID, uuid4

import pytest

from eventsource import (
    AppendResult,
    DomainEvent,
    EventStore,
    ExpectedVersion,
    OptimisticLockError,
    register_event,
)

WRITERS = 32


@register_event
class BidPlaced(DomainEvent):
    suppress_event_type_warning = True
    event_type: str = "contract.BidPlaced"
    aggregate_type: str = "Auction"
    bidder: int


async def bid(
    store: EventStore, auction: UUID, bidder: int, expected_version: int
) -> AppendResult | OptimisticLockError:
    event = BidPlaced(aggregate_id=auction, bidder=bidder)
    try:
        return await store.append_events(auction, "Auction", [event], expected_version)
    except OptimisticLockError as conflict:
        return conflict


async def test_of_many_writers_exactly_one_wins_each_version(event_store: EventStore) -> None:
    auction = uuid4()
    for version in range(5):
        answers = await asyncio.gather(
            *(bid(event_store, auction, bidder, version) for bidder in range(WRITERS))
        )
        winners = [answer for answer in answers if isinstance(answer, AppendResult)]
        conflicts = [answer for answer in answers if isinstance(answer, OptimisticLockError)]
        assert [winner.new_version for winner in winners] == [version + 1]
        assert len(conflicts) == WRITERS - 1
        assert {conflict.expected_version for conflict in conflicts} == {version}
        assert {conflict.actual_version for conflict in conflicts} == {version + 1}
    events = (await event_store.get_events(auction)).events
    assert [event.aggregate_version for event in events] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("expected_version", [ExpectedVersion.ANY, ExpectedVersion.STREAM_EXISTS])
async def test_writers_who_expect_nothing_all_succeed(
    event_store: EventStore, expected_version: int
) -> None:
    auction = uuid4()
    await bid(event_store, auction, 0, 0)
    answers = await asyncio.gather(
        *(bid(event_store, auction, n, expected_version) for n in range(1, WRITERS + 1))
    )
    winners = [answer for answer in answers if isinstance(answer, AppendResult)]
    assert sorted(winner.new_version for winner in winners) == list(range(2, WRITERS + 2))
    events = (await event_store.get_events(auction)).events
    assert [event.aggregate_version for event in events] == list(range(1, WRITERS + 2))
    bidders = [event.bidder for event in events if isinstance(event, BidPlaced)]
    assert sorted(bidders) == list(range(WRITERS + 1))


async def test_one_batch_sent_by_many_is_stored_once(event_store: EventStore) -> None:
    auction = uuid4()
    batch = [BidPlaced(aggregate_id=auction, bidder=n) for n in range(3)]
    for expected_version in (0, ExpectedVersion.ANY):
        answers = await asyncio.gather(
            *(
                event_store.append_events(auction, "Auction", batch, expected_version)
                for _ in range(8)
            )
        )
        assert len(set(answers)) == 1
        assert answers[0].new_version == 3
    assert (await event_store.get_stream_version(auction, "Auction")) == 3
