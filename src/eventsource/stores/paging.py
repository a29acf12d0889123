"""Reading long results in pages: flat memory, and nothing held between two pages."""

from collections.abc import AsyncIterator, Awaitable, Callable
from operator import itemgetter
from typing import Any

from eventsource.exceptions import UnreadableEventError
from eventsource.stores.interface import (
    ReadDirection,
    ReadOptions,
    StoredEvent,
    parse_stream_id,
    version_to_start_after,
)

PAGE_ROWS = 1000
_LAST_VERSION = (2**31, "")

Row = Any
Cursor = tuple[Any, ...]
Fetch = Callable[..., Awaitable[list[Row]]]
#: The rows between two cursors, both excluded, and how many at most.
Page = Callable[[Cursor, Cursor, int], Awaitable[list[Row]]]


async def pages(
    page: Page, options: ReadOptions, columns: tuple[str, str], after: Cursor, before: Cursor
) -> AsyncIterator[list[Row]]:
    """The rows between `after` and `before`; the two `columns` of a row are its cursor.

    Page by page: a generator that is resumed for every row would cost as much as the row.
    """
    cursor_of, left = itemgetter(*columns), options.limit
    while left is None or left > 0:
        size = PAGE_ROWS if left is None else min(left, PAGE_ROWS)
        rows = await page(after, before, size)
        yield rows
        if len(rows) < size:
            return
        left = None if left is None else left - size
        if options.direction is ReadDirection.FORWARD:
            after = cursor_of(rows[-1])
        else:
            before = cursor_of(rows[-1])


def stream_pages(
    fetch: Fetch,
    statements: tuple[str, str],
    filters: tuple[object, ...],
    stream_id: str,
    options: ReadOptions,
) -> AsyncIterator[list[Row]]:
    """The rows of one stream by version, or of all streams of a bare id.

    The statements, forward and backward, are given the lower bound of the page, its size, the
    filters, the upper bound, the id and the type.
    """
    of_stream = parse_stream_id(stream_id)
    statement = by_direction(options, *statements)

    async def page(after: Cursor, before: Cursor, size: int) -> list[Row]:
        return await fetch(statement, *after, size, *filters, *before, *of_stream)

    # Pages exclude their bounds, and no type sorts before the empty text.
    start = (max(version_to_start_after(options), 0) + 1, "")
    return pages(page, options, ("version", "aggregate_type"), start, _LAST_VERSION)


def by_direction(options: ReadOptions, forward: str, backward: str) -> str:
    return forward if options.direction is ReadDirection.FORWARD else backward


async def read_until_unreadable(
    stored_events: AsyncIterator[StoredEvent], at_most: int | None = None
) -> tuple[list[StoredEvent], UnreadableEventError | None]:
    """The next events, up to one that cannot be read: the reader is to get those before it."""
    page: list[StoredEvent] = []
    try:
        async for stored in stored_events:
            page.append(stored)
            if len(page) == at_most:
                break
    except UnreadableEventError as error:
        return page, error
    return page, None
