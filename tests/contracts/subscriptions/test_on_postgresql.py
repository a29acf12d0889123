"""What PostgreSQL alone adds: late commits, NOTIFY, lost connections, one leader."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from eventsource import (
    Doorbell,
    EventStoreConnectionError,
    PostgreSQLCheckpointRepository,
    PostgreSQLEventStore,
    PostgreSQLLeader,
    SubscriptionManager,
    SubscriptionState,
)
from eventsource.subscriptions import ReadinessStatus
from tests.contracts.subscriptions.conftest import Log, Seller, quick
from tests.till import ArticleSold, sell
from tutorial_support.lab import eventually

LISTENERS = "query LIKE 'LISTEN%'"
LEADERS = "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted)"


@pytest.fixture
def backend() -> str:
    return "postgresql"


@pytest.fixture
def engine(log: Log) -> AsyncEngine:
    assert isinstance(log.database, AsyncEngine)
    return log.database


@pytest.fixture
def terminate(database_connection: asyncpg.Connection) -> Callable:
    """Cut the connections of this database that fit; how many."""

    async def cut(which: str) -> int:
        rows = await database_connection.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = current_database() AND pid <> pg_backend_pid() AND {which}"
        )
        return len(rows)

    return cut


async def test_writers_that_commit_out_of_order_while_subscribers_go_live_are_not_missed(
    manager: SubscriptionManager, log: Log, engine: AsyncEngine
) -> None:
    """T5: numbers are taken early and seen late."""
    writers, each, rng = 6, 10, random.Random(13)
    early, late = Seller(), Seller()
    await manager.subscribe(early, quick(batch_size=3), name="early")
    await manager.start()

    async def write(writer: int) -> None:
        for number in range(each):
            async with engine.begin() as transaction:
                event = ArticleSold(aggregate_id=uuid4(), article=f"{writer}-{number}")
                await log.store.append_events(
                    event.aggregate_id, "Till", [event], 0, transaction=transaction
                )
                await asyncio.sleep(rng.uniform(0, 0.02))  # the transaction takes its time

    async with asyncio.TaskGroup() as group:
        for writer in range(writers):
            group.create_task(write(writer))
        await eventually(lambda: len(early.sold) >= 20, timeout_seconds=30)
        await manager.subscribe(late, quick(batch_size=7), name="late")
    everything = sorted(f"{w}-{n}" for w in range(writers) for n in range(each))
    for seller in (early, late):
        await eventually(lambda: len(seller.sold) >= writers * each, timeout_seconds=30)  # noqa: B023
        assert sorted(seller.sold) == everything
    assert early.sold == late.sold


FALLING_BACK = """
ALTER FUNCTION event_feed_horizon() RENAME TO true_horizon;
CREATE SEQUENCE looks;
CREATE FUNCTION event_feed_horizon() RETURNS xid8 LANGUAGE sql AS
    'SELECT CASE WHEN mod(nextval(''looks''), 2) = 0 THEN ''3''::xid8 ELSE true_horizon() END';
