"""How long each notebook takes: the minutes it promises a reader, the seconds its cells took."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tutorial_support.notebooks.files import find, number_of, read, title
from tutorial_support.paths import docs_folder

TABLE = docs_folder() / "durations.md"
_ROW = re.compile(r"^\| +(\d+) \|.*\| ([\d.]+) \|$", re.MULTILINE)
_ROWS = re.compile(r"(?<=\| ---: \| ---: \|\n)(\|.*\n)*")


def measured(page: str) -> dict[int, float]:
    """The seconds that the page gives, by notebook."""
    return {int(number): float(seconds) for number, seconds in _ROW.findall(page)}


def promised_minutes(path: Path) -> int | None:
    """The minutes under the notebook's title."""
    minutes = re.search(r"\b(\d+) minutes\b", read(path).cells[0].source)
    return int(minutes[1]) if minutes else None


def filled(page: str, paths: Sequence[Path], seconds: Mapping[int, float]) -> str:
    """The page with one row for each notebook, and a dash where nothing was measured."""
    rows = [
        f"| {number_of(path)} | [{title(path)}](../notebooks/{path.name}) "
        f"| {promised_minutes(path)} | {seconds.get(number_of(path), '-')} |\n"
        for path in paths
    ]
    return _ROWS.sub(lambda _: "".join(rows), page)


def record(seconds: Mapping[Path, float]) -> None:
    """Write the seconds into the page; other notebooks keep theirs."""
    page = TABLE.read_text("utf-8")
    now = measured(page) | {number_of(path): round(value, 1) for path, value in seconds.items()}
    TABLE.write_text(filled(page, find(), now), "utf-8")
