"""An aggregate as pure functions, and the end of a stream."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import pytest

from eventsource import (
    AggregateRepository,
    AggregateRoot,
    Decider,
    DomainEvent,
    InMemoryEventStore,
    InMemorySnapshotStore,
    StreamClosedError,
    register_event,
)


@register_event
class Counted(DomainEvent):
    aggregate_type: str = "Month"
    amount: int


@register_event
class MonthClosed(DomainEvent):
    aggregate_type: str = "Month"
    balance: int


@dataclass(frozen=True)
class MonthState:
    balance: int = 0
    closed: bool = False


@dataclass(frozen=True)
class Count:
    month: UUID
    amounts: tuple[int, ...]


@dataclass(frozen=True)
class Close:
    month: UUID


class Month(Decider[MonthState, Count | Close]):
    aggregate_type = "Month"

    @staticmethod
    def initial_state() -> MonthState:
        return MonthState()

    @staticmethod
    def decide(command: Count | Close, state: MonthState) -> Iterable[DomainEvent]:
        if isinstance(command, Close):
            return [MonthClosed(aggregate_id=command.month, balance=state.balance)]
        if 0 in command.amounts:
            raise ValueError("nothing to count")
        return [Counted(aggregate_id=command.month, amount=amount) for amount in command.amounts]

    @staticmethod
    def evolve(state: MonthState, event: DomainEvent) -> MonthState:
        if isinstance(event, MonthClosed):
            return replace(state, closed=True)
        assert isinstance(event, Counted)
        if event.amount > 1000:
            raise OverflowError("too much for this till")
        return replace(state, balance=state.balance + event.amount)

    @staticmethod
    def is_terminal(state: MonthState) -> bool:
        return state.closed


def test_it_decides_and_evolves() -> None:
    month = Month(uuid4())
    assert month.state == MonthState()
    new = month.execute(Count(month.aggregate_id, (5, 7)))
    assert [(event.amount, event.aggregate_version) for event in new] == [(5, 1), (7, 2)]
    assert (month.state, month.version) == (MonthState(12), 2)
    assert month.uncommitted_events == new
    assert month.execute(Count(month.aggregate_id, ())) == []


@pytest.mark.parametrize(("amounts", "error"), [((5, 0), ValueError), ((5, 2000), OverflowError)])
def test_a_refused_command_leaves_nothing(amounts: tuple[int, ...], error: type[Exception]) -> None:
    month = Month(uuid4())
    month.execute(Count(month.aggregate_id, (1,)))
    with pytest.raises(error):
        month.execute(Count(month.aggregate_id, amounts))
    assert (month.state, month.version) == (MonthState(1), 1)
    assert len(month.uncommitted_events) == 1


async def test_one_repository_serves_every_form() -> None:
    month_id = uuid4()
    months = AggregateRepository(InMemoryEventStore(), Month)
    await months.update(month_id, lambda month: month.execute(Count(month_id, (3,))), create=True)
    saved = await months.update(month_id, lambda month: month.execute(Count(month_id, (4,))))
    loaded = await months.load(month_id)
    assert (loaded.state, loaded.version) == (saved.state, saved.version) == (MonthState(7), 2)
    assert isinstance(loaded, AggregateRoot)


async def test_a_closed_stream_takes_no_more_events() -> None:
    month_id = uuid4()
    store = InMemoryEventStore()
    months = AggregateRepository(
        store, Month, snapshot_store=InMemorySnapshotStore(), snapshot_threshold=1
    )
    await months.update(month_id, lambda month: month.execute(Count(month_id, (3,))), create=True)
    closed = await months.update(month_id, lambda month: month.execute(Close(month_id)))
    assert closed.is_closed
    with pytest.raises(StreamClosedError, match="takes no Counted"):
        await months.update(month_id, lambda month: month.execute(Count(month_id, (1,))))
    assert (await months.load(month_id)).state == MonthState(3, closed=True)
    assert await store.get_stream_version(month_id, "Month") == 2


def test_a_stream_has_no_end_unless_it_is_given_one() -> None:
    class Endless(Month):
        is_terminal = staticmethod(Decider.is_terminal)

    endless = Endless(uuid4())
    endless.execute(Close(endless.aggregate_id))
    assert not endless.is_closed
    endless.execute(Count(endless.aggregate_id, (1,)))
    assert (endless.state, endless.version) == (MonthState(1, closed=True), 2)


def test_a_closing_event_is_the_last_one_of_its_command() -> None:
    month = Month(uuid4())
    month.execute(Close(month.aggregate_id))
    late = Counted(aggregate_id=month.aggregate_id, amount=1, aggregate_version=2)
    with pytest.raises(StreamClosedError):
        month.apply_event(late)
    assert month.version == 1
    # What is stored is a fact, whoever stored it.
    month.apply_event(late, is_new=False)
    assert month.state == MonthState(1, closed=True)
