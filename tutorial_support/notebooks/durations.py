"""What docs/durations.md says: the minutes a notebook promises, and what was measured."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tutorial_support.exercises import Exercise, exercises_of
from tutorial_support.notebooks.files import find, number_of, read, title
from tutorial_support.paths import docs_folder

TABLE = docs_folder() / "durations.md"
_ROW = re.compile(r"^\| +(\d+) \|.*\| ([\d.]+) \|$", re.MULTILINE)
_ROWS = re.compile(r"(?<=\| ---: \| --- \| ---: \| ---: \|\n)(\|.*\n)*")
_VERDICT = re.compile(r"^\| (\d+\.\d+) \|.*" + r"\| ([\d.]+) " * 3 + r"\|$", re.MULTILINE)
_VERDICTS = re.compile(r"(?<=\| ---: \| --- \| ---: \| ---: \| ---: \|\n)(\|.*\n)*")


class Verdicts(NamedTuple):
    """The seconds of an exercise's slowest verdicts."""

    stub: float
    right: float
    wrong: float


def measured(page: str) -> dict[int, float]:
    """The seconds that the page gives, by notebook."""
    return {int(number): float(seconds) for number, seconds in _ROW.findall(page)}


def measured_verdicts(page: str) -> dict[str, Verdicts]:
    """The seconds that the page gives, by exercise."""
    return {name: Verdicts(*map(float, seconds)) for name, *seconds in _VERDICT.findall(page)}


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


def filled_verdicts(
    page: str, exercises: Sequence[Exercise], seconds: Mapping[str, Verdicts]
) -> str:
    """The same for exercises."""
    rows = []
    for each in exercises:
        known = seconds.get(each.id)
        cells = [f"{number:.2f}" for number in known] if known else ["-"] * 3
        rows.append(f"| {each.id} | {each.title} | {' | '.join(cells)} |\n")
    return _VERDICTS.sub(lambda _: "".join(rows), page)


def exercises() -> list[Exercise]:
    """Those of all notebooks, in order."""
    return [each for path in find() for each in exercises_of(number_of(path))]


def record(seconds: Mapping[Path, float], verdicts: Mapping[str, Verdicts] | None = None) -> None:
    """Write the seconds into the page; what was not measured now keeps its own."""
    page = TABLE.read_text("utf-8")
    now = measured(page) | {number_of(path): round(value, 1) for path, value in seconds.items()}
    page = filled(page, find(), now)
    page = filled_verdicts(page, exercises(), measured_verdicts(page) | dict(verdicts or {}))
    TABLE.write_text(page, "utf-8")
