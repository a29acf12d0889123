"""Building a read model anew from the log."""

import asyncio
import copy
import random
from hashlib import sha256
from typing import Any

from eventsource.exceptions import DatabaseError, ProjectionError
from eventsource.projections.base import CheckpointTrackingProjection, read_batch
from eventsource.projections.database import DatabaseProjection, quoted
from eventsource.projections.transactions import PostgreSQLReadModels
from eventsource.repositories.checkpoint import CheckpointRepository
from eventsource.retries import HandlerFailedError
from eventsource.stores.interface import EventStore
from eventsource.types import Position

_MOST_ATTEMPTS = 20
_PASSES = 3  # each leaves less to do while everybody waits
_SETTLE_SECONDS = 1.0
_LONGEST_IDENTIFIER = 63  # bytes
_TRY_AGAIN = {"55P03", "40P01"}  # lock not available in time, deadlock

_IS_SETTLED = """
SELECT event_feed_horizon() = event_log_transaction(pg_current_xact_id()) AS is_settled
"""

_TABLES_IN = """
SELECT relname AS name FROM pg_class
WHERE relnamespace = to_regnamespace(quote_ident($1)) AND relkind IN ('r', 'p')
"""

_SCHEMA_OF = """
SELECT coalesce(
    (SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass($1)),
    quote_ident(current_schema())
) AS schema
"""


async def rebuild_in_place(
    projection: CheckpointTrackingProjection, event_store: EventStore, *, batch_size: int = 500
) -> int:
    """Empty the read model and process all events again; returns how many those are.

    Readers see it grow. After a crash `catch_up` goes on where it stopped, or repeat the call.
    `is_replaying` is true for what had been processed before.
    """
    await projection.reset()
    return await projection.catch_up(event_store, batch_size=batch_size)


async def rebuild_blue_green(
    projection: DatabaseProjection, event_store: EventStore, *, batch_size: int = 500
) -> None:
    """Build new tables beside the old ones, then put them in their place in one transaction.

    Readers, and the projection itself or the appends that update it, go on with the old tables
    until then. A crash leaves those as they were, and what is built in a schema of its own: repeat
    the call. The new tables come from `create_tables` and hold what the old ones should: everything
    up to the projection's checkpoint, or every append if it is inline. `is_replaying` is true
    throughout.

    PostgreSQL only. The role needs CREATE on the database; the last step waits for transactions
    that read the old tables, and fails, changing nothing, if views depend on them. Handlers reach
    nothing but `tables` during the build, unless they name a schema.
    """
    await _Rebuild(projection, event_store, batch_size).run()


def _schema_for(name: str) -> str:
    """PostgreSQL cuts a longer name off, and two projections might share what is left."""
    schema = f"rebuild_{name}"
    fits = len(schema.encode()) <= _LONGEST_IDENTIFIER
    return schema if fits else f"rebuild_{sha256(name.encode()).hexdigest()[:32]}"


