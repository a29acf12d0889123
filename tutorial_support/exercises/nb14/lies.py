"""Exercise 14.1: an audit that finds the snapshots that lie."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from uuid import UUID, uuid4

from eventsource import AggregateRepository, InMemoryEventStore, InMemorySnapshotStore
from tutorial_support.exercises.model import Exercise, NotYet, Wrong
from tutorial_support.exercises.nb14.weeks import SalesWeek

Weeks = AggregateRepository[SalesWeek]
FindLies = Callable[[Weeks, Weeks, Sequence[UUID]], Awaitable[Sequence[UUID]]]


async def _check_lies(find_lies: FindLies) -> None:
    store, snapshots = InMemoryEventStore(), InMemorySnapshotStore()
    plain: Weeks = AggregateRepository(store, SalesWeek)
    quick: Weeks = AggregateRepository(store, SalesWeek, snapshot_store=snapshots)

    async def week(*, change: dict[str, int] | None, more: int) -> UUID:
        """A week with a snapshot that says `change`, and with more events after it."""
        new = plain.create_new(uuid4())
        new.open(100)
        new.sell(20)
        await plain.save(new)
        if change is not None:
            honest = await quick.create_snapshot(new)
            await snapshots.save_snapshot(replace(honest, state=honest.state | change))
        for _ in range(more):
            await plain.update(new.aggregate_id, lambda each: each.sell(5))
        return new.aggregate_id

    honest = [
        await week(change={}, more=0),
        await week(change={}, more=3),
        await week(change=None, more=1),
    ]
    wrong_count = await week(change={"sales": 9}, more=0)
    wrong_balance = await week(change={"balance": 99}, more=2)
    week_ids = sorted([*honest, wrong_balance, wrong_count])
    _judge(await find_lies(quick, plain, week_ids), honest, wrong_count, wrong_balance)


def _judge(found: object, honest: list[UUID], wrong_count: UUID, wrong_balance: UUID) -> None:
    names = {
        wrong_count: "the one with a wrong number of sales",
        wrong_balance: "the wrong balance",
    }
    names |= {honest[0]: "an honest one", honest[1]: "an honest one that is behind its stream"}
    names |= {honest[2]: "a week without a snapshot"}
    if not isinstance(found, Collection) or isinstance(found, str):
        raise NotYet(seen=f"{type(found).__name__}", expected="a list of ids", hint=1)
    seen = " and ".join(names.get(each, "an id nobody gave") for each in found) or "no lie at all"
    expected = "the two weeks whose snapshot differs from their events, and no other"
    if not found:
        raise NotYet(seen=seen, expected=expected, hint=1)
    if not set(found) <= {wrong_count, wrong_balance}:
        raise NotYet(seen=seen, expected=expected, hint=3)
    if len(set(found)) != 2:
        raise NotYet(seen=seen, expected=expected, hint=2)


def _answer(condition: str) -> str:
    return f"""
async def find_lies(quick, plain, week_ids):
    lies = []
    for week_id in week_ids:
        told, folded = await quick.load(week_id), await plain.load(week_id)
        if {condition}:
            lies.append(week_id)
    return lies
"""


LIES = Exercise(
    id="14.1",
    title="Find the snapshots that lie",
    task="""
Somebody changed the state of `SalesWeek` and forgot the schema version. Which snapshots are wrong
now? Write the audit. `quick` is a repository that loads from snapshots, `plain` one that folds all
events. Return the ids of the weeks for which the two do not agree. Some snapshots are older than
their stream, and one week has none: that is no lie.
""",
    answer="find_lies",
    stub='''
async def find_lies(quick, plain, week_ids):
    """Ids of the weeks whose snapshot says something else than their events."""
    ...
''',
    hints=(
        """
Load each week with both repositories and compare what they know. Two aggregates are equal when they
have the same id, whatever they know; so compare their states.
""",
        """
A snapshot may be right in one field and wrong in another. Compare the whole `.state`.
""",
        """
Both loads end at the same version, also from an old snapshot, because the events after it are
replayed. Compare with `!=`, which asks for the values; `is not` asks whether it is one object.
""",
    ),
    solutions=(
        _answer("told.state != folded.state"),
        """
async def find_lies(quick, plain, week_ids):
    async def known(repository):
        weeks = [await repository.load(week_id) for week_id in week_ids]
        return [(week.aggregate_id, week.state.model_dump()) for week in weeks]

    pairs = zip(await known(quick), await known(plain), strict=True)
    return [told[0] for told, folded in pairs if told != folded]
""",
        """
async def find_lies(quick, plain, week_ids):
    said = {week_id: (await quick.load(week_id)).state for week_id in week_ids}
    for week_id in week_ids:
        if (await plain.load(week_id)).state == said[week_id]:
            del said[week_id]
    return said.keys()
""",
    ),
    wrong=(
        Wrong(_answer("told != folded"), hint=1),
        Wrong(_answer("told.version != folded.version"), hint=1),
        Wrong(_answer("told.state.balance != folded.state.balance"), hint=2),
        Wrong(_answer("told.state is not folded.state"), hint=3),
    ),
    check=_check_lies,
)
