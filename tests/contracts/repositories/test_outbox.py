"""What every outbox promises: who may publish what, and in which order."""

import asyncio
import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from eventsource import DomainEvent
from eventsource.repositories.outbox import OutboxEntry, OutboxRepository, OutboxStats
from tutorial_support.lab import eventually


class LetterWritten(DomainEvent):
    aggregate_type: str = "Post"
    text: str = "hello"


@pytest.fixture
def post() -> UUID:
    return uuid4()


async def add(entries: OutboxRepository, *streams: UUID, kind: str = "Post") -> list[UUID]:
    """One entry for each; the events of a stream are numbered."""
    return [
        await entries.add_event(
            LetterWritten(
                aggregate_id=stream,
                aggregate_type=kind,
                aggregate_version=streams[: n + 1].count(stream),
            )
        )
        for n, stream in enumerate(streams)
    ]


def ids(found: list[OutboxEntry]) -> list[UUID]:
    return [entry.id for entry in found]


async def test_an_entry_holds_the_whole_event(entries: OutboxRepository, post: UUID) -> None:
    before = datetime.now(UTC)
    event = LetterWritten(aggregate_id=post, tenant_id=uuid4(), text='it\'s "ü" \\ 🎈')
    entry_id = await entries.add_event(event)
    (entry,) = await entries.get_pending_events()
    assert LetterWritten.model_validate_json(entry.event_data) == event
    assert json.loads(entry.event_data) == event.to_dict()
    assert before <= entry.created_at <= datetime.now(UTC)
    assert entry == OutboxEntry(
        entry_id,
        event.event_id,
        "LetterWritten",
        post,
        "Post",
        event.tenant_id,
        entry.event_data,
        entry.created_at,
    )


async def test_a_claim_gives_entries_in_order_and_to_nobody_else(
    entries: OutboxRepository,
) -> None:
    one, two = uuid4(), uuid4()
    added = await add(entries, one, two, one, two, one)
    assert ids(await entries.claim(100, 60)) == added
    assert await entries.claim(100, 60) == []
    assert ids(await entries.get_pending_events()) == added


async def test_whoever_has_the_head_of_a_stream_has_the_stream(entries: OutboxRepository) -> None:
    one, two = uuid4(), uuid4()
    added = await add(entries, one, one, two, one, two)
    assert ids(await entries.claim(1, 60)) == [added[0]]
    # Entries 1 and 3 are behind the claimed one.
    assert ids(await entries.claim(100, 60)) == [added[2], added[4]]
    await entries.mark_published(added[0])
    assert ids(await entries.claim(100, 60)) == [added[1], added[3]]


async def test_streams_of_one_id_and_two_types_are_two(
    entries: OutboxRepository, post: UUID
) -> None:
    (letter,) = await add(entries, post)
    (parcel,) = await add(entries, post, kind="Parcel")
    assert ids(await entries.claim(1, 60)) == [letter]
    assert ids(await entries.claim(1, 60)) == [parcel]


async def test_a_long_stream_leaves_room_for_others(entries: OutboxRepository) -> None:
    long, short = uuid4(), uuid4()
    added = await add(entries, *[long] * 20, short)
    assert ids(await entries.claim(10, 60)) == [*added[:5], added[-1]]


async def test_a_long_stream_that_cannot_go_on_hides_no_other(entries: OutboxRepository) -> None:
    stuck, free = uuid4(), uuid4()
    added = await add(entries, *[stuck] * 100, free)
    await entries.mark_failed(added[0], "no")
    assert ids(await entries.claim(2, 60)) == added[-1:]


async def test_an_abandoned_claim_ends_with_its_lease(
    entries: OutboxRepository, post: UUID
) -> None:
    added = await add(entries, post, post)
    assert ids(await entries.claim(10, 0.3)) == added
    assert await entries.claim(10, 0.3) == []
    assert ids(await eventually(lambda: entries.claim(10, 60))) == added


async def test_released_entries_are_to_be_had_at_once(
    entries: OutboxRepository, post: UUID
) -> None:
    added = await add(entries, post, post)
    await entries.claim(10, 60)
    await entries.release(*added)
    assert ids(await entries.claim(10, 60)) == added


async def test_published_entries_are_done(entries: OutboxRepository, post: UUID) -> None:
    added = await add(entries, post, post)
    await entries.mark_published(*added)
    await entries.mark_published(added[0])
    await entries.mark_failed(added[0], "too late")
    await entries.increment_retry(added[0], "too late")
    await entries.release(*added)
    await entries.requeue(added[0])
    assert await entries.claim(10, 60) == []
    assert await entries.get_failed_events() == []
    assert await entries.get_stats() == OutboxStats(published_count=2)


