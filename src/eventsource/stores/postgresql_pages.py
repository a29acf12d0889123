"""Reading long results in pages: flat memory, and no connection held between two pages."""

from collections.abc import AsyncIterator, Awaitable, Callable
from operator import itemgetter
from typing import Any, Protocol

from eventsource.asyncpg_pool import Row
from eventsource.exceptions import PositionNotFoundError
from eventsource.stores import postgresql_statements as sql
from eventsource.stores.interface import (
    ReadDirection,
    ReadOptions,
    parse_stream_id,
    version_to_start_after,
)
from eventsource.stores.postgresql_table import EventsTable
from eventsource.types import Position

PAGE_ROWS = 1000

_LAST_VERSION = (2**31, "")
_LAST_POSITION = (2**63 - 1, 2**63 - 1)

Cursor = tuple[Any, Any]


class Fetch(Protocol):
    def __call__(
        self,
        statement: str,
        *arguments: object,
        need: Callable[[EventsTable], str | None] = ...,
    ) -> Awaitable[list[Row]]: ...


async def stream_rows(fetch: Fetch, stream_id: str, options: ReadOptions) -> AsyncIterator[Row]:
    """Rows of one stream by version, or of all streams of a bare id."""
    aggregate_id, aggregate_type = parse_stream_id(stream_id)
    statement = _by_direction(options, sql.STREAM_PAGE_FORWARD, sql.STREAM_PAGE_BACKWARD)

    async def page(after: Cursor, before: Cursor, size: int) -> list[Row]:
        return await fetch(
            statement, *after, *before, size, *_filters(options), aggregate_id, aggregate_type
        )

    # Pages exclude their bounds, and no type sorts before the empty text.
    start = (max(version_to_start_after(options), 0) + 1, "")
    cursor_of = itemgetter("version", "aggregate_type")
    async for row in _rows(page, start, _LAST_VERSION, cursor_of, options):
        yield row


async def feed_rows(fetch: Fetch, options: ReadOptions) -> AsyncIterator[Row]:
    """Rows of the whole log in the order in which their transactions became visible."""
    statement = _by_direction(options, sql.FEED_PAGE_FORWARD, sql.FEED_PAGE_BACKWARD)

    async def page(after: Cursor, before: Cursor, size: int) -> list[Row]:
        return await fetch(
            statement, *after, *before, size, *_filters(options), need=EventsTable.feed_problem
        )

    start = await _resume_point(fetch, options.from_position)
    cursor_of = itemgetter("transaction", "position")
    async for row in _rows(page, start, _LAST_POSITION, cursor_of, options):
        yield row


async def _rows(
    page: Callable[[Cursor, Cursor, int], Awaitable[list[Row]]],
    after: Cursor,
    before: Cursor,
    cursor_of: Callable[[Row], Cursor],
    options: ReadOptions,
) -> AsyncIterator[Row]:
    left = options.limit
    while left is None or left > 0:
        size = PAGE_ROWS if left is None else min(left, PAGE_ROWS)
        rows = await page(after, before, size)
        for row in rows:
            yield row
        if len(rows) < size:
            return
        left = None if left is None else left - size
        if options.direction is ReadDirection.FORWARD:
            after = cursor_of(rows[-1])
        else:
            before = cursor_of(rows[-1])


async def _resume_point(fetch: Fetch, position: int | Position) -> Cursor:
    need = EventsTable.feed_problem
    if isinstance(position, Position):
        cursor = position.transaction, position.sequence
        if position != Position.START and not await fetch(sql.LOG_REACHES, *cursor, need=need):
            raise PositionNotFoundError(position)
        return cursor
    if position <= 0:
        return 0, 0
    rows = await fetch(sql.FIND_POSITION, position, need=need)
    if not rows:
        raise PositionNotFoundError(position)
    return rows[0]["transaction_id"], position


def _by_direction(options: ReadOptions, forward: str, backward: str) -> str:
    return forward if options.direction is ReadDirection.FORWARD else backward


def _filters(options: ReadOptions) -> tuple[object, ...]:
    tenant = None if options.tenant_id is None else str(options.tenant_id)
    return options.from_timestamp, options.to_timestamp, tenant is None, tenant
