"""What OutboxPublisher does with every outbox."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import async_sessionmaker

from eventsource import (
    DomainEvent,
    OutboxEntry,
    OutboxPublisher,
    OutboxRepository,
    PostgreSQLEventStore,
    SchemaError,
    SQLiteEventStore,
    SQLiteOutboxRepository,
    register_event,
)
from eventsource.sqlite_database import SQLiteDatabase
from tutorial_support.lab import eventually


@register_event
class ParcelSent(DomainEvent):
    aggregate_type: str = "Parcel"
    content: str = "tea"


class ParcelLost(DomainEvent):
    """Nobody registered it."""

    aggregate_type: str = "Parcel"


class Broker:
    """Keeps what it gets, call by call, and refuses what `refuse` raises for."""

    def __init__(self, refuse: Callable[[DomainEvent], Awaitable[None]] | None = None) -> None:
        self.calls: list[list[DomainEvent]] = []
        self.received: list[DomainEvent] = []
        self.refuse = refuse

    async def publish(self, events: list[DomainEvent]) -> None:
        self.calls.append(events)
        for event in events:
            if self.refuse:
                await self.refuse(event)
            self.received.append(event)

    def versions(self, stream: UUID) -> list[int]:
        """In the order of first deliveries."""
        mine = [event.aggregate_version for event in self.received if event.aggregate_id == stream]
        return list(dict.fromkeys(mine))


def quick(outbox: OutboxRepository, broker: Broker, **options: float) -> OutboxPublisher:
    return OutboxPublisher(
        outbox, broker, **{"poll_interval_seconds": 0.02, "retry_delay_seconds": 0.01, **options}
    )


async def add(outbox: OutboxRepository, stream: UUID, *versions: int, content: str = "tea") -> None:
    for version in versions:
        await outbox.add_event(
            ParcelSent(aggregate_id=stream, aggregate_version=version, content=content)
        )


async def is_empty(outbox: OutboxRepository) -> bool:
    return (await outbox.get_stats()).pending_count == 0


async def test_one_batch_is_one_call_and_is_published_once(entries: OutboxRepository) -> None:
    one, two = uuid4(), uuid4()
    await add(entries, one, 1, 2, 3)
    await add(entries, two, 1)
    broker = Broker()
    publisher = quick(entries, broker)
    assert [await publisher.publish_batch(), await publisher.publish_batch()] == [4, 0]
    assert [len(call) for call in broker.calls] == [4]
    assert (broker.versions(one), broker.versions(two)) == ([1, 2, 3], [1])
    assert (await entries.get_stats()).published_count == 4


async def test_a_stream_is_held_until_everything_about_it_is_settled(
    entries: OutboxRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a rival would claim the failed event, and lose it again to the delay of its retry."""
    stream, rivals = uuid4(), []
    await add(entries, stream, 1, 2, 3)
    mark_published = entries.mark_published

    async def and_a_rival_claims(*entry_ids: UUID) -> None:
        await mark_published(*entry_ids)
        rivals.append(await entries.claim(10, 60))

    async def refuse_the_second(event: DomainEvent) -> None:
        if event.aggregate_version == 2:
            raise ValueError("refused")

    monkeypatch.setattr(entries, "mark_published", and_a_rival_claims)
    publisher = quick(entries, Broker(refuse_the_second), retry_delay_seconds=60)
    assert await publisher.publish_batch() == 1
    assert rivals == [[]]


async def test_a_publisher_that_has_failed_can_start_again(tmp_path: Path) -> None:
    async with SQLiteDatabase(tmp_path / "empty.db") as database:
        outbox, broker = SQLiteOutboxRepository(database), Broker()
        publisher = quick(outbox, broker)

        async def fail() -> None:
            async with publisher:
                await asyncio.wait([publisher._task])

        with pytest.raises(SchemaError, match="initialize"):
            await fail()
        await database.initialize()
        await add(outbox, uuid4(), 1)
        async with publisher:
            await eventually(lambda: is_empty(outbox), timeout_seconds=10)
    assert len(broker.received) == 1


