"""A projection into database tables: the rows and the checkpoint commit together."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ClassVar, Unpack
from uuid import UUID

from eventsource.events.base import DomainEvent
from eventsource.projections.base import ProjectionOptions
from eventsource.projections.declarative import DeclarativeProjection
from eventsource.projections.transactions import (
    ReadModelSource,
    read_model_database,
)
from eventsource.repositories.dlq import DLQRepository
from eventsource.retries import HandlerFailedError, RetryPolicy, raising_the_handlers_error
from eventsource.stores.interface import StoredEvent
from eventsource.types import Position


class DatabaseProjection(DeclarativeProjection):
    """Name its tables in `tables`, make them in `create_tables`, and write handlers
    `(self, transaction, event)`, or `(self, event)`.

    Handlers write through `transaction`: a SQLAlchemy AsyncConnection on PostgreSQL, a
    SQLiteTransaction on SQLite. It also moves the checkpoint, so each event counts once, however
    often the process dies and however many processes run the projection. What a handler does
    elsewhere may happen again: a mail belongs in an outbox table, written in the transaction.

    With `inline = True` the projection is updated by the appends of an InlineEventStore instead
    of from the feed, and has no checkpoint.
    """

    tables: ClassVar[tuple[str, ...]] = ()
    inline: bool = False
    _handlers_take_context: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if isinstance(cls.tables, str):
            raise TypeError(f"{cls.__name__}.tables is a tuple of names: ({cls.tables!r},)")

    def __init__(
        self,
        database: ReadModelSource,
        dlq_repo: DLQRepository | None = None,
        retry_policy: RetryPolicy | None = None,
        **options: Unpack[ProjectionOptions],
    ) -> None:
        self.database = read_model_database(database)
        super().__init__(self.database.checkpoints(), dlq_repo, retry_policy, **options)
        self._schema: str | None = None

    async def create_tables(self, transaction: Any) -> None:
        """CREATE TABLE IF NOT EXISTS for each of `tables`, without a schema in the name, and
        what belongs to them: indexes, grants."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to create its tables")

    async def setup(self) -> None:
        """Create the tables that are missing."""
        async with self.database.transaction() as transaction:
            await self.create_tables(transaction)

    async def reset(self) -> None:
        """Empty the tables and forget the checkpoint in one transaction, so that all events come
        again; until then readers miss them. `is_replaying` is true up to where the checkpoint
        stood. A runner elsewhere goes on from the start by itself."""
        self._refuse_inline()
        async with self.database.transaction() as transaction:
            await self.database.lock(transaction, self.projection_name)
            checkpoints = self.database.checkpoints(transaction)
            await self._remember_effects(checkpoints)
            for table in reversed(self.tables):
                await self.database.fetch(transaction, f"DELETE FROM {quoted(table)}")  # noqa: S608  # nosec B608
            await checkpoints.reset_checkpoint(self.projection_name)

    async def get_position(self) -> Position | None:
        self._refuse_inline()
        return await super().get_position()

    async def _process_event(self, event: DomainEvent) -> None:
        raise RuntimeError(f"{type(self).__name__} processes events in a transaction: use handle()")

    async def _dispatch(self, event: DomainEvent, transaction: Any) -> None:
        if handler := self._find_handler(event):
            await handler.call(self, event, transaction)

    async def advance(self, batch: Sequence[StoredEvent], after: Position | None) -> bool:
        if len(batch) == 1:
            return await self._with_retries(batch[0].event, partial(self._commit, batch, after))
        try:
            return await self._commit(batch, after)
        except HandlerFailedError:
            return await self._advance_singly(batch, after)

    async def skip(
        self, position: Position, event_id: UUID, event_type: str, after: Position | None
    ) -> bool:
        async with self.database.transaction() as transaction:
            # A reset that came between must not be overtaken.
            await self.database.lock(transaction, self.projection_name)
            return await self.database.checkpoints(transaction).save_position(
                *(self.projection_name, position, event_id, event_type),
                after=after or Position.START,
                events=0,
            )

    async def _advance_singly(self, batch: Sequence[StoredEvent], after: Position | None) -> bool:
        """Up to the event that fails, which then is tried alone."""
        for stored in batch:
            if not await self.advance([stored], after):
                return False
            after = stored.position
        return True

    async def _commit(self, batch: Sequence[StoredEvent], after: Position | None) -> bool:
        async with self.database.transaction() as transaction:
            return await self._advance_in(transaction, batch, after)

    async def _advance_in(
        self, transaction: Any, batch: Sequence[StoredEvent], after: Position | None
    ) -> bool:
        # The position was read outside. Whoever moved it since, forward or by a reset, has made
        # this batch the wrong one; nobody can move it any more once we hold the name.
        await self.database.lock(transaction, self.projection_name)
        checkpoints = self.database.checkpoints(transaction)
        if await checkpoints.get_position(self.projection_name) != after:
            return False
        is_replay = await self._is_replay(checkpoints)
        async with self._in_schema(transaction):
            for stored in batch:
                await self._apply(stored.event, is_replay(stored), transaction)
        last = batch[-1]
        return await checkpoints.save_position(
            self.projection_name,
            last.position,
            last.event_id,
            last.event_type,
            events=len(batch),
        )

    async def _handle_bare(self, event: DomainEvent) -> None:
        self._refuse_inline()

        async def work() -> None:
            async with self.database.transaction() as transaction:
                await self.database.lock(transaction, self.projection_name)
                await self._apply(event, False, transaction)
                await self.database.checkpoints(transaction).update_checkpoint(
                    self.projection_name, event.event_id, event.event_type
                )

        with raising_the_handlers_error():
            await self._with_retries(event, work)

    @asynccontextmanager
    async def _in_schema(self, transaction: Any) -> AsyncIterator[None]:
        """Table names mean those of the copy being built, and nothing outside it."""
        if self._schema is None:
            yield
            return
        before = await self._set_path(transaction, quoted(self._schema))
        yield
        await self._set_path(transaction, before)

    async def _set_path(self, transaction: Any, path: str) -> str:
        rows = await self.database.fetch(
            transaction,
            "SELECT current_setting('search_path') AS before, set_config('search_path', $1, true)",
            path,
        )
        return str(rows[0]["before"])

    def _refuse_inline(self) -> None:
        if self.inline:
            raise RuntimeError(
                f"{type(self).__name__} is inline: appends update it, and it has no checkpoint. "
                "Rebuild it with rebuild_blue_green."
            )


def quoted(name: str) -> str:
    """The name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
