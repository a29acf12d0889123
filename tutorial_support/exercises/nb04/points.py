"""Exercise 4.2: two streams change together, or neither does."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from eventsource import (
    AppendResult,
    DomainEvent,
    ExpectedVersion,
    OptimisticLockError,
    PostgreSQLEventStore,
    register_event,
)
from tutorial_support.database import Database
from tutorial_support.exercises.model import Exercise, NotYet, Wrong
from tutorial_support.exercises.scratch import scratch_store

Move = dict[str, Any]
Answer = Callable[[PostgreSQLEventStore, AsyncEngine, Move, Move], Awaitable[Any]]


@register_event
class PointsTaken(DomainEvent):
    aggregate_type: str = "Points"
    points: int


@register_event
class PointsGiven(DomainEvent):
    aggregate_type: str = "Points"
    points: int


class _WatchedStore(PostgreSQLEventStore):
    """Looks, from outside, at what is stored between the two appends; may let a rival in there."""

    appends = 0
    stored_in_between = False
    has_a_rival = False

    async def append_events(
        self,
        aggregate_id: UUID,
        aggregate_type: str,
        events: Sequence[DomainEvent],
        expected_version: int,
        *,
        transaction: Any = None,
    ) -> AppendResult:
        self.appends += 1
        if self.appends == 2:
            self.stored_in_between |= await self.get_global_position() > self.before
            if self.has_a_rival:
                event = PointsGiven(aggregate_id=aggregate_id, points=1)
                await super().append_events(aggregate_id, "Points", [event], ExpectedVersion.ANY)
        return await super().append_events(
            aggregate_id, aggregate_type, events, expected_version, transaction=transaction
        )

    before = 0

    async def watch(self, *, rival: bool = False) -> None:
        self.appends, self.has_a_rival = 0, rival
        self.before = await self.get_global_position()


def _moves(expected: int = 0) -> tuple[Move, Move]:
    giver, taker = uuid4(), uuid4()
    taken = PointsTaken(aggregate_id=giver, points=50)
    given = PointsGiven(aggregate_id=taker, points=50)
    arguments = [(giver, [taken], 0), (taker, [given], expected)]
    first, second = (
        {
            "aggregate_id": stream,
            "aggregate_type": "Points",
            "events": events,
            "expected_version": version,
        }
        for stream, events, version in arguments
    )
    return first, second


async def _versions(store: PostgreSQLEventStore, *moves: Move) -> list[int]:
    return [await store.get_stream_version(move["aggregate_id"], "Points") for move in moves]


async def _check_points(answer: Answer, db: Database) -> None:
    async with scratch_store("04-points", db, _WatchedStore) as (store, engine):
        await _both_are_stored(store, engine, answer)
        await _a_rival_comes_between(store, engine, answer)
        await _neither_is_stored(store, engine, answer)


async def _both_are_stored(store: _WatchedStore, engine: AsyncEngine, answer: Answer) -> None:
    first, second = _moves()
    await store.watch()
    await answer(store, engine, first, second)
    versions = await _versions(store, first, second)
    if versions != [1, 1]:
        raise NotYet(
            seen=f"{sum(versions)} of the two events in the log after all went well",
            expected="both",
            hint=1,
        )


async def _a_rival_comes_between(store: _WatchedStore, engine: AsyncEngine, answer: Answer) -> None:
    """After everything could be checked, the stream that comes second grows."""
    first, second = _moves()
    await store.watch(rival=True)
    refused = await _is_refused(answer, store, engine, first, second)
    rivals = int(store.appends > 1)
    if sum(await _versions(store, first, second)) != rivals:
        raise NotYet(
            seen="the second append was refused, and the points were taken all the same",
            expected="no event of yours in the log",
            hint=2 if not store.appends or store.stored_in_between else 3,
        )
    if not refused:
        raise NotYet(
            seen="nothing was stored, and your caller was told nothing",
            expected="OptimisticLockError reaches the caller",
            hint=4,
        )
    if store.stored_in_between:
        raise NotYet(
            seen="for a moment a reader saw points taken that nobody had received",
            expected="both events appear in the log at once",
            hint=3,
        )


async def _neither_is_stored(store: _WatchedStore, engine: AsyncEngine, answer: Answer) -> None:
    first, second = _moves(expected=7)
    await store.watch()
    await _is_refused(answer, store, engine, second, first)
    await _is_refused(answer, store, engine, first, second)
    if await _versions(store, first, second) != [0, 0]:
        raise NotYet(
            seen="one append was refused, and the other one is in the log",
            expected="none of the two",
            hint=1,
        )


async def _is_refused(
    answer: Answer, store: _WatchedStore, engine: AsyncEngine, first: Move, second: Move
) -> bool:
    try:
        await answer(store, engine, first, second)
    except OptimisticLockError:
        return True
    return False


def _move(body: str) -> str:
    return "async def append_both(store, engine, first, second):\n" + body.strip("\n") + "\n"


POINTS = Exercise(
    id="4.2",
    title="Both streams or none",
    task="""
A customer gives loyalty points to a friend. That is one event in her stream and one in his, and
points must neither vanish nor appear from nothing. `first` and `second` are dictionaries with the
arguments of `append_events`; `store.append_events(**first)` works as it stands. Append **both or
none**, so that no reader ever sees one without the other, and let an `OptimisticLockError` reach
the caller.
""",
    answer="append_both",
    given=("db",),
    stub='''
async def append_both(store, engine, first, second):
    """Append first and second, or nothing."""
    ...
''',
    hints=(
        """
One call of `append_events` is all or nothing, two calls are not. What did the order and its invoice
share?
""",
        """
Looking first does not help: a rival may write between your look and your append. Only a transaction
takes the first append back when the second is refused.
""",
        """
Open one transaction with `async with engine.begin() as transaction:` and give it to **both**
appends. A correction that you append afterwards comes too late: readers have seen the half.
""",
        """
Do not catch the error inside the block: an exception that leaves the block is what rolls it back,
and the caller has to hear of it.
""",
    ),
    solutions=(
        _move("""
    async with engine.begin() as transaction:
        await store.append_events(**first, transaction=transaction)
        await store.append_events(**second, transaction=transaction)
"""),
        _move("""
    async with store.session_factory() as session:
        for move in (second, first):
            await store.append_events(**move, transaction=session)
        await session.commit()
"""),
    ),
    wrong=(
        Wrong(
            _move("""
    await store.append_events(**first)
"""),
            hint=1,
        ),
        Wrong(
            _move("""
    await store.append_events(**first)
    await store.append_events(**second)
"""),
            hint=2,
        ),
        Wrong(
            _move("""
    for move in (first, second):
        version = await store.get_stream_version(move["aggregate_id"], move["aggregate_type"])
        if version != move["expected_version"]:
            raise OptimisticLockError(move["aggregate_id"], move["expected_version"], version)
    await store.append_events(**first)
    await store.append_events(**second)
"""),
            hint=2,
        ),
        Wrong(
            _move("""
    async with engine.begin() as transaction:
        await store.append_events(**first)
        await store.append_events(**second, transaction=transaction)
"""),
            hint=2,
        ),
        Wrong(
            _move("""
    async with engine.begin() as transaction:
        try:
            await store.append_events(**first, transaction=transaction)
            await store.append_events(**second, transaction=transaction)
        except OptimisticLockError:
            await transaction.rollback()
"""),
            hint=4,
        ),
    ),
    check=_check_points,
    time_limit_seconds=5,
)