async def test_an_entry_waits_for_its_retry_and_its_stream_with_it(
    entries: OutboxRepository,
) -> None:
    one, two = uuid4(), uuid4()
    added = await add(entries, one, one, two)
    await entries.claim(10, 60)
    await entries.release(*added)
    await entries.increment_retry(added[0], "broker said no", delay_seconds=0.3)
    assert ids(await entries.claim(10, 60)) == [added[2]]
    again = await eventually(lambda: entries.claim(10, 60))
    assert ids(again) == added[:2]
    assert (again[0].retry_count, again[0].last_error) == (1, "broker said no")
    assert (again[1].retry_count, again[1].last_error) == (0, None)


async def test_a_parked_entry_holds_back_its_stream_and_no_other(
    entries: OutboxRepository,
) -> None:
    one, two = uuid4(), uuid4()
    added = await add(entries, one, one, one, two)
    await entries.mark_failed(added[1], "poison \0 \ud800")
    assert ids(await entries.claim(10, 60)) == [added[0], added[3]]
    await entries.mark_published(added[0], added[3])
    assert await entries.claim(10, 60) == []
    (parked,) = await entries.get_failed_events()
    assert (parked.id, parked.status, parked.last_error) == (
        added[1], "failed", "poison \\x00 \\ud800",
    )  # fmt: skip


@pytest.mark.parametrize("decision", ["try again", "leave out"])
async def test_after_a_decision_about_a_parked_entry_its_stream_goes_on(
    entries: OutboxRepository, post: UUID, decision: str
) -> None:
    added = await add(entries, post, post)
    await entries.increment_retry(added[0], "no")
    await entries.mark_failed(added[0], "no")
    if decision == "try again":
        await entries.requeue(added[0])
        claimed = await entries.claim(10, 60)
        assert (ids(claimed), claimed[0].retry_count) == (added, 0)
    else:
        await entries.mark_published(added[0])
        assert ids(await entries.claim(10, 60)) == added[1:]


async def test_depth_and_age_are_known(entries: OutboxRepository) -> None:
    assert await entries.get_stats() == OutboxStats()
    assert (await entries.get_stats()).oldest_pending_age_seconds == 0
    before = datetime.now(UTC)
    added = await add(entries, *(uuid4() for _ in range(4)))
    await entries.mark_published(added[0])
    await entries.mark_failed(added[1], "no")
    await entries.increment_retry(added[2])
    oldest = (await entries.get_pending_events(1))[0]
    stats = await entries.get_stats()
    assert stats == OutboxStats(2, 1, 1, oldest.created_at, 0.5)
    age = stats.oldest_pending_age_seconds
    assert 0 < age <= (datetime.now(UTC) - before).total_seconds()


async def test_published_entries_are_deleted_by_age(entries: OutboxRepository) -> None:
    added = await add(entries, *(uuid4() for _ in range(3)))
    await entries.mark_published(*added[:2])
    assert await entries.cleanup_published(days=0.01) == 0
    assert await entries.cleanup_published(days=0) == 2
    assert ids(await entries.get_pending_events()) == added[2:]


async def test_unknown_ids_are_no_error(entries: OutboxRepository) -> None:
    await entries.mark_published(uuid4())
    await entries.mark_failed(uuid4(), "no")
    await entries.increment_retry(uuid4(), "no")
    await entries.requeue(uuid4())
    await entries.release(uuid4())
    await entries.release()
    assert await entries.get_stats() == OutboxStats()


async def test_rivals_share_the_work_and_keep_each_stream_in_order(
    entries: OutboxRepository,
) -> None:
    streams = [uuid4() for _ in range(10)]
    added = await add(entries, *streams * 12)
    done: list[OutboxEntry] = []
    held: set[tuple[UUID, str]] = set()

    async def work() -> None:
        while len(done) < len(added):
            claimed = await entries.claim(7, 60)
            mine = {entry.stream for entry in claimed}
            assert not held & mine, "two claims hold one stream"
            held.update(mine)
            await asyncio.sleep(0)
            done.extend(claimed)
            held.difference_update(mine)
            await entries.mark_published(*ids(claimed))

    await asyncio.gather(*(work() for _ in range(4)))
    assert sorted(ids(done), key=added.index) == added
    for stream in streams:
        mine = [entry.id for entry in done if entry.aggregate_id == stream]
        assert mine == sorted(mine, key=added.index)


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"], indirect=True)
async def test_an_entry_belongs_to_the_callers_transaction(
    entries: OutboxRepository, post: UUID, begin, undone
) -> None:
    event = LetterWritten(aggregate_id=post)
    async with undone() as transaction:
        await entries.add_event(event, transaction=transaction)
    assert await entries.get_pending_events() == []
    async with begin() as transaction:
        entry_id = await entries.add_event(event, transaction=transaction)
    assert ids(await entries.get_pending_events()) == [entry_id]


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"], indirect=True)
async def test_an_outbox_on_a_transaction_joins_it(
    entries: OutboxRepository, post: UUID, undone
) -> None:
    added = await add(entries, post, post)
    async with undone() as transaction:
        joined = type(entries)(transaction)
        assert ids(await joined.claim(10, 60)) == added
        await joined.mark_published(*added)
    assert ids(await entries.claim(10, 60)) == added
