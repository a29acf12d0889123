"""Exercise 11.1: twenty workers share eight connections that may be cut."""

import asyncio
from collections.abc import Callable
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from eventsource.testing import eventually
from tutorial_support.database import Database
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

WORKERS, ALLOWED = 20, 8
HOLD_SECONDS = 0.1


async def _check_pool(pool_settings: Callable[[], dict[str, Any]], db: Database) -> None:
    engine = create_async_engine(db.url, **pool_settings())
    try:
        processes = await _run_workers(engine)
        await _cut(processes, db)
        await _work_after_the_night(engine)
    finally:
        await engine.dispose()


async def _cut(processes: list[int], db: Database) -> None:
    """All at once: pg_terminate_backend itself would wait a tenth of a second for each."""
    await db.fetch("SELECT pg_terminate_backend(p) FROM unnest($1::int[]) AS p", processes)

    async def are_gone() -> bool:
        query = "SELECT 1 FROM pg_stat_activity WHERE pid = ANY($1::int[])"
        return not await db.fetch(query, processes)

    await eventually(are_gone)


async def _run_workers(engine: AsyncEngine) -> list[int]:
    """Let all workers use the pool at once, and return the server processes that served them."""
    checked_out = most = 0

    def take(*_: object) -> None:
        nonlocal checked_out, most
        checked_out += 1
        most = max(most, checked_out)

    def give_back(*_: object) -> None:
        nonlocal checked_out
        checked_out -= 1

    event.listen(engine.sync_engine, "checkout", take)
    event.listen(engine.sync_engine, "checkin", give_back)

    async def worker() -> int:
        async with engine.connect() as connection:
            pid = await connection.scalar(text("SELECT pg_backend_pid()"))
            await asyncio.sleep(HOLD_SECONDS)
            return int(pid or 0)

    results = await asyncio.gather(*(worker() for _ in range(WORKERS)), return_exceptions=True)
    if most > ALLOWED:
        kept = engine.pool.size() if isinstance(engine.pool, QueuePool) else WORKERS
        raise NotYet(
            seen=f"{most} connections at once",
            expected=f"at most {ALLOWED}",
            hint=1 if kept > ALLOWED else 2,
        )
    timed_out = sum(isinstance(result, PoolTimeoutError) for result in results)
    if timed_out:
        seen = f"{timed_out} of {WORKERS} workers gave up waiting for a connection"
        raise NotYet(seen=seen, expected="every worker gets its turn", hint=3)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return list({result for result in results if isinstance(result, int)})


async def _work_after_the_night(engine: AsyncEngine) -> None:
    try:
        async with engine.connect() as connection:
            await connection.scalar(text("SELECT 1"))
    except DBAPIError as error:
        raise NotYet(
            seen="after the firewall had cut the idle connections, the next request failed",
            expected="a request that never notices",
            hint=4,
        ) from error


def _wrong(settings: str, hint: int) -> Wrong:
    return Wrong(f"def pool_settings():\n    return {settings}", hint)


POOL = Exercise(
    id="11.1",
    title="A pool for twenty workers",
    task="""
One process of the shop serves twenty requests at a time. Each needs a connection for a tenth of a
second. The database administrator grants you **eight** connections, and a firewall cuts idle ones
overnight. Return the keyword arguments for `create_async_engine` with which every request gets
its turn.
""",
    answer="pool_settings",
    given=("db",),
    stub='''
def pool_settings():
    """Keyword arguments for create_async_engine."""
    ...
''',
    hints=(
        """
Twenty requests do not need twenty connections. Each needs one for a tenth of a second, so they
can take turns on eight.
""",
        """
`pool_size` is what the pool keeps. `max_overflow` is what it may open on top, and its default is
10. The server sees the sum.
""",
        """
`pool_timeout` is how many seconds a request waits for its turn before it gives up. Three rounds
of a tenth of a second, and the time to connect, must fit.
""",
        """
`pool_pre_ping=True` asks a connection whether it is alive before handing it out, and replaces it
if it is not.
""",
    ),
    solutions=(
        """
def pool_settings():
    return {"pool_size": 8, "max_overflow": 0, "pool_timeout": 5, "pool_pre_ping": True}
""",
        """
def pool_settings():
    return dict(pool_size=5, max_overflow=3, pool_pre_ping=True, pool_recycle=1800)
""",
    ),
    wrong=(
        _wrong('{"pool_size": 20, "pool_pre_ping": True}', hint=1),
        _wrong('{"pool_size": 8, "pool_pre_ping": True}', hint=2),
        _wrong('{"pool_size": 8, "max_overflow": 0, "pool_timeout": 0.005}', hint=3),
        _wrong('{"pool_size": 8, "max_overflow": 0}', hint=4),
    ),
    check=_check_pool,
    time_limit_seconds=3,
)
