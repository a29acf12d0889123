"""Commands that are repeated on conflicts, and carried out once per command id."""

import asyncio
from uuid import UUID, uuid4

import pytest

from eventsource import (
    AggregateNotFoundError,
    AggregateRepository,
    AggregateRoot,
    DomainEvent,
    EventPublishError,
    EventStore,
    OptimisticLockError,
    register_event,
)

pytestmark = pytest.mark.parametrize("backend", ["in-memory", "sqlite", "postgresql"])


@register_event
class SeatTaken(DomainEvent):
    aggregate_type: str = "Show"
    guest: str


class Show(AggregateRoot[list[str]]):
    aggregate_type = "Show"

    def _get_initial_state(self) -> list[str]:
        return []

    def _apply(self, event: DomainEvent) -> None:
        assert isinstance(event, SeatTaken)
        self._state = [*(self._state or []), f"{event.guest} {event.event_id}"]

    def take(self, *guests: str) -> None:
        cause: DomainEvent | None = None
        for guest in guests:
            event = SeatTaken(
                aggregate_id=self.aggregate_id,
                aggregate_version=self.get_next_version(),
                guest=guest,
            )
            self.apply_event(event.with_causation(cause) if cause else event)
            cause = cause or event

    @property
    def guests(self) -> list[str]:
        return [seat.split()[0] for seat in self.state or []]


class Publisher:
    def __init__(self) -> None:
        self.published: list[DomainEvent] = []

    async def publish(self, events: list[DomainEvent]) -> None:
        self.published += events


@pytest.fixture
def shows(event_store: EventStore) -> AggregateRepository[Show]:
    return AggregateRepository(event_store, Show)


async def test_an_update_loads_runs_and_saves(shows: AggregateRepository[Show]) -> None:
    show_id = uuid4()
    with pytest.raises(AggregateNotFoundError):
        await shows.update(show_id, lambda show: show.take("ann"))
    await shows.update(show_id, lambda show: show.take("ann"), create=True)
    saved = await shows.update(show_id, lambda show: show.take("bob", "cai"))
    assert (saved.guests, saved.version) == (["ann", "bob", "cai"], 3)
    assert not saved.has_uncommitted_events
    assert (await shows.load(show_id)).state == saved.state


async def test_an_async_command_is_awaited(shows: AggregateRepository[Show]) -> None:
    async def take(show: Show) -> None:
        await asyncio.sleep(0)
        show.take("ann")

    assert (await shows.update(uuid4(), take, create=True)).version == 1


async def test_a_command_that_refuses_is_not_repeated(shows: AggregateRepository[Show]) -> None:
    calls = 0

    def refuse(show: Show) -> None:
        nonlocal calls
        calls += 1
        raise ValueError("sold out")

    with pytest.raises(ValueError, match="sold out"):
        await shows.update(uuid4(), refuse, create=True)
    assert calls == 1


async def test_every_one_of_many_racing_commands_is_carried_out_once(
    shows: AggregateRepository[Show],
) -> None:
    show_id = uuid4()

    async def take(n: int) -> None:
        await shows.update(show_id, lambda show: show.take(f"guest{n}"), create=True, retries=100)

    await asyncio.gather(*map(take, range(16)))
    show = await shows.load(show_id)
    assert sorted(show.guests) == sorted(f"guest{n}" for n in range(16))
    assert show.version == 16


@pytest.mark.parametrize("retries", [0, 2])
async def test_a_conflict_that_lasts_is_raised_after_the_last_retry(
    shows: AggregateRepository[Show], retries: int
) -> None:
    show_id, calls = uuid4(), 0

    async def overtaken(show: Show) -> None:
        nonlocal calls
        calls += 1
        await shows.update(show_id, lambda rival: rival.take("rival"), create=True)
        show.take("late")

    with pytest.raises(OptimisticLockError):
        await shows.update(show_id, overtaken, create=True, retries=retries)
    assert calls == retries + 1
    assert (await shows.load(show_id)).guests == ["rival"] * calls


async def test_retries_are_not_negative(shows: AggregateRepository[Show]) -> None:
    with pytest.raises(ValueError, match="retries"):
        await shows.update(uuid4(), lambda show: show.take("ann"), retries=-1)


async def test_a_repeated_command_is_carried_out_once(shows: AggregateRepository[Show]) -> None:
    show_id, command_id = uuid4(), uuid4()

    async def repeat() -> Show:
        return await shows.update(
            show_id, lambda show: show.take("ann", "bob"), create=True, command_id=command_id
        )

    first, second = await repeat(), await repeat()
    assert first.guests == second.guests == ["ann", "bob"]
    # In another stream it is another command.
    other = await shows.update(
        uuid4(), lambda show: show.take("ann"), create=True, command_id=command_id
    )
    assert other.version == 1


