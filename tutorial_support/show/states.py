"""An aggregate's state, event by event: as a strip of pictures, or with a slider through time."""

import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from html import escape
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from eventsource import AggregateRoot, DomainEvent
from tutorial_support.show.figures import show_svg
from tutorial_support.show.output import is_live, show_widget
from tutorial_support.show.tables import cell_text, table

ACROSS, WIDTH, GAP, HEAD, LINE, LETTERS = 4, 200, 30, 44, 18, 22
CHANGED = "#0072b2"


@dataclass(frozen=True)
class Moment:
    """The state after one event, as text, and the names of what this event changed."""

    version: int
    event: str
    state: Mapping[str, str]
    changed: frozenset[str]


def strip(
    aggregate: Callable[[UUID], AggregateRoot[Any]],
    events: Iterable[DomainEvent],
    *,
    alt: str = "",
    caption: str = "",
) -> None:
    """Show the state after each event, what that event changed marked with a dot.

    The states are those the aggregate has when the events, or an `EventStream`, are replayed.
    Without `alt` the description is written from the same states.
    """
    seen = moments(aggregate, events)[1:]
    show_svg(_svg(seen), alt=alt or _describe(seen), caption=caption, kind="strip")


def time_travel(
    aggregate: Callable[[UUID], AggregateRoot[Any]],
    events: Iterable[DomainEvent],
    *,
    caption: str = "",
) -> None:
    """Show a slider that goes to any version, in JupyterLab, and all versions as a table.

    The table alone is stored, so it is what readers of an exported page see.
    """
    seen = moments(aggregate, events)
    if is_live():
        show_widget(slider(seen))
    names = dict.fromkeys(name for moment in seen for name in moment.state)
    table(
        [
            {"version": moment.version, "after": moment.event or "nothing yet"}
            | {name: moment.state.get(name, "") for name in names}
            for moment in seen
        ],
        caption=caption,
    )


def moments(
    aggregate: Callable[[UUID], AggregateRoot[Any]], events: Iterable[DomainEvent]
) -> list[Moment]:
    """Version 0, and what replaying each of the events leads to.

    Raises ValueError without events: nobody would know whose state it is.
    """
    history = list(getattr(events, "events", events))
    if not history:
        raise ValueError("There is nothing to show: give at least one event.")
    root = aggregate(history[0].aggregate_id)
    found = [Moment(0, "", _texts(root.state), frozenset())]
    for event in history:
        root.load_from_history([event])
        now, before = _texts(root.state), found[-1].state
        changed = frozenset(name for name in now if now[name] != before.get(name, "NULL"))
        found.append(Moment(root.version, event.event_type, now, changed))
    return found


def slider(seen: list[Moment]) -> Any:
    """The widget: a slider over the versions, and the state at the chosen one."""
    import ipywidgets

    choice = ipywidgets.IntSlider(
        value=seen[-1].version, min=0, max=seen[-1].version, description="version"
    )
    page = ipywidgets.HTML()

    def turn(_: object = None) -> None:
        page.value = _card(seen[choice.value - seen[0].version])

    choice.observe(turn, names="value")
    turn()
    return ipywidgets.VBox([choice, page])


def _texts(state: object) -> dict[str, str]:
    if state is None:
        return {}
    if isinstance(state, BaseModel):
        values = {name: getattr(state, name) for name in type(state).model_fields}
    elif is_dataclass(state) and not isinstance(state, type):
        values = asdict(state)
    else:
        values = dict(state) if isinstance(state, Mapping) else {"state": state}
    return {str(name): cell_text(value) for name, value in values.items()}


def _describe(seen: list[Moment]) -> str:
    told = []
    for moment in seen:
        changes = [f"{n} becomes {text}" for n, text in moment.state.items() if n in moment.changed]
        what = ", ".join(changes) or "nothing changes"
        told.append(f"Version {moment.version}, {moment.event}: {what}.")
    return f"The state after each event. {' '.join(told)}"


def _card(moment: Moment) -> str:
    left = 'style="text-align:left"'
    rows = "".join(
        f'<tr><th scope="row" {left}>{escape(name)}</th><td {left}>{escape(text)}</td>'
        f"<td>{'● changed' if name in moment.changed else ''}</td></tr>"
        for name, text in moment.state.items()
    )
    after = f"after {escape(moment.event)}" if moment.event else "nothing has happened yet"
    return f'<div role="status">version {moment.version}: {after}<table>{rows}</table></div>'


def _svg(seen: list[Moment]) -> str:
    lines = max(sum(map(len, _lines(moment).values())) for moment in seen)
    height = HEAD + LINE * lines + 10
    columns, rows = min(len(seen), ACROSS), -(-len(seen) // ACROSS)
    width, total = columns * (WIDTH + GAP) - GAP + 2, rows * (height + GAP) - GAP + 2
    style = f"width:100%;max-width:{width * 1.15:.0f}px"
    boxes = []
    for number, moment in enumerate(seen):
        down, across = divmod(number, ACROSS)
        boxes.append(_box(moment, 1 + across * (WIDTH + GAP), 1 + down * (height + GAP), height))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total}" style="{style}" '
        f'font-size="13" font-family="sans-serif" fill="currentColor">{"".join(boxes)}</svg>'
    )


def _lines(moment: Moment) -> dict[str, list[str]]:
    """Each field as lines that fit into the box; a value that is too long begins a line."""
    wrap = textwrap.TextWrapper(LETTERS, max_lines=3, placeholder="…", break_on_hyphens=False)
    return {
        name: [whole]
        if len(whole := f"{name}: {text}") <= LETTERS
        else [f"{name}:", *wrap.wrap(text)]
        for name, text in moment.state.items()
    }


def _box(moment: Moment, x: int, y: int, height: int) -> str:
    frame = f'width="{WIDTH}" height="{height}" rx="6" fill="none" stroke="currentColor"'
    parts = [f'<rect x="{x}" y="{y}" {frame} stroke-opacity=".5"/>']
    if moment.version > 1 and x > 1:
        arrow = f"M{x - GAP + 4} {y + 20}h{GAP - 9}m-6 -5l6 5l-6 5"
        parts.append(f'<path d="{arrow}" fill="none" stroke="currentColor"/>')
    parts.append(
        f'<text x="{x + 10}" y="{y + 18}" font-weight="bold">{escape(moment.event)}</text>'
    )
    parts.append(f'<text x="{x + 10}" y="{y + 34}" font-size="11">version {moment.version}</text>')
    line = y + HEAD + 10
    for name, texts in _lines(moment).items():
        weight = ' fill-opacity=".75"'
        if name in moment.changed:
            parts.append(f'<circle cx="{x + 12}" cy="{line - 4}" r="4" fill="{CHANGED}"/>')
            weight = ' font-weight="bold"'
        for text in texts:
            parts.append(f'<text x="{x + 22}" y="{line}"{weight}>{escape(text)}</text>')
            line += LINE
    return "".join(parts)
