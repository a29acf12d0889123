"""The results as a table, as JSON and as a picture."""

import json
import platform
import re
from collections.abc import Iterable
from dataclasses import asdict
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from rich.table import Table

from benchmarks.alone import Alone
from benchmarks.driver import Result
from benchmarks.plan import COMPETITORS, OURS, RAW

END = "<!-- end of table -->"
LOOKS = {
    OURS: ("#0b6e4f", "o"),
    "eventsource-py": ("#b5442c", "s"),
    "eventsourcing": ("#4059ad", "^"),
}


def table(results: Iterable[Result], alone: Iterable[Alone]) -> Table:
    """Ratios to raw asyncpg, with the middle half of the rounds; less is faster."""
    shown = Table(title="Time over raw asyncpg of the same round, median (middle half)")
    shown.add_column("workload")
    shown.add_column("raw", justify="right")
    others = [name for name in COMPETITORS if name != RAW]
    for name in others:
        shown.add_column(name, justify="right")
    shown.add_column("target", justify="right")
    for title, row in _by_title(results).items():
        cells = [_cell(row.get(name)) for name in others]
        shown.add_row(title, _milliseconds(row[RAW]), *cells, f"≤ {row[RAW].target:g}")
    shown.add_section()
    for one in alone:
        cells = [f"{one.value:.2f} {one.unit}".strip(), *[""] * (len(others) - 1)]
        shown.add_row(one.title, "", *cells, f"≤ {one.target:g} {one.unit}".strip())
    return shown


def markdown(results: Iterable[Result], alone: Iterable[Alone]) -> str:
    """The same table for a page; rows that miss their target are marked."""
    others = [name for name in COMPETITORS if name != RAW]
    lines = [
        "| workload | raw asyncpg | " + " | ".join(others) + " | target |",
        "| --- | ---: | " + "---: | " * len(others) + "---: |",
    ]
    for title, row in _by_title(results).items():
        cells = [f"{row[name].median:.2f}" if name in row else "" for name in others]
        if row[OURS].median > row[OURS].target:
            cells[0] += " (over)"
        target = f"≤ {row[RAW].target:g}"
        lines.append(f"| {title} | {_milliseconds(row[RAW])} | {' | '.join(cells)} | {target} |")
    for one in alone:
        value, target = (f"{n:.2f} {one.unit}".strip() for n in (one.value, one.target))
        over = " (over)" if one.value > one.target else ""
        lines.append(f"| {one.title} | | {value}{over} |{' |' * (len(others) - 1)} ≤ {target} |")
    return "\n".join(lines)


def with_table(page: str, rows: str) -> str:
    """The page with this table between its marks."""
    before, _, rest = page.partition("<!-- table -->\n")
    return f"{before}<!-- table -->\n{rows}\n<!-- end of table -->{rest.partition(END)[2]}"


def with_picture(page: str, results: Iterable[Result]) -> str:
    """The page whose picture says in words what it shows now."""
    words = alternative_text(results)
    return re.sub(r"!\[[^\]]*\]\(images/benchmarks", f"![{words}](images/benchmarks", page)


def as_json(
    results: Iterable[Result], alone: Iterable[Alone], versions: dict[str, str]
) -> dict[str, Any]:
    """Everything that was measured, rounds included."""
    return {
        "python": platform.python_version(),
        "versions": versions,
        "results": [asdict(r) | {"median": r.median, "spread": r.spread} for r in results],
        "alone": [asdict(one) for one in alone],
    }


def load(path: Path) -> tuple[list[Result], list[Alone]]:
    """What `as_json` wrote."""
    stored = json.loads(path.read_text("utf-8"))
    names = Result.__dataclass_fields__
    results = [Result(**{k: v for k, v in row.items() if k in names}) for row in stored["results"]]
    return results, [Alone(**row) for row in stored["alone"]]


def alternative_text(results: Iterable[Result]) -> str:
    """The picture in words: each workload with everybody's ratio."""
    rows = [
        f"{title}: "
        + ", ".join(f"{name} {result.median:.1f}" for name, result in row.items() if name != RAW)
        for title, row in _by_title(results).items()
    ]
    return "Times as multiples of raw asyncpg. " + "; ".join(rows) + "."


def chart(results: list[Result]) -> str:
    """An SVG: one line a workload, a mark a competitor, a bar where our target is."""
    rows = _by_title(results)
    with matplotlib.rc_context({"svg.hashsalt": "benchmarks", "svg.fonttype": "none"}):
        figure = Figure(figsize=(8.5, 0.36 * len(rows) + 1.3), layout="constrained")
        axes = figure.subplots()
        for place, row in enumerate(rows.values()):
            axes.plot([row[RAW].target] * 2, [place - 0.3, place + 0.3], color="#888888", lw=2)
            for name, (colour, marker) in LOOKS.items():
                if name in row:
                    axes.plot(row[name].spread, [place, place], color=colour, lw=1.5, alpha=0.5)
                    axes.plot(row[name].median, place, marker, color=colour, ms=6)
        for name, (colour, marker) in LOOKS.items():
            axes.plot([], [], marker, color=colour, label=name)
        axes.plot([], [], color="#888888", lw=2, label="our target")
        axes.axvline(1, color="#bbbbbb", lw=1, ls=":")
        axes.set_xscale("log")
        axes.set_xticks([1, 2, 3, 5, 10, 20, 50], ["1", "2", "3", "5", "10", "20", "50"])
        axes.set_xlim(left=0.6)
        axes.minorticks_off()
        axes.set_yticks(range(len(rows)), list(rows))
        axes.invert_yaxis()
        axes.set_xlabel("time over raw asyncpg (logarithmic; further left is faster)")
        axes.legend(loc="upper center", bbox_to_anchor=(0.4, 1.13), ncols=4, frameon=False)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        buffer = StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    start = svg.index("<svg")
    words = escape(alternative_text(results), quote=True)
    return svg[start:].replace(
        "<svg", f'<svg role="img" aria-label="{words}" style="background:white"', 1
    )


def _by_title(results: Iterable[Result]) -> dict[str, dict[str, Result]]:
    rows: dict[str, dict[str, Result]] = {}
    for result in results:
        rows.setdefault(result.title, {})[result.competitor] = result
    return {
        title: {name: row[name] for name in COMPETITORS if name in row}
        for title, row in rows.items()
    }


def _cell(result: Result | None) -> str:
    if result is None:
        return "-"
    low, high = result.spread
    over = result.competitor == OURS and result.median > result.target
    text = f"{result.median:.2f} ({low:.2f} to {high:.2f})"
    return f"[yellow]{text}[/]" if over else text


def _milliseconds(result: Result) -> str:
    fastest = min(result.seconds) / result.operations * 1000
    return f"{fastest:.1f} ms" if fastest >= 1 else f"{fastest:.2f} ms"