"""


async def test_a_horizon_that_falls_back_between_two_looks_costs_no_event(
    manager: SubscriptionManager, log: Log, database_connection: asyncpg.Connection
) -> None:
    """A transaction of another database that ends at the wrong moment is taken for one of ours."""
    await sell(log.store, "apple", "pear")
    await log.shows(2)
    await database_connection.execute(FALLING_BACK)
    seller = Seller()
    await manager.subscribe(seller, quick(event_types=(ArticleSold,)))
    await manager.start()
    await seller.has("apple", "pear")


async def test_the_doorbell_wakes_between_two_polls(
    manager_of: Callable[..., SubscriptionManager], log: Log, engine: AsyncEngine
) -> None:
    bell, seller = Doorbell(engine), Seller()
    manager = manager_of(doorbell=bell)
    await manager.subscribe(seller, quick(poll_interval_seconds=600))
    await manager.start()
    await manager.wait_until_live()
    for count in range(1, 4):
        await sell(log.store, "apple")
        await bell.ring()
        await seller.has(*["apple"] * count)


async def test_an_event_that_is_held_back_when_the_bell_rings_comes_soon_after(
    manager_of: Callable[..., SubscriptionManager],
    log: Log,
    engine: AsyncEngine,
    database_connection: asyncpg.Connection,
) -> None:
    """Nobody rings when the transaction ends that held it back."""
    bell, seller = Doorbell(engine), Seller()
    manager = manager_of(doorbell=bell)
    await manager.subscribe(seller, quick(poll_interval_seconds=600))
    await manager.start()
    await manager.wait_until_live()
    async with database_connection.transaction():
        await database_connection.fetchval("SELECT pg_current_xact_id()")
        await sell(log.store, "apple")
        await bell.ring()
        await asyncio.sleep(0.1)
        assert seller.sold == []
    await seller.has("apple")


async def test_nothing_is_missed_when_the_listening_connection_is_cut(
    manager_of: Callable[..., SubscriptionManager],
    log: Log,
    engine: AsyncEngine,
    terminate: Callable,
) -> None:
    bell, seller = Doorbell(engine), Seller()
    manager = manager_of(doorbell=bell)
    await manager.subscribe(seller, quick(poll_interval_seconds=600))
    await manager.start()
    await manager.wait_until_live()
    for number in range(3):
        await eventually(lambda: terminate(LISTENERS), timeout_seconds=20)
        await sell(log.store, str(number))  # and nobody rings, or nobody hears it
        await seller.has(*map(str, range(number + 1)))


async def test_nothing_is_missed_or_doubled_when_every_connection_is_cut(
    manager: SubscriptionManager, log: Log, terminate: Callable
) -> None:
    seller = Seller()
    subscription = await manager.subscribe(seller, quick(batch_size=4))
    await manager.start()
    for number in range(30):
        sale = ArticleSold(aggregate_id=uuid4(), article=str(number))
        await eventually(lambda: is_stored(log, sale), timeout_seconds=20)  # noqa: B023
        if number % 5 == 0:
            await terminate("true")
    await eventually(lambda: len(seller.sold) >= 30, timeout_seconds=30)
    assert sorted(seller.sold, key=int) == [str(number) for number in range(30)]
    assert subscription.events_failed == 0


async def is_stored(log: Log, event: ArticleSold) -> bool:
    """Repeating an append with the same event is safe."""
    try:
        await log.store.append_events(event.aggregate_id, "Till", [event], 0)
    except EventStoreConnectionError:
        return False
    return True


class Rivals:
    """Managers that compete to run one subscription."""

    def __init__(self, log: Log, engine: AsyncEngine) -> None:
        self.seller = Seller()
        self.managers = [
            SubscriptionManager(
                log.store,
                None,
                PostgreSQLCheckpointRepository(engine),
                leader=PostgreSQLLeader(engine, "sellers", retry_seconds=0.05, check_seconds=0.2),
            )
            for _ in range(3)
        ]

    async def start(self) -> None:
        for manager in self.managers:
            await manager.subscribe(self.seller, quick())
            await manager.start()

    def leaders(self) -> list[SubscriptionManager]:
        return [manager for manager in self.managers if manager.is_leader]

    def all_but_one_wait(self) -> bool:
        followers = [manager for manager in self.managers if not manager.is_leader]
        states = {manager.subscriptions[0].state for manager in followers}
        return len(followers) == 2 and states == {SubscriptionState.STARTING}


@pytest.fixture
async def rivals(log: Log, engine: AsyncEngine):
    rivals = Rivals(log, engine)
    await rivals.start()
    yield rivals
    for manager in rivals.managers:
        await manager.stop()
    assert engine.pool.checkedout() == 0


async def test_one_leads_and_the_others_wait(rivals: Rivals, log: Log) -> None:
    await sell(log.store, "apple", "pear")
    await rivals.seller.has("apple", "pear")
    (leader,) = rivals.leaders()
    for manager in rivals.managers:
        state = manager.subscriptions[0].state
        assert (state is SubscriptionState.STARTING) == (manager is not leader)
        if manager is not leader:
            assert await manager.readiness_check() == ReadinessStatus(
                True, "waiting to be the leader"
            )


async def test_a_leader_that_resigns_is_followed_at_once(rivals: Rivals, log: Log) -> None:
    await eventually(rivals.leaders, timeout_seconds=20)
    (first,) = rivals.leaders()
    await first.stop()
    await sell(log.store, "apple")
    await rivals.seller.has("apple")
    assert rivals.leaders() != [first]


async def test_a_leader_that_loses_its_connection_stops_and_may_lead_again(
    rivals: Rivals, log: Log, terminate: Callable
) -> None:
    """T94: the lock is the session's, so without the session there is no leader."""
    for number in range(4):
        await eventually(lambda: terminate(LEADERS), timeout_seconds=20)
        await sell(log.store, str(number))
        await eventually(lambda: str(number) in rivals.seller.sold, timeout_seconds=20)  # noqa: B023
        await eventually(rivals.all_but_one_wait, timeout_seconds=20)
    # A plain handler's event comes again if the term ends before its checkpoint is saved.
    assert list(dict.fromkeys(rivals.seller.sold)) == ["0", "1", "2", "3"]


async def test_a_paused_subscription_stays_paused_under_the_next_term(
    rivals: Rivals, log: Log, terminate: Callable
) -> None:
    for manager in rivals.managers:
        await manager.pause_subscription("Seller")
    await eventually(lambda: terminate(LEADERS), timeout_seconds=20)
    await sell(log.store, "apple")
    await eventually(
        lambda: any(m.subscriptions[0].state is SubscriptionState.PAUSED for m in rivals.leaders()),
        timeout_seconds=20,
    )
    assert rivals.seller.sold == []
    for manager in rivals.managers:
        await manager.resume_subscription("Seller")
    await rivals.seller.has("apple")


