"""A trace as a waterfall: what took how long, below what caused it, and in which service."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from tutorial_support.show.figures import show_svg
from tutorial_support.show.timelines import COLOURS

WIDTH, NAMES, LINE, INDENT = 860, 400, 24, 16


@dataclass(frozen=True, kw_only=True)
class SpanRecord:
    """One span, times in nanoseconds since 1970; `parent_id` is None for the first of a trace."""

    name: str
    service: str
    began_ns: int
    ended_ns: int
    span_id: str
    parent_id: str | None
    trace_id: str
    failed: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def milliseconds(self) -> float:
        return (self.ended_ns - self.began_ns) / 1e6


@dataclass(frozen=True)
class _Row:
    span: SpanRecord
    depth: int


def waterfall(spans: Iterable[SpanRecord], *, alt: str = "", caption: str = "") -> None:
    """Show the spans of a trace, each below its parent; a colour is a service, ✗ is a failure.

    The bars are real times, so the picture differs from run to run. Without `alt` the description
    is written from the same spans. ValueError without spans.
    """
    rows = _rows(list(spans))
    if not rows:
        raise ValueError("There is no span to draw. Was the exporter flushed?")
    show_svg(_svg(rows), alt=alt or _describe(rows), caption=caption, kind="waterfall")


def _rows(spans: list[SpanRecord]) -> list[_Row]:
    known = {span.span_id for span in spans}
    rows: list[_Row] = []

    def add(parent_id: str | None, depth: int) -> None:
        for span in sorted(spans, key=lambda span: (span.began_ns, span.name)):
            own = span.parent_id if span.parent_id in known else None
            if own == parent_id:
                rows.append(_Row(span, depth))
                add(span.span_id, depth + 1)

    add(None, 0)
    return rows


def _describe(rows: list[_Row]) -> str:
    names = {row.span.span_id: row.span.name for row in rows}
    told = [
        f"{row.span.name} of {row.span.service}"
        + (f" below {names[row.span.parent_id]}" if row.depth and row.span.parent_id else "")
        + (", failed" if row.span.failed else "")
        for row in rows
    ]
    return f"Waterfall of {len(rows)} spans, in order: {'; '.join(told)}."


def _svg(rows: list[_Row]) -> str:
    began = min(row.span.began_ns for row in rows)
    length = max(1, max(row.span.ended_ns for row in rows) - began)
    services = list(dict.fromkeys(row.span.service for row in rows))
    height = LINE * (len(rows) + 1) + 8
    legend = "".join(
        f'<rect x="{10 + 120 * number}" y="4" width="12" height="12" rx="2" '
        f'fill="{COLOURS[number % len(COLOURS)]}"/>'
        f'<text x="{28 + 120 * number}" y="15">{escape(service)}</text>'
        for number, service in enumerate(services)
    )
    marks = "".join(
        _mark(number, row, began, length, COLOURS[services.index(row.span.service) % len(COLOURS)])
        for number, row in enumerate(rows)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'style="width:100%;max-width:{WIDTH}px" font-size="12" font-family="sans-serif" '
        f'fill="currentColor">{legend}{marks}</svg>'
    )


def _mark(number: int, row: _Row, began: int, length: int, colour: str) -> str:
    y, room = LINE * (number + 1) + 8, WIDTH - NAMES - 70
    x = NAMES + room * (row.span.began_ns - began) / length
    width = max(2.0, room * (row.span.ended_ns - row.span.began_ns) / length)
    sign = "✗ " if row.span.failed else ""
    return (
        f'<text x="{10 + INDENT * row.depth}" y="{y + 12}">{sign}{escape(row.span.name)}</text>'
        f'<rect x="{x:.1f}" y="{y + 2}" width="{width:.1f}" height="14" rx="2" fill="{colour}"/>'
        f'<text x="{x + width + 5:.1f}" y="{y + 13}" font-size="10">'
        f"{row.span.milliseconds:.1f} ms</text>"
    )
