"""Which event led to which, drawn from the ids that the events carry."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from uuid import UUID

from eventsource import DomainEvent
from tutorial_support.show.figures import show_svg
from tutorial_support.show.tables import cell_text
from tutorial_support.show.timelines import COLOURS

INDENT, LINE = 44, 34


@dataclass(frozen=True)
class _Row:
    event: DomainEvent
    depth: int
    cause: int | None  # the row of the event that led to this one


def causes(events: Iterable[DomainEvent], *, alt: str = "", caption: str = "") -> None:
    """Show each event under the one that caused it; a colour is a correlation id.

    An event whose cause is not among these begins a tree of its own. Without `alt` the description
    is written from the same ids.
    """
    rows = _rows(list(events))
    show_svg(_svg(rows), alt=alt or _describe(rows), caption=caption, kind="causes")


def _rows(events: list[DomainEvent]) -> list[_Row]:
    known = {event.event_id for event in events}
    rows: list[_Row] = []

    def add(event: DomainEvent, depth: int, cause: int | None) -> None:
        rows.append(_Row(event, depth, cause))
        here = len(rows) - 1
        for effect in events:
            if effect.is_caused_by(event):
                add(effect, depth + 1, here)

    for event in events:
        if event.causation_id not in known:
            add(event, 0, None)
    return rows


def _describe(rows: list[_Row]) -> str:
    return " ".join(_sentences(rows))


def _sentences(rows: list[_Row]) -> Iterator[str]:
    for number, row in enumerate(rows):
        effects = [each.event.event_type for each in rows if each.cause == number]
        if effects:
            yield f"{row.event.event_type} led to {' and '.join(effects)}."
        elif row.cause is None:
            yield f"{row.event.event_type} stands alone."
    stories = len({row.event.correlation_id for row in rows})
    yield f"{stories} correlation id{'s' if stories > 1 else ''} in all."


def _svg(rows: list[_Row]) -> str:
    stories = list(dict.fromkeys(row.event.correlation_id for row in rows))
    width = 360 + INDENT * max((row.depth for row in rows), default=0)
    height = LINE * len(rows) + 4
    style = f"width:100%;max-width:{width * 1.2:.0f}px"
    marks = "".join(_mark(number, row, stories) for number, row in enumerate(rows))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" style="{style}" '
        f'font-size="13" font-family="sans-serif" fill="currentColor">{marks}</svg>'
    )


def _mark(number: int, row: _Row, stories: list[UUID]) -> str:
    x, y = 10 + INDENT * row.depth, 16 + LINE * number
    colour = COLOURS[stories.index(row.event.correlation_id) % len(COLOURS)]
    line = ""
    if row.cause is not None:
        start = 16 + LINE * row.cause + 8
        path = f"M{x - INDENT} {start}V{y}h{INDENT - 10}m-6 -5l6 5l-6 5"
        line = f'<path d="{path}" fill="none" stroke="currentColor" stroke-opacity=".6"/>'
    story = f"correlation {cell_text(row.event.correlation_id)}"
    return (
        f'{line}<circle cx="{x}" cy="{y}" r="6" fill="{colour}"/>'
        f'<text x="{x + 14}" y="{y + 5}"><tspan font-weight="bold">{escape(row.event.event_type)}'
        f'</tspan><tspan dx="10" font-size="11">{story}</tspan></text>'
    )