async def test_state_and_causes_see_the_ids_that_are_stored(
    shows: AggregateRepository[Show], event_store: EventStore
) -> None:
    show_id = uuid4()
    saved = await shows.update(
        show_id, lambda show: show.take("ann", "bob"), create=True, command_id=uuid4()
    )
    first, second = (await event_store.get_events(show_id)).events
    assert saved.state == [f"ann {first.event_id}", f"bob {second.event_id}"]
    assert second.causation_id == first.event_id
    saved.take("cai")
    await shows.save(saved)
    assert (await shows.load(show_id)).state == saved.state


async def test_a_command_that_stored_nothing_leaves_its_aggregate_free(
    shows: AggregateRepository[Show],
) -> None:
    command_id = uuid4()
    show = await shows.update(uuid4(), lambda show: None, create=True, command_id=command_id)
    show.take("ann")
    show.take("bob")
    await shows.save(show)
    again = await shows.update(
        show.aggregate_id, lambda show: show.take("cai"), command_id=command_id
    )
    assert again.guests == ["ann", "bob", "cai"]


@pytest.mark.parametrize("guests", [("ann",), ("ann", "bob")])
async def test_of_a_command_that_arrives_many_times_at_once_one_is_carried_out(
    event_store: EventStore, guests: tuple[str, ...]
) -> None:
    publisher = Publisher()
    shows = AggregateRepository(event_store, Show, event_publisher=publisher)
    show_id, command_id = uuid4(), uuid4()

    async def deliver() -> Show:
        return await shows.update(
            show_id,
            lambda show: show.take(*guests),
            create=True,
            command_id=command_id,
            retries=20,
        )

    delivered = await asyncio.gather(*(deliver() for _ in range(8)))
    stored = await event_store.get_events(show_id)
    assert len(stored.events) == len(guests)
    assert publisher.published == stored.events
    expected = (await shows.load(show_id)).state
    assert [show.state for show in delivered] == [expected] * 8


async def test_a_rival_delivery_between_load_and_save_wins(
    event_store: EventStore, shows: AggregateRepository[Show]
) -> None:
    show_id, command_id = uuid4(), uuid4()

    async def overtaken(show: Show) -> None:
        await shows.update(
            show_id, lambda rival: rival.take("early"), create=True, command_id=command_id
        )
        show.take("late")

    saved = await shows.update(show_id, overtaken, create=True, command_id=command_id)
    assert saved.guests == ["early"]
    assert [event.guest for event in (await event_store.get_events(show_id)).events] == ["early"]


async def test_a_rival_delivery_between_load_and_the_look_for_its_event_is_seen(
    event_store: EventStore, shows: AggregateRepository[Show], monkeypatch: pytest.MonkeyPatch
) -> None:
    show_id, command_id = uuid4(), uuid4()
    look = event_store.event_exists

    async def overtaken(event_id: UUID) -> bool:
        monkeypatch.setattr(event_store, "event_exists", look)
        await deliver("early")
        return await look(event_id)

    async def deliver(guest: str) -> Show:
        return await shows.update(
            show_id, lambda show: show.take(guest), create=True, command_id=command_id
        )

    monkeypatch.setattr(event_store, "event_exists", overtaken)
    assert (await deliver("late")).guests == ["early"]


async def test_an_interrupted_command_is_finished_by_its_repetition(
    event_store: EventStore,
) -> None:
    class LostAnswers(Publisher):
        async def publish(self, events: list[DomainEvent]) -> None:
            raise ConnectionError

    show_id, command_id = uuid4(), uuid4()
    losing = AggregateRepository(event_store, Show, event_publisher=LostAnswers())
    with pytest.raises(EventPublishError):
        await losing.update(
            show_id, lambda show: show.take("ann"), create=True, command_id=command_id
        )
    again = await losing.update(show_id, lambda show: show.take("ann"), command_id=command_id)
    assert again.guests == ["ann"]


async def test_a_save_in_a_transaction_cannot_publish(event_store: EventStore) -> None:
    shows = AggregateRepository(event_store, Show, event_publisher=Publisher())
    show = shows.create_new(uuid4())
    show.take("ann")
    with pytest.raises(ValueError, match="outbox"):
        await shows.save(show, transaction=object())
    assert show.has_uncommitted_events
