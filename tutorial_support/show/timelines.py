"""Sessions side by side, time running down: drawn from the steps that really happened."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from tutorial_support.lab import Step, Steps
from tutorial_support.show.figures import show_svg

# Told apart by readers with any colour vision, and at least 3:1 on white and on JupyterLab's dark.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b3598b")
COLUMN, LINE, GAP = 230, 17, 11


def timeline(steps: Steps | Sequence[Step], *, alt: str = "", caption: str = "") -> None:
    """Show who did what in which order; a bar is a step during which others went on.

    Rows are the order of events, not seconds, so the picture is the same on every run. Without
    `alt` the description is written from the same steps.
    """
    rows = _rows(list(steps))
    sessions = list(dict.fromkeys(row.session for row in rows))
    svg = _svg(rows, sessions)
    show_svg(svg, alt=alt or _describe(rows, sessions), caption=caption, kind="timeline")


@dataclass
class _Row:
    session: str
    label: str
    failed: bool = False
    until: int | None = None  # index of the row in which a long step ends
    top: int = 0

    @property
    def lines(self) -> list[str]:
        return textwrap.wrap(("✗ " if self.failed else "") + self.label, 29) or [""]


def _rows(steps: list[Step]) -> list[_Row]:
    ticks: dict[int, _Row] = {}
    for step in steps:
        ended = f"{step.label}: {step.error}" if step.error else step.label
        if step.ended <= step.began + 1:
            ticks[step.began] = _Row(step.session, ended, failed=bool(step.error))
        else:
            ticks[step.began] = _Row(step.session, f"{step.label} …", until=step.ended)
            ticks[step.ended] = _Row(step.session, step.error or "… done", failed=bool(step.error))
    order = sorted(ticks)
    for row in ticks.values():
        row.until = None if row.until is None else order.index(row.until)
    return [ticks[tick] for tick in order]


def _describe(rows: list[_Row], sessions: list[str]) -> str:
    told = [
        f"{number}. {row.session}: {'fails, ' if row.failed else ''}{row.label}"
        for number, row in enumerate(rows, 1)
    ]
    return f"Timeline of {' and '.join(sessions)}, in order. {'; '.join(told)}."


def _svg(rows: list[_Row], sessions: list[str]) -> str:
    height = 34
    for row in rows:
        row.top = height
        height += LINE * len(row.lines) + GAP
    width = COLUMN * len(sessions)
    style = f"width:100%;max-width:{width * 1.3:.0f}px"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" style="{style}" ',
        'font-size="13" font-family="sans-serif" fill="currentColor">',
    ]
    for index, session in enumerate(sessions):
        x = index * COLUMN + 10
        lane = f'd="M{x} 26V{height - 6}" stroke="currentColor" stroke-opacity=".4" fill="none"'
        parts.append(f'<text x="{x - 6}" y="16" font-weight="bold">{escape(session)}</text>')
        parts.append(f"<path {lane}/>")
    for row in rows:
        index = sessions.index(row.session)
        parts.append(_mark(row, rows, index * COLUMN + 10, COLOURS[index % len(COLOURS)]))
    return "".join([*parts, "</svg>"])


def _mark(row: _Row, rows: list[_Row], x: int, colour: str) -> str:
    y = row.top + 8
    shape = f'<circle cx="{x}" cy="{y}" r="5" fill="{colour}"/>'
    if row.failed:
        cross = f"M{x - 5} {y - 5}l10 10m0 -10l-10 10"
        shape = f'<path d="{cross}" stroke="{colour}" stroke-width="3" fill="none"/>'
    if row.until is not None:
        length = rows[row.until].top - row.top
        box = f'x="{x - 4}" y="{y}" width="8" height="{length}" rx="4"'
        shape += f'<rect {box} fill="{colour}" fill-opacity=".55"/>'
    texts = "".join(
        f'<text x="{x + 12}" y="{y + 4 + LINE * line}">{escape(text)}</text>'
        for line, text in enumerate(row.lines)
    )
    return shape + texts
