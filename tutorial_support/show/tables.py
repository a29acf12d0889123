"""Rows as small HTML tables whose text is stable: short ids, UTC times, compact JSON."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from pydantic import BaseModel

from eventsource import DomainEvent
from tutorial_support.show.output import Place, can_replace, emit, running_cell

if TYPE_CHECKING:
    import pandas as pd


class Fetches(Protocol):
    """Whatever can run a query and return its rows: the database of a notebook."""

    async def fetch(self, query: str, /, *args: Any) -> Sequence[Mapping[str, Any]]: ...


class ShownRows:
    """The rows of a table already on the page: as the last line of its own cell it adds nothing.

    Whatever else is asked of it, the pandas frame of the rows answers. The frame is made only then:
    importing pandas takes half a second, and most tables are only looked at.
    """

    def __init__(self, records: list[dict[str, Any]], columns: list[str]) -> None:
        self._records, self._columns, self._shown_in = records, columns, running_cell()

    @cached_property
    def frame(self) -> "pd.DataFrame":
        """The rows, with pandas' own types, as `infer_objects` chooses them."""
        import pandas as pd

        return pd.DataFrame(self._records, columns=self._columns, dtype=object).infer_objects()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)  # IPython and copy ask for dozens of these
        return getattr(self.frame, name)

    def __getitem__(self, key: Any) -> Any:
        return self.frame[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.frame)

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        return repr(self.frame)

    def _ipython_display_(self) -> None:
        if self._shown_in != running_cell():
            table(self)


def table(rows: "Iterable[Any] | pd.DataFrame", *, caption: str = "") -> ShownRows:
    """Show rows (mappings, dataclasses, pydantic models or a frame) and return them as a frame.

    UUIDs show their first eight characters, times `YYYY-MM-DD HH:MM:SS` in UTC, None as NULL.
    """
    return _show(rows, caption)


@contextmanager
def live_table(rows: Iterable[Any], caption: Callable[[], str]) -> Iterator[Callable[[], None]]:
    """Show rows that will change, and give the function that shows how they are now.

    Each showing replaces the one before; the last is that of the block's end, however it ends. A
    terminal, where nothing can be replaced, gets that one alone.
    """
    place = Place()

    def show() -> None:
        _show(rows, caption(), place.emit)

    changes = can_replace()
    try:
        if changes:
            show()
        yield show if changes else lambda: None
    finally:
        show()


def _show(
    rows: "Iterable[Any] | pd.DataFrame", caption: str, show: Callable[[str, str], None] = emit
) -> ShownRows:
    records = [*map(_record, _rows_of(rows) if hasattr(rows, "to_dict") else rows)]
    columns = list(dict.fromkeys(name for record in records for name in record))
    cells = [[cell_text(record.get(name)) for name in columns] for record in records]
    numeric = [_is_number([record.get(name) for record in records]) for name in columns]
    show(_html(columns, cells, numeric, caption), _plain(columns, cells, caption))
    return ShownRows(records, columns)


async def sql(db: Fetches, query: str, *args: Any, caption: str = "") -> ShownRows:
    """Run a query with bound parameters ($1, $2, ...), show its rows and return them as a frame."""
    return table(await db.fetch(query, *args), caption=caption)


def stream(events: Iterable[Any], *, caption: str = "", times: bool = True) -> ShownRows:
    """Show what is in a stream, one event a row: its version, type, time and own fields.

    Takes events, stored events (the position in the log is shown as well) or an `EventStream`.
    Leave out times that are those of the run: the page would change with every run.
    """
    rows = [_event_row(item) for item in getattr(events, "events", events)]
    if not times:
        for row in rows:
            del row["occurred at"]
    return table(rows, caption=caption)


def cell_text(value: Any) -> str:
    """The text a value has in a table cell."""
    match value:
        case None:
            text = "NULL"
        case UUID():
            text = str(value)[:8]
        case datetime():
            moment = value.astimezone(UTC) if value.tzinfo else value
            text = "NULL" if str(value) == "NaT" else f"{moment:%Y-%m-%d %H:%M:%S}"  # of pandas
        case Enum():
            text = str(value.value)
        case bytes() | memoryview():
            text = f"\\x{bytes(value).hex()}"
        case dict() | list() | tuple():
            text = json.dumps(_keys_as_text(value), default=cell_text, ensure_ascii=False)
        case _:
            text = str(value)
    return text


def _keys_as_text(value: Any) -> Any:
    """JSON objects have text for keys: a UUID is shortened there as well."""
    if isinstance(value, dict):
        return {cell_text(key): _keys_as_text(item) for key, item in value.items()}
    return [*map(_keys_as_text, value)] if isinstance(value, list | tuple) else value


def _rows_of(frame: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return rows


def _record(row: Any) -> dict[str, Any]:
    if isinstance(row, BaseModel):
        return {name: getattr(row, name) for name in type(row).model_fields}
    if is_dataclass(row) and not isinstance(row, type):
        return asdict(row)
    return {str(name): row[name] for name in row.keys()}  # noqa: SIM118  # a sqlite3.Row too


def _event_row(item: Any) -> dict[str, Any]:
    event: DomainEvent = getattr(item, "event", item)
    own = [name for name in type(event).model_fields if name not in DomainEvent.model_fields]
    row = {"position": item.global_position} if hasattr(item, "global_position") else {}
    return row | {
        "version": event.aggregate_version,
        "event": event.event_type,
        "occurred at": event.occurred_at,
        "says": ", ".join(f"{name}={cell_text(getattr(event, name))}" for name in own),
    }


def _is_number(values: list[Any]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(type(value) in {int, float, Decimal} for value in known)


def _html(columns: list[str], cells: list[list[str]], numeric: list[bool], caption: str) -> str:
    align = ["right" if number else "left" for number in numeric]

    def row(tag: str, texts: list[str], scope: str = "") -> str:
        return "".join(
            f'<{tag}{scope} style="text-align:{side}">{escape(text)}</{tag}>'
            for text, side in zip(texts, align, strict=True)
        )

    label = escape(caption) or "Table"
    title = f'<caption style="caption-side:top;text-align:left">{label}</caption>'
    head = row("th", columns, ' scope="col"')
    body = "\n".join(f"<tr>{row('td', texts)}</tr>" for texts in cells)
    return (
        f'<div role="group" tabindex="0" aria-label="{label}" style="overflow-x:auto">\n'
        f"<table>{title if caption else ''}<thead><tr>{head}</tr></thead>\n"
        f"<tbody>{body}</tbody></table>{'' if cells else '<p>no rows</p>'}\n</div>"
    )


def _plain(columns: list[str], cells: list[list[str]], caption: str) -> str:
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in [columns, *cells]
    ]
    return "\n".join(([caption] if caption else []) + (lines if cells else ["no rows"]))