async def test_an_event_arrives_as_it_was_stored(entries: OutboxRepository) -> None:
    event = ParcelSent(aggregate_id=uuid4(), tenant_id=uuid4(), metadata={"order_id": uuid4()})
    await entries.add_event(event)
    broker = Broker()
    await quick(entries, broker).publish_batch()
    assert broker.received == [event]


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"], indirect=True)
async def test_what_a_store_commits_is_published_and_nothing_else(
    entries: OutboxRepository, source, undone
) -> None:
    stream, other = uuid4(), uuid4()
    store = (
        SQLiteEventStore(source, outbox_enabled=True)
        if isinstance(source, SQLiteDatabase)
        else PostgreSQLEventStore(async_sessionmaker(source), outbox_enabled=True)
    )
    events = [ParcelSent(aggregate_id=stream, aggregate_version=version) for version in (1, 2)]
    await store.append_events(stream, "Parcel", events, 0)
    async with undone() as transaction:
        taken_back = ParcelSent(aggregate_id=other)
        await store.append_events(other, "Parcel", [taken_back], 0, transaction=transaction)
    broker = Broker()
    assert await quick(entries, broker).publish_batch() == 2
    assert broker.received == (await store.get_events(stream, "Parcel")).events == events


async def test_poison_is_parked_and_blocks_its_own_stream_only(
    entries: OutboxRepository, caplog: pytest.LogCaptureFixture
) -> None:
    sick, well = uuid4(), uuid4()
    await add(entries, sick, 1)
    await add(entries, sick, 2, content="acid")
    await add(entries, sick, 3)
    await add(entries, well, 1, 2)

    async def refuse_acid(event: DomainEvent) -> None:
        if event.content == "acid":
            raise ValueError("acid is not accepted")

    broker = Broker(refuse_acid)
    async with quick(entries, broker, max_attempts=3):
        (parked,) = await eventually(entries.get_failed_events)
        await add(entries, well, 3)
        await eventually(lambda: broker.versions(well) == [1, 2, 3])
        assert broker.versions(sick) == [1]
        assert parked.retry_count == 3
        assert parked.last_error == "ValueError: acid is not accepted"
        assert re.findall(r"attempt (\d) of 3", caplog.text) == ["1", "2", "3"]
        assert f"entry {parked.id} is parked" in caplog.text
        broker.refuse = None
        await entries.requeue(parked.id)
        await eventually(lambda: broker.versions(sick) == [1, 2, 3])
    # Poison that is tried again goes alone: nothing else is published twice for it.
    assert [event.aggregate_id for event in broker.received].count(well) <= 5


async def test_an_event_that_cannot_be_read_is_parked_like_any_poison(
    entries: OutboxRepository,
) -> None:
    sick, well = uuid4(), uuid4()
    await add(entries, sick, 1)
    await entries.add_event(ParcelLost(aggregate_id=sick, aggregate_version=2))
    await add(entries, sick, 3)
    await add(entries, well, 1)
    broker = Broker()
    async with quick(entries, broker, max_attempts=2):
        (parked,) = await eventually(entries.get_failed_events)
        assert "ParcelLost" in parked.last_error
        assert "@register_event" in parked.last_error
    assert (broker.versions(sick), broker.versions(well)) == ([1], [1])


async def test_an_outage_counts_against_no_event(
    entries: OutboxRepository, caplog: pytest.LogCaptureFixture
) -> None:
    streams = [uuid4() for _ in range(6)]
    for stream in streams:
        await add(entries, stream, 1, 2)

    async def down(event: DomainEvent) -> None:
        raise ConnectionRefusedError("nobody home")

    broker = Broker(down)
    publisher = quick(entries, broker, max_attempts=1)
    with pytest.raises(ConnectionRefusedError):
        await publisher.publish_batch()
    assert len(broker.calls) == 4, "the whole batch, then three alone"
    async with publisher:
        await eventually(lambda: len(broker.calls) > 12)
        assert (await entries.get_stats()).avg_retries == 0
        broker.refuse = None
        await eventually(lambda: is_empty(entries))
        pauses = re.findall(r"published for (\S+) s: nobody home", caplog.text)
        assert pauses[:3] == ["0.01", "0.02", "0.04"]
        caplog.clear()
        broker.refuse = down
        await add(entries, uuid4(), 1)
        (first, *_) = await eventually(lambda: re.findall(r"published for (\S+) s", caplog.text))
        assert first == "0.01", "a first pause again"
        broker.refuse = None
        await eventually(lambda: is_empty(entries))
    assert [broker.versions(stream) for stream in streams] == [[1, 2]] * 6
    assert await entries.get_failed_events() == []


