"""The feed of PostgreSQL in pages. No connection is held between two of them."""

from collections.abc import AsyncIterator

from eventsource.asyncpg_pool import Row
from eventsource.exceptions import PositionNotFoundError
from eventsource.stores import postgresql_statements as sql
from eventsource.stores.interface import ReadDirection, ReadOptions
from eventsource.stores.paging import Cursor, Fetch, pages
from eventsource.stores.postgresql_table import EventsTable
from eventsource.types import Position

_LAST_POSITION = (2**63 - 1, 2**63 - 1)


class Feed:
    """The whole log in the order in which its transactions became visible.

    A transaction of another database that ends while the server looks for it is taken for one of
    ours, and the horizon falls back. What a reader has seen stays settled, though, so it never
    reads less than before: it may take the end of the log first and what stands before it second.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._horizon = 0

    async def end(self) -> Position:
        rows = await self._read(sql.FEED_END, self._horizon)
        return Position(*rows[0]) if rows else Position.START

    async def pages(self, options: ReadOptions) -> AsyncIterator[list[Row]]:
        forward = options.direction is ReadDirection.FORWARD
        statement = sql.FEED_PAGE_FORWARD if forward else sql.FEED_PAGE_BACKWARD

        async def page(after: Cursor, before: Cursor, size: int) -> list[Row]:
            end = () if forward else before
            return await self._read(statement, *after, size, *filters(options), *end, self._horizon)

        start = await self._resume_point(options.from_position)
        columns = "transaction", "position"
        async for rows in pages(page, options, columns, start, _LAST_POSITION):
            yield rows

    async def _read(self, statement: str, *arguments: object) -> list[Row]:
        rows = await self._fetch(statement, *arguments, need=EventsTable.feed_problem)
        if rows:
            last = max(rows[0]["transaction"], rows[-1]["transaction"])
            self._horizon = max(self._horizon, last + 1)
        return rows

    async def _resume_point(self, position: int | Position) -> Cursor:
        need = EventsTable.feed_problem
        if isinstance(position, Position):
            cursor = position.transaction, position.sequence
            if position != Position.START and not await self._fetch(
                sql.LOG_REACHES, *cursor, need=need
            ):
                raise PositionNotFoundError(position)
            return cursor
        if position <= 0:
            return 0, 0
        rows = await self._fetch(sql.FIND_POSITION, position, need=need)
        if not rows:
            raise PositionNotFoundError(position)
        return rows[0]["transaction_id"], position


def filters(options: ReadOptions) -> tuple[object, ...]:
    tenant = None if options.tenant_id is None else str(options.tenant_id)
    return (
        options.from_timestamp,
        options.to_timestamp,
        tenant is None,
        tenant,
        None if options.event_types is None else list(options.event_types),
        None if options.aggregate_types is None else list(options.aggregate_types),
    )