async def test_cancelled_while_it_competes_a_candidate_leaves_no_session(
    engine: AsyncEngine, database_connection: asyncpg.Connection
) -> None:
    """T94."""

    async def lead_for_ever() -> None:
        await asyncio.Event().wait()

    async def sessions() -> int:
        return await database_connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND query LIKE '%advisory%'"
        )

    async def are(count: int) -> bool:
        return await sessions() == count

    candidates = [
        asyncio.create_task(PostgreSQLLeader(engine, "one", retry_seconds=0.01).run(lead_for_ever))
        for _ in range(4)
    ]
    await eventually(lambda: are(4), timeout_seconds=20)
    for candidate in candidates:
        candidate.cancel()
    await asyncio.wait(candidates)
    await eventually(lambda: are(0), timeout_seconds=20)
    assert engine.pool.checkedout() == 0


@pytest.fixture
def nowhere(engine: AsyncEngine, engine_of: Callable, unused_tcp_port: int) -> AsyncEngine:
    url = engine.url.set(port=unused_tcp_port)
    return engine_of(url.render_as_string(hide_password=False))


async def test_without_a_connection_nobody_leads(
    nowhere: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    leader = PostgreSQLLeader(nowhere, "one", retry_seconds=0.01)
    running = asyncio.create_task(leader.run(asyncio.Event().wait))
    await eventually(lambda: caplog.text.count("No connection to compete for one") > 1)
    assert not leader.is_leader
    assert not running.done()
    running.cancel()
    await asyncio.wait([running])


async def test_nobody_knows_the_lag_behind_a_log_out_of_reach(
    nowhere: AsyncEngine, log: Log
) -> None:
    store = PostgreSQLEventStore(async_sessionmaker(nowhere))
    manager = SubscriptionManager(store, None, log.checkpoints)
    await manager.subscribe(Seller(), quick())
    (seller,) = (await manager.health_check()).subscriptions
    assert seller.lag_events is None


async def test_the_work_of_a_leader_ends_its_term_and_its_error_is_raised(
    engine: AsyncEngine,
) -> None:
    leader, terms = PostgreSQLLeader(engine, "one", retry_seconds=0.01), []

    async def work() -> None:
        terms.append(leader.is_leader)
        if len(terms) == 2:
            raise LookupError("out of work")

    await leader.run(work)
    with pytest.raises(LookupError, match="out of work"):
        await leader.run(work)
    assert terms == [True, True]
    assert not leader.is_leader


class CutOffLeader(PostgreSQLLeader):
    """Loses its connection in the moment in which it first gets the lock."""

    is_cut_off = False

    async def _has_locked(self, driver: Any) -> bool:
        has_locked = await super()._has_locked(driver)
        if has_locked and not self.is_cut_off:
            self.is_cut_off = True
            driver.terminate()
        return has_locked


async def test_a_leader_that_is_cut_off_as_it_gets_the_lock_does_no_work(
    engine: AsyncEngine, database_connection: asyncpg.Connection
) -> None:
    locks_held = []

    async def work() -> None:
        locks_held.append(
            await database_connection.fetchval(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = "
                "(SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        )

    await CutOffLeader(engine, "one", retry_seconds=0.01, check_seconds=60.0).run(work)
    assert locks_held == [1]


class Network:
    """A way to the database that can go silent without a word."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._works = asyncio.Event()
        self._works.set()

    async def open(self, stack: AsyncExitStack) -> URL:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        stack.callback(server.close)
        return self._url.set(port=server.sockets[0].getsockname()[1])

    def go_silent(self) -> None:
        self._works.clear()

    async def _carry(self, near: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        far, ask = await asyncio.open_connection(self._url.host, self._url.port)
        try:
            await asyncio.gather(self._pipe(near, ask), self._pipe(far, answer))
        finally:
            ask.close()
            answer.close()

    async def _pipe(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            await self._works.wait()
            target.write(data)
        self._works.set()
        target.close()


async def test_a_leader_whose_network_goes_silent_stops_its_work(
    engine: AsyncEngine, engine_of: Callable
) -> None:
    """Nobody says goodbye, so only asking finds out."""
    async with AsyncExitStack() as stack:
        network = Network(engine.url)
        url = await network.open(stack)
        leader = PostgreSQLLeader(
            engine_of(url.render_as_string(hide_password=False)),
            "one",
            retry_seconds=600,
            check_seconds=2,
        )
        terms: list[str] = []

        async def work() -> None:
            terms.append("began")
            try:
                await asyncio.Event().wait()
            finally:
                terms.append("ended")

        running = asyncio.create_task(leader.run(work))
        await eventually(lambda: terms == ["began"], timeout_seconds=20)
        network.go_silent()
        await eventually(lambda: terms == ["began", "ended"], timeout_seconds=20)
        await eventually(lambda: not leader.is_leader, timeout_seconds=20)
        running.cancel()
        await asyncio.wait([running])
