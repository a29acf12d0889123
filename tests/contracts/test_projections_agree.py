"""Whatever happens in whatever order: inline = asynchronous = rebuilt = fold."""

import asyncio
from pathlib import Path
from uuid import UUID, uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from eventsource import EventStore, ExpectedVersion, PostgreSQLEventStore
from eventsource.projections import InlineEventStore, rebuild_blue_green, rebuild_in_place
from eventsource.sqlite_database import SQLiteDatabase
from eventsource.stores.sqlite import SQLiteEventStore
from tests.till import ArticleSold, Sold, SoldInline, TillClosed, fold
from tutorial_support.lab import eventually

TILLS = [uuid4() for _ in range(3)]


class SoldAtOnce(SoldInline):
    tables = ("at_once",)


class Shop:
    """One log with two projections of it, and what may happen there."""

    def __init__(self, database: AsyncEngine | SQLiteDatabase, log: EventStore) -> None:
        self.log = log
        self.inline = SoldAtOnce(database)
        self.follower = Sold(database)
        self.store = InlineEventStore(log, [self.inline])
        self.last: tuple[UUID, list[ArticleSold]] | None = None

    async def open(self) -> None:
        await self.inline.setup()
        await self.follower.setup()

    async def do(self, step: tuple[str, object]) -> None:
        name, argument = step
        await getattr(self, name)(argument)

    async def sell(self, articles: list[str]) -> None:
        till = TILLS[len(articles) % 3]
        self.last = till, [ArticleSold(aggregate_id=till, article=one) for one in articles]
        await self.repeat(None)

    async def repeat(self, _: None) -> None:
        if self.last:
            till, events = self.last
            await self.store.append_events(till, "Till", events, ExpectedVersion.ANY)

    async def close(self, number: int) -> None:
        closing = TillClosed(aggregate_id=TILLS[number])
        await self.store.append_events(TILLS[number], "Till", [closing], ExpectedVersion.ANY)

    async def catch_up(self, batch_size: int) -> None:
        await self.follower.catch_up(self.log, batch_size=batch_size)

    async def reset(self, _: None) -> None:
        await self.follower.reset()

    async def in_place(self, batch_size: int) -> None:
        await rebuild_in_place(self.follower, self.log, batch_size=batch_size)

    async def blue_green(self, batch_size: int) -> None:
        await rebuild_blue_green(self.follower, self.log, batch_size=batch_size)

    async def inline_blue_green(self, batch_size: int) -> None:
        await rebuild_blue_green(self.inline, self.log, batch_size=batch_size)

    async def both(self, steps: list[tuple[str, object]]) -> None:
        """At the same time."""
        await asyncio.gather(*(self.do(step) for step in steps))

    async def agree(self) -> None:
        expected = fold(await self.log.get_events_by_type("Till"))
        assert await self.inline.totals() == expected

        async def has_caught_up() -> bool:
            await self.follower.catch_up(self.log)
            return await self.follower.totals() == expected

        await eventually(has_caught_up)


articles = st.lists(st.sampled_from(["apple", "pear", "plum"]), min_size=1, max_size=4)
sizes = st.sampled_from([1, 2, 7, 500])


def step(name: str, arguments: st.SearchStrategy | None = None) -> st.SearchStrategy:
    return st.tuples(st.just(name), arguments if arguments is not None else st.none())


HAPPENINGS = [
    step("sell", articles),
    step("repeat"),
    step("close", st.integers(0, 2)),
    step("catch_up", sizes),
]
REBUILDS = [step("blue_green", sizes), step("inline_blue_green", sizes)]
AT_ONCE = st.lists(st.one_of(*HAPPENINGS, REBUILDS[1]), min_size=2, max_size=3).filter(
    lambda steps: [name for name, _ in steps].count("inline_blue_green") <= 1
)

some = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@some
@given(
    st.lists(
        st.one_of(
            *HAPPENINGS,
            *REBUILDS,
            step("reset"),
            step("in_place", sizes),
            step("both", AT_ONCE),
        ),
        min_size=3,
        max_size=10,
    )
)
def test_on_postgresql(database_url: str, steps: list[tuple[str, object]]) -> None:
    async def live() -> None:
        engine = create_async_engine(database_url)
        shop = Shop(engine, PostgreSQLEventStore(async_sessionmaker(engine)))
        try:
            await shop.open()
            for one in steps:
                await shop.do(one)
            await shop.agree()
            for last in (("blue_green", 500), ("inline_blue_green", 500)):
                await shop.do(last)
                await shop.agree()
        finally:
            await engine.dispose()

    asyncio.run(live())


@some
@given(
    st.lists(
        st.one_of(*HAPPENINGS, step("reset"), step("in_place", sizes)), min_size=3, max_size=10
    )
)
def test_on_sqlite(tmp_path: Path, steps: list[tuple[str, object]]) -> None:
    async def live() -> None:
        async with SQLiteDatabase(tmp_path / "till.db") as database:
            await database.initialize()
            shop = Shop(database, SQLiteEventStore(database))
            await shop.open()
            for one in steps:
                await shop.do(one)
            await shop.agree()
            await shop.in_place(500)
            await shop.agree()

    asyncio.run(live())