class _Rebuild:
    """One blue/green rebuild. A copy of the projection fills the new tables, which have the same
    names in a schema of their own, and has its own checkpoint."""

    def __init__(
        self, projection: DatabaseProjection, event_store: EventStore, batch_size: int
    ) -> None:
        if not isinstance(projection.database, PostgreSQLReadModels):
            raise TypeError("Blue/green needs PostgreSQL. On SQLite use rebuild_in_place.")
        if not projection.tables:
            raise ValueError(f"{type(projection).__name__}.tables does not name any table")
        self._live = projection
        self._database = projection.database
        self._event_store = event_store
        self._batch_size = batch_size
        self._schema = _schema_for(projection.projection_name)
        self._copy = copy.copy(projection)
        self._copy.projection_name = f"{projection.projection_name}#rebuild"
        self._copy.inline = False
        self._copy._schema = self._schema
        self._copy._always_replays = True

    async def run(self) -> None:
        await self._prepare()
        for attempt in range(1, _MOST_ATTEMPTS + 1):
            for _ in range(_PASSES):
                goal = await self._goal(self._database.checkpoints())
                await self._copy.catch_up(
                    self._event_store, batch_size=self._batch_size, until=goal
                )
            if await self._switch():
                return
            await asyncio.sleep(random.uniform(0, 0.05 * attempt))  # noqa: S311
        raise self._problem(
            "the new tables are full, but could not be put in place, because other transactions "
            "went on too long. Repeat the rebuild when they have ended."
        )

    async def _goal(self, checkpoints: CheckpointRepository) -> Position:
        """What the old tables hold, as far as the feed shows it."""
        if self._live.inline:
            return await self._event_store.get_feed_end()
        return await checkpoints.get_position(self._live.projection_name) or Position.START

    async def _prepare(self) -> None:
        async with self._database.transaction() as transaction:
            await self._database.lock(transaction, self._copy.projection_name)
            # What an earlier rebuild left when it was killed.
            await self._run(transaction, f"DROP SCHEMA IF EXISTS {quoted(self._schema)} CASCADE")
            await self._run(transaction, f"CREATE SCHEMA {quoted(self._schema)}")
            async with self._copy._in_schema(transaction):
                await self._copy.create_tables(transaction)
            made = {row["name"] for row in await self._run(transaction, _TABLES_IN, self._schema)}
            if made != set(self._live.tables):
                raise self._problem(
                    f"create_tables made {sorted(made)}, but tables names "
                    f"{sorted(self._live.tables)}. They must be the same, without a schema."
                )
            checkpoints = self._database.checkpoints(transaction)
            await checkpoints.reset_checkpoint(self._copy.projection_name)

    async def _switch(self) -> bool:
        """Put the new tables in place; False if that has to be tried again."""
        try:
            async with self._database.transaction() as transaction:
                # Readers that come while we wait for the old ones queue up behind us.
                await self._run(transaction, "SET LOCAL lock_timeout = '1s'")
                # From here on nobody changes the old tables.
                await self._database.lock(transaction, self._live.projection_name)
                await self._database.lock(transaction, self._copy.projection_name)
                if not await self._complete(transaction):
                    return False
                await self._swap(transaction)
        except HandlerFailedError:
            return False  # the next attempt meets the event again and reports it
        except DatabaseError as error:
            if error.sqlstate in _TRY_AGAIN:
                return False
            raise
        return True

    async def _complete(self, transaction: Any) -> bool:
        """Process what was appended since the last look, now that there is no more to come."""
        if self._live.inline and not await self._is_settled(transaction):
            return False
        checkpoints = self._database.checkpoints(transaction)
        goal = await self._goal(checkpoints)
        name, size = self._copy.projection_name, self._batch_size
        while True:
            after = await checkpoints.get_position(name)
            batch = await read_batch(self._event_store, after, size, goal)
            if not batch and (after or Position.START) > goal:
                # The old tables have gone back, and what they are to get again is in the new.
                raise self._problem("it was reset while the new tables were built. Repeat that.")
            if not batch:
                return True
            await self._copy._advance_in(transaction, batch, after)

    async def _is_settled(self, transaction: Any) -> bool:
        """Wait until no transaction older than ours runs: the feed then shows all that came
        before us, and the appends that come after us wait."""
        await self._run(transaction, "SELECT pg_current_xact_id()")
        deadline = asyncio.get_running_loop().time() + _SETTLE_SECONDS
        while not (await self._run(transaction, _IS_SETTLED))[0]["is_settled"]:
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    async def _swap(self, transaction: Any) -> None:
        tables = [(quoted(name), await self._home(transaction, name)) for name in self._live.tables]
        for table, home in reversed(tables):
            await self._run(transaction, f"DROP TABLE IF EXISTS {home}.{table}")
        for table, home in tables:
            await self._run(
                transaction, f"ALTER TABLE {quoted(self._schema)}.{table} SET SCHEMA {home}"
            )
        await self._run(transaction, f"DROP SCHEMA {quoted(self._schema)}")
        checkpoints = self._database.checkpoints(transaction)
        await checkpoints.reset_checkpoint(self._copy.projection_name)

    async def _home(self, transaction: Any, table: str) -> str:
        return str((await self._run(transaction, _SCHEMA_OF, quoted(table)))[0]["schema"])

    async def _run(self, transaction: Any, statement: str, *arguments: Any) -> list[Any]:
        return await self._database.fetch(transaction, statement, *arguments)

    def _problem(self, message: str) -> ProjectionError:
        return ProjectionError(self._live.projection_name, None, message)
