"""Exercise 14.2: the night job that closes a week, whatever happens in the night."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

from eventsource import (
    AggregateRepository,
    AppendResult,
    EventSourceError,
    EventStoreConnectionError,
    PostgreSQLEventStore,
)
from tutorial_support.database import Database
from tutorial_support.exercises.model import Exercise, NotYet, Wrong
from tutorial_support.exercises.nb14.weeks import SalesWeek
from tutorial_support.exercises.scratch import scratch_store

CloseWeek = Callable[..., Awaitable[object]]


class _Unlucky(PostgreSQLEventStore):
    """Loses its connection after so many appends."""

    appends_left = 1000

    async def append_events(self, *arguments: Any, **options: Any) -> AppendResult:
        if self.appends_left == 0:
            raise EventStoreConnectionError("The connection was lost, as the exercise wants it.")
        self.appends_left -= 1
        return await super().append_events(*arguments, **options)


async def _check_closing(close_week: CloseWeek, db: Database) -> None:
    async with scratch_store("14-weeks", db, _Unlucky) as (store, engine):
        weeks: AggregateRepository[SalesWeek] = AggregateRepository(store, SalesWeek)
        calm, stormy = [await _open_week(weeks) for _ in range(2)]
        following = uuid4()
        await close_week(weeks, engine.begin, calm, following)
        await _must_be_closed(weeks, calm, following)
        await _a_second_time(close_week, weeks, engine.begin, calm, following)
        await _in_a_storm(close_week, weeks, engine.begin, stormy, store)


async def _open_week(weeks: AggregateRepository[SalesWeek]) -> UUID:
    week = weeks.create_new(uuid4())
    week.open(100)
    week.sell(25)
    await weeks.save(week)
    return week.aggregate_id


async def _must_be_closed(
    weeks: AggregateRepository[SalesWeek], week_id: UUID, next_id: UUID
) -> None:
    closed = (await weeks.load(week_id)).is_closed
    following = await weeks.load_or_create(next_id)
    if not closed or following.version == 0:
        raise NotYet(
            seen=f"the week is {'closed' if closed else 'open'}, "
            f"the next one {'is there' if following.version else 'is not there'}",
            expected="the week closed and the next one opened",
            hint=1,
        )
    if following.now.balance != 125 or following.version != 1:
        raise NotYet(
            seen=f"the next week begins with {following.version} events and a balance of "
            f"{following.now.balance}",
            expected="one event, and the 125 with which the old week ended",
            hint=2,
        )


async def _a_second_time(
    close_week: CloseWeek, weeks: AggregateRepository[SalesWeek], begin: Any, *ids: UUID
) -> None:
    before = [await weeks.get_version(each) for each in ids]
    try:
        await close_week(weeks, begin, *ids)
        problem = ""
    except EventSourceError as error:
        problem = f"it raised {type(error).__name__}"
    if [await weeks.get_version(each) for each in ids] != before:
        problem = "there were new events"
    if problem:
        raise NotYet(
            seen=f"the night job ran twice, and the second time {problem}",
            expected="nothing happens the second time",
            hint=4,
        )


async def _in_a_storm(
    close_week: CloseWeek,
    weeks: AggregateRepository[SalesWeek],
    begin: Any,
    week_id: UUID,
    store: _Unlucky,
) -> None:
    following, store.appends_left = uuid4(), 1
    try:
        await close_week(weeks, begin, week_id, following)
    except EventStoreConnectionError:
        pass
    finally:
        store.appends_left = 1000
    if (await weeks.load(week_id)).is_closed or await weeks.exists(following):
        raise NotYet(
            seen="the connection was lost between the two saves, and one of them is stored",
            expected="both or neither",
            hint=3,
        )
    await close_week(weeks, begin, week_id, following)
    await _must_be_closed(weeks, week_id, following)


TWO_SAVES = """
    async with begin() as transaction:
        await weeks.save(week, transaction=transaction)
        await weeks.save(following, transaction=transaction)
"""
CLOSE_AND_OPEN = """
    week, following = await weeks.load(week_id), weeks.create_new(next_id)
    if week.is_closed:
        return
    week.close()
    following.open(week.state.balance)
"""


def _answer(body: str) -> str:
    return f"async def close_week(weeks, begin, week_id, next_id):{body.rstrip()}\n"


CLOSING = Exercise(
    id="14.2",
    title="Close the week, once",
    task="""
A night job closes the week's sales and opens the next week with the balance of the old one. It may
be started twice, and the connection may break at any moment: there must be both or neither, and
only once. `weeks` is the repository of `SalesWeek`, which has `open`, `sell`, `close` and
`is_closed` like `SalesDay`. `begin()` begins a transaction, as `engine.begin()` does.
""",
    answer="close_week",
    given=("db",),
    stub='''
async def close_week(weeks, begin, week_id, next_id):
    """Close one week and open the next, both or neither, and only once."""
    ...
''',
    hints=(
        """
`week = await weeks.load(week_id)` and `following = weeks.create_new(next_id)`. Then `week.close()`,
`following.open(...)`, and save both.
""",
        """
The next week begins with `week.state.balance`. That one number stands for all the events before.
""",
        """
`async with begin() as transaction:` and inside it both saves, each with `transaction=transaction`.
""",
        """
A week that is closed takes no more events: `close()` raises `StreamClosedError`. Ask
`week.is_closed` first, and leave if the work was done before.
""",
    ),
    solutions=(
        _answer(CLOSE_AND_OPEN + TWO_SAVES),
        _answer("""
    async with begin() as transaction:
        week = await weeks.load(week_id)
        if not week.is_closed:
            week.close()
            following = weeks.create_new(next_id)
            following.open(week.now.balance)
            for each in (following, week):
                await weeks.save(each, transaction=transaction)
"""),
    ),
    wrong=(
        Wrong(
            _answer("""
    week = await weeks.load(week_id)
    week.close()
    await weeks.save(week)
"""),
            hint=1,
        ),
        Wrong(_answer(CLOSE_AND_OPEN.replace("week.state.balance", "0") + TWO_SAVES), hint=2),
        Wrong(
            _answer(
                CLOSE_AND_OPEN + "    await weeks.save(week)\n    await weeks.save(following)\n"
            ),
            hint=3,
        ),
        Wrong(
            _answer(
                CLOSE_AND_OPEN.replace("    if week.is_closed:\n        return\n", "") + TWO_SAVES
            ),
            hint=4,
        ),
    ),
    check=_check_closing,
    time_limit_seconds=5,
)
