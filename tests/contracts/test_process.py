"""Process managers on every store: steps, time-outs, undoing, and no effect twice."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import async_sessionmaker

from eventsource import (
    AggregateRepository,
    InMemoryCheckpointRepository,
    InMemoryEventStore,
    InMemorySnapshotStore,
    InMemoryTimeoutRepository,
    PostgreSQLCheckpointRepository,
    PostgreSQLEventStore,
    PostgreSQLTimeoutRepository,
    Process,
    ProcessManager,
    ProcessState,
    ProcessTimedOut,
    SQLiteCheckpointRepository,
    SQLiteDatabase,
    SQLiteEventStore,
    SQLiteTimeoutRepository,
    handles,
)
from eventsource.repositories.timeouts import Timeout
from eventsource.subscriptions import SubscriptionConfig, SubscriptionManager
from tests.till import feed
from tests.trips import (
    GIVEN_UP,
    NOON,
    PATIENCE,
    WITH_FLIGHT,
    Agency,
    AgencyWithoutFlights,
    Trip,
    TripBegun,
    at,
    want_a_trip,
)
from tutorial_support.lab import eventually


@pytest.fixture(params=["in-memory", "sqlite", "postgresql"])
async def parts(
    request: pytest.FixtureRequest, engine_of: Callable, tmp_path: Path
) -> AsyncIterator[SimpleNamespace]:
    """What a manager is made of; a second manager on the same parts goes on after the first."""
    if request.param == "in-memory":
        yield SimpleNamespace(
            store=InMemoryEventStore(),
            timeouts=InMemoryTimeoutRepository(),
            checkpoints=InMemoryCheckpointRepository(),
        )
    elif request.param == "sqlite":
        async with SQLiteDatabase(tmp_path / "trips.db") as database:
            await database.initialize()
            yield SimpleNamespace(
                store=SQLiteEventStore(database),
                timeouts=SQLiteTimeoutRepository(database),
                checkpoints=SQLiteCheckpointRepository(database),
            )
    else:
        engine = engine_of(request.getfixturevalue("database_url"))
        yield SimpleNamespace(
            store=PostgreSQLEventStore(async_sessionmaker(engine)),
            timeouts=PostgreSQLTimeoutRepository(engine),
            checkpoints=PostgreSQLCheckpointRepository(engine),
        )


def agency(parts: SimpleNamespace, cls: type[Agency] = Agency, now=NOON) -> Agency:
    return cls(parts.store, parts.timeouts, parts.checkpoints, clock=at(now))


async def types(parts: SimpleNamespace) -> list[str]:
    return [stored.event_type for stored in await feed(parts.store)]


async def run_until(parts: SimpleNamespace, manager: Agency, expected: list[str]) -> None:
    """Even a vacuum of the database can hold the feed back for a moment."""

    async def is_done() -> bool:
        await manager.catch_up(parts.store)
        return await types(parts) == expected

    await eventually(is_done)


async def test_a_process_takes_all_its_steps(parts: SimpleNamespace) -> None:
    wanted = await want_a_trip(parts.store)
    await run_until(parts, agency(parts), WITH_FLIGHT)
    trip = await AggregateRepository(parts.store, Trip).load(wanted.trip)
    assert trip.state.booked == ("hotel", "flight")
    assert trip.state.timeouts == {}


async def test_each_event_names_its_cause_and_all_share_the_correlation(
    parts: SimpleNamespace,
) -> None:
    wanted = await want_a_trip(parts.store)
    await run_until(parts, agency(parts, AgencyWithoutFlights, NOON + PATIENCE), GIVEN_UP)
    events = [stored.event for stored in await feed(parts.store)]
    known = {event.event_id for event in events}
    assert {event.correlation_id for event in events} == {wanted.correlation_id}
    assert all(event.causation_id in known for event in events[1:])


async def test_a_timeout_is_not_early_and_undoes_what_was_done(parts: SimpleNamespace) -> None:
    wanted = await want_a_trip(parts.store)
    early = agency(parts, AgencyWithoutFlights, NOON + PATIENCE - timedelta(seconds=1))
    await run_until(parts, early, GIVEN_UP[:5])
    assert await early.deliver_timeouts() == 0
    # Another process, later: the time-out was not in anybody's memory.
    await run_until(parts, agency(parts, AgencyWithoutFlights, NOON + PATIENCE), GIVEN_UP)
    trip = await AggregateRepository(parts.store, Trip).load(wanted.trip)
    assert trip.state.timeouts == {}


async def test_a_clock_that_goes_back_loses_no_timeout_and_repeats_none(
    parts: SimpleNamespace,
) -> None:
    await want_a_trip(parts.store)
    before = agency(parts, AgencyWithoutFlights, NOON - timedelta(days=1))
    in_time = agency(parts, AgencyWithoutFlights, NOON + PATIENCE)
    await run_until(parts, before, GIVEN_UP[:5])
    await run_until(parts, in_time, GIVEN_UP)
    await before.catch_up(parts.store)
    await in_time.catch_up(parts.store)
    assert await types(parts) == GIVEN_UP


async def test_a_cleared_timeout_comes_to_nothing(parts: SimpleNamespace) -> None:
    await want_a_trip(parts.store)
    await run_until(parts, agency(parts), WITH_FLIGHT)
    late = agency(parts, now=NOON + PATIENCE)
    assert await late.deliver_timeouts() == 1
    assert await late.deliver_timeouts() == 0
    assert await types(parts) == WITH_FLIGHT


async def test_a_timeout_that_is_set_again_comes_once_and_late(parts: SimpleNamespace) -> None:
    trips = AggregateRepository(parts.store, Trip)
    trip = trips.create_new(uuid4())
    trip.begin(NOON)
    trip.set_timeout("bookings", NOON + PATIENCE)
    await trips.save(trip)
    await run_until(parts, agency(parts, AgencyWithoutFlights), [*GIVEN_UP[1:3], *GIVEN_UP[2:5]])
    late = agency(parts, AgencyWithoutFlights, NOON + PATIENCE)
    await run_until(parts, late, [*GIVEN_UP[1:3], *GIVEN_UP[2:]])


async def test_handling_everything_again_changes_nothing(parts: SimpleNamespace) -> None:
    await want_a_trip(parts.store)
    manager = agency(parts, AgencyWithoutFlights, NOON + PATIENCE)
    await run_until(parts, manager, GIVEN_UP)
    await manager.reset()
    before = manager.calls
    await manager.catch_up(parts.store)
    assert manager.calls > before
    assert await types(parts) == GIVEN_UP


async def test_two_managers_at_once_do_everything_once(parts: SimpleNamespace) -> None:
    for _ in range(3):
        await want_a_trip(parts.store)

    async def work(number: int) -> None:
        manager = agency(parts)

        async def is_done() -> bool:
            await manager.catch_up(parts.store)
            return (await types(parts)).count("TripReady") == 3

        await eventually(is_done)

    await asyncio.gather(work(1), work(2))
    assert sorted(await types(parts)) == sorted(WITH_FLIGHT * 3)


async def test_a_bus_may_feed_it_instead(parts: SimpleNamespace) -> None:
    await want_a_trip(parts.store)
    manager = agency(parts)
    seen = 0
    while len(stored := await feed(parts.store)) > seen:
        await manager.handle(stored[seen].event)
        await manager.handle(stored[seen].event)
        seen += 1
    assert await types(parts) == WITH_FLIGHT


async def test_a_subscription_manager_may_run_it(parts: SimpleNamespace) -> None:
    manager = agency(parts, AgencyWithoutFlights)
    async with SubscriptionManager(parts.store, None, parts.checkpoints) as subscriptions:
        await subscriptions.subscribe(manager, SubscriptionConfig(poll_interval_seconds=0.02))
        await want_a_trip(parts.store)

        async def is_booked() -> bool:
            return await types(parts) == GIVEN_UP[:5]

        async def is_given_up() -> bool:
            return await types(parts) == GIVEN_UP

        await eventually(is_booked)
        late = agency(parts, AgencyWithoutFlights, NOON + PATIENCE)
        assert await eventually(late.deliver_timeouts) == 1
        await eventually(is_given_up)


async def test_timeouts_of_another_kind_of_process_are_not_ours(parts: SimpleNamespace) -> None:
    class Errand(Process[ProcessState]):
        aggregate_type = "Errand"

        def _get_initial_state(self) -> ProcessState:
            return ProcessState()

    class Errands(ProcessManager):
        @handles(ProcessTimedOut)
        async def _note(self, event: ProcessTimedOut) -> None:
            heard.append(event.name)

    heard: list[str] = []
    errands = AggregateRepository(parts.store, Errand)
    errand = errands.create_new(uuid4())
    errand.set_timeout("shops close", NOON)
    await errands.save(errand)
    await run_until(parts, agency(parts, now=NOON + PATIENCE), ["ProcessTimeoutSet"])
    assert heard == []

    manager = Errands(errands, parts.timeouts, parts.checkpoints, clock=at(NOON))

    async def is_done() -> bool:
        await manager.catch_up(parts.store)
        return heard == ["shops close"]

    await eventually(is_done)
    assert await types(parts) == ["ProcessTimeoutSet", "ProcessTimedOut"]


async def test_a_timeout_of_a_process_that_is_not_in_the_log_is_dropped(
    parts: SimpleNamespace,
) -> None:
    await parts.timeouts.add(Timeout(uuid4(), "Trip", uuid4(), "bookings", NOON))
    manager = agency(parts)
    assert await manager.deliver_timeouts() == 1
    assert await manager.deliver_timeouts() == 0
    assert await types(parts) == []


async def test_due_timeouts_come_in_order_and_of_one_type(parts: SimpleNamespace) -> None:
    def timeout(minutes: int, process_type: str = "Trip") -> Timeout:
        due_at = NOON + timedelta(minutes=minutes)
        return Timeout(uuid4(), process_type, uuid4(), f"after {minutes}", due_at)

    late, early, foreign = timeout(9), timeout(1), timeout(1, "Errand")
    for one in (late, early, foreign, early):
        await parts.timeouts.add(one)
    until = NOON + timedelta(minutes=9)
    assert await parts.timeouts.get_due("Trip", until) == [early, late]
    assert await parts.timeouts.get_due("Trip", until, limit=1) == [early]
    await parts.timeouts.remove(early.event_id)
    await parts.timeouts.remove(early.event_id)
    assert await parts.timeouts.get_due("Trip", until) == [late]


async def test_a_snapshot_keeps_the_timeouts() -> None:
    store, snapshots = InMemoryEventStore(), InMemorySnapshotStore()
    trips = AggregateRepository(store, Trip, snapshot_store=snapshots, snapshot_mode="manual")
    trip = trips.create_new(uuid4())
    trip.begin(NOON)
    await trips.save(trip)
    await trips.create_snapshot(trip)
    again = await trips.load(trip.aggregate_id)
    assert again.state == trip.state
    assert again.state.timeouts["bookings"].due_at == NOON


def test_a_process_handles_its_own_time_outs_too() -> None:
    class Sleeper(Process[ProcessState]):
        aggregate_type = "Sleeper"
        woken = 0

        def _get_initial_state(self) -> ProcessState:
            return ProcessState()

        @handles(ProcessTimedOut)
        def _on_timed_out(self, event: ProcessTimedOut) -> None:
            self.woken += 1

    sleeper = Sleeper(uuid4())
    sleeper.clear_timeout("dawn")
    assert sleeper.version == 0
    sleeper.set_timeout("dawn", NOON)
    (was_set,) = sleeper.uncommitted_events
    due = Timeout(was_set.event_id, "Sleeper", sleeper.aggregate_id, "dawn", NOON)
    sleeper.expire(due)
    sleeper.expire(due)
    assert sleeper.woken == 1
    assert sleeper.state.timeouts == {}
    assert [event.event_type for event in sleeper.uncommitted_events][1:] == ["ProcessTimedOut"]


async def test_update_stamps_the_cause() -> None:
    store = InMemoryEventStore()
    wanted = await want_a_trip(store)
    trips = AggregateRepository(store, Trip)
    await trips.update(uuid4(), lambda trip: trip.begin(NOON), create=True, cause=wanted)
    begun, was_set = [stored.event for stored in await feed(store)][1:]
    assert isinstance(begun, TripBegun)
    assert begun.is_caused_by(wanted)
    assert was_set.is_caused_by(wanted)
    assert begun.is_correlated_with(was_set)
