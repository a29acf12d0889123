"""One leader among many processes, by an advisory lock of PostgreSQL."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

_log = logging.getLogger(__name__)

_TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))"


class PostgreSQLLeader:
    """Of all processes that compete for `name` in one database, one is the leader.

    The lock belongs to a database session, so it ends with the process, however that dies, and
    another takes over within `retry_seconds`. It keeps one connection beyond those of the pool, and
    needs a direct one: behind a proxy that shares sessions between transactions, such as PgBouncer
    in transaction mode, there is no leader.

    A leader that loses its connection stops its work as soon as it notices: at once where the
    server says goodbye, within `check_seconds` where the network has gone silent. Until then
    another may lead already, so let what it writes be guarded by a checkpoint or an inbox too.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        name: str,
        *,
        retry_seconds: float = 1.0,
        check_seconds: float = 5.0,
    ) -> None:
        if min(retry_seconds, check_seconds) <= 0:
            raise ValueError("retry_seconds and check_seconds must be more than 0")
        self.name = name
        self.is_leader = False
        self._engine = engine
        self._retry_seconds = retry_seconds
        self._check_seconds = check_seconds

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Compete, run `work` while leading, cancel it when leadership is lost, compete again.

        Returns when `work` does, and raises what it raises. Cancel it to resign.
        """
        while True:
            with suppress(_NotTheLeaderError):
                async with self._own_connection() as driver:
                    while not await self._has_locked(driver):
                        await self._pause()
                    return await self._lead(driver, work)
            await self._pause()

    async def _lead(self, driver: Any, work: Callable[[], Awaitable[None]]) -> None:
        lost = asyncio.Event()
        driver.add_termination_listener(lambda _: lost.set())
        if driver.is_closed():  # the goodbye came before the listener
            raise _NotTheLeaderError
        checking = asyncio.create_task(self._check(driver, lost))
        _log.info("Leader of %s from now on", self.name)
        self.is_leader = True
        try:
            await _unless(lost, work)
        finally:
            self.is_leader = False
            checking.cancel()
            await asyncio.wait([checking])

    async def _has_locked(self, driver: Any) -> bool:
        try:
            return bool(await driver.fetchval(_TRY_LOCK, f"eventsource.leader:{self.name}"))
        except Exception as error:
            _log.warning("Cannot compete for %s: %s", self.name, error)
            raise _NotTheLeaderError from error

    async def _check(self, driver: Any, lost: asyncio.Event) -> None:
        while not lost.is_set():
            await asyncio.sleep(self._check_seconds)
            try:
                async with asyncio.timeout(self._check_seconds):
                    await driver.fetchval("SELECT 1")
            except Exception as error:  # noqa: BLE001  # whatever it is, the lock may be another's
                _log.warning("Leadership of %s is lost: %s", self.name, error)
                lost.set()

    @asynccontextmanager
    async def _own_connection(self) -> AsyncIterator[Any]:
        """A connection that no pool gets back, closed whatever happens, and the lock with it."""
        async with AsyncExitStack() as stack:
            try:
                connection = await stack.enter_async_context(self._engine.connect())
            except Exception as error:
                _log.warning("No connection to compete for %s: %s", self.name, error)
                raise _NotTheLeaderError from error
            driver: Any = (await connection.get_raw_connection()).driver_connection
            await connection.run_sync(lambda own: own.detach())
            try:
                yield driver
            finally:
                driver.terminate()  # needs no answer, so no cancellation can keep the lock

    async def _pause(self) -> None:
        await asyncio.sleep(self._retry_seconds * random.uniform(0.8, 1.2))  # noqa: S311


class _NotTheLeaderError(Exception):
    """Another process leads, or this one has lost its connection."""


async def _unless(lost: asyncio.Event, work: Callable[[], Awaitable[None]]) -> None:
    """Run the work until it ends. _NotTheLeaderError, after it was cancelled, if it is `lost`."""
    working = asyncio.ensure_future(work())
    losing = asyncio.create_task(lost.wait())
    try:
        await asyncio.wait([working, losing], return_when=asyncio.FIRST_COMPLETED)
    finally:
        losing.cancel()
        if was_lost := not working.done():
            working.cancel()
        await asyncio.wait([working, losing])
    if was_lost:
        raise _NotTheLeaderError
    working.result()
