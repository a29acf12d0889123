"""Wake sleeping readers on other connections, with LISTEN and NOTIFY.

A NOTIFY inside the transaction of an append would make all commits wait for each other, so the bell
is rung after the commit. It may get lost, with its sender for example: whoever waits for it also
polls.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from eventsource.asyncpg_pool import executor_for
from eventsource.events.base import DomainEvent

_log = logging.getLogger(__name__)

_RECONNECT_SECONDS = 1.0


class Doorbell:
    """A bell that every process on the same database hears, of one channel's name.

    Give it to a repository as `event_publisher` to ring after each save, or call `ring`.
    """

    def __init__(self, engine: AsyncEngine, channel: str = "eventsource") -> None:
        self._engine = engine
        self._channel = channel

    async def ring(self) -> None:
        """EventStoreConnectionError if the database is out of reach."""
        await executor_for(self._engine).fetch("SELECT pg_notify($1, '')", self._channel)

    async def publish(self, events: Sequence[DomainEvent]) -> None:
        """Ring for events that are stored."""
        if events:
            await self.ring()

    async def listen(self, heard: Callable[[], None]) -> None:
        """Call `heard` at every ring, and after each gap in the connection, until cancelled.

        Takes one connection beyond those of the engine's pool.
        """
        while True:
            try:
                await self._listen_until_lost(heard)
            except Exception as error:  # noqa: BLE001  # whatever it is, polling goes on meanwhile
                _log.warning("Not listening on %s: %s", self._channel, error)
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen_until_lost(self, heard: Callable[[], None]) -> None:
        lost = asyncio.Event()

        def on_notification(*_: Any) -> None:
            heard()

        def on_end(*_: Any) -> None:
            lost.set()

        async with self._engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            await connection.run_sync(lambda own: own.detach())
            driver.add_termination_listener(on_end)
            await driver.add_listener(self._channel, on_notification)
            heard()  # for what rang while nobody listened
            try:
                await lost.wait()
            finally:
                driver.remove_termination_listener(on_end)
                if not driver.is_closed():
                    await driver.remove_listener(self._channel, on_notification)