async def test_a_call_that_hangs_is_given_up_and_blamed_if_others_go_through(
    entries: OutboxRepository,
) -> None:
    slow = uuid4()
    await add(entries, slow, 1, content="snail")

    async def hang(event: DomainEvent) -> None:
        if event.content == "snail":
            await asyncio.Event().wait()

    async def parked_while_others_come() -> list[OutboxEntry]:
        await add(entries, uuid4(), 1)
        return await entries.get_failed_events()

    async with quick(entries, Broker(hang), max_attempts=2, lease_seconds=3):
        (parked,) = await eventually(parked_while_others_come, timeout_seconds=20)
        await eventually(lambda: is_empty(entries))
    assert parked.aggregate_id == slow
    assert parked.last_error.startswith("TimeoutError")


async def test_a_slow_batch_ends_before_its_lease_and_gives_back_the_rest(
    entries: OutboxRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is still claimed when the lease ends might go out twice, and out of order."""
    seconds = 1_000.0
    monkeypatch.setattr("eventsource.outbox.time", SimpleNamespace(monotonic=lambda: seconds))
    for _ in range(60):
        await add(entries, uuid4(), 1)
    broker = Broker()

    async def take_a_second(event: DomainEvent) -> None:
        nonlocal seconds
        seconds += 1
        if len(broker.calls) == 1:
            raise ValueError("one by one, please")

    broker.refuse = take_a_second
    # A sixth of the lease is kept for the last call: 50 seconds for the refused batch and 49 more.
    assert await quick(entries, broker, lease_seconds=60).publish_batch() == 49
    assert len(await entries.claim(100, 60)) == 11


async def test_a_cancelled_batch_is_given_back_at_once(entries: OutboxRepository) -> None:
    await add(entries, uuid4(), 1, 2)
    begun = asyncio.Event()

    async def hang(event: DomainEvent) -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(quick(entries, Broker(hang)).publish_batch())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(await entries.claim(10, 60)) == 2


async def test_a_stop_ends_with_the_batch_under_way(entries: OutboxRepository) -> None:
    await add(entries, uuid4(), 1, 2, 3, 4)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait(event: DomainEvent) -> None:
        begun.set()
        await go_on.wait()

    broker = Broker(wait)
    publisher = quick(entries, broker, batch_size=1)
    task = asyncio.create_task(publisher.run())
    await begun.wait()
    publisher.stop()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    await asyncio.wait_for(task, 5)
    assert (len(broker.received), (await entries.get_stats()).pending_count) == (1, 3)
    async with publisher:  # and it can start again
        await eventually(lambda: is_empty(entries))


async def test_a_woken_publisher_does_not_wait_for_its_poll(entries: OutboxRepository) -> None:
    broker = Broker()
    async with quick(entries, broker, poll_interval_seconds=3600) as publisher:
        await asyncio.sleep(0.1)  # it has found nothing and waits
        await add(entries, uuid4(), 1)
        publisher.wake()
        await eventually(lambda: is_empty(entries))


async def test_it_runs_once_at_a_time(entries: OutboxRepository) -> None:
    async with quick(entries, Broker()) as publisher:
        with pytest.raises(RuntimeError, match="runs already"):
            await publisher.__aenter__()


async def test_a_failure_in_the_background_is_raised_and_logged(
    entries: OutboxRepository, caplog: pytest.LogCaptureFixture, monkeypatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(entries, "claim", broken)
    with pytest.raises(ZeroDivisionError):
        async with quick(entries, Broker()):
            await eventually(lambda: "has stopped: a bug" in caplog.text)


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"max_attempts": 0},
        {"lease_seconds": 0},
        {"retry_delay_seconds": -1},
        {"poll_interval_seconds": 0},
    ],
)
@pytest.mark.parametrize("backend", ["in-memory"], indirect=True)
def test_options_that_make_no_sense_are_refused(entries: OutboxRepository, options) -> None:
    with pytest.raises(ValueError, match="must be"):
        quick(entries, Broker(), **options)


def test_attempts_are_spaced_out_up_to_five_minutes() -> None:
    from eventsource.outbox import _delay

    assert [_delay(1.0, n) for n in (0, 1, 4, 9, 10_000)] == [1, 2, 16, 300, 300]


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "eventsource.outbox")
