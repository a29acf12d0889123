"""The verdict as a table, as JSON, as Markdown and as a picture."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from html import escape
from io import StringIO
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from rich.table import Table

from tests.faults.soak.rules import Finding, judge, rates
from tests.faults.soak.run import Result
from tests.faults.soak.sample import Sample

TABLE = "<!-- soak -->\n", "\n<!-- end of soak -->"
COLOURS = ("#0b6e4f", "#b5442c", "#4059ad", "#8a6d00", "#6a3d9a", "#444444")
STYLES = ("-", "--", ":", "-.")
A_MINUTE = 60


def table(findings: Iterable[Finding]) -> Table:
    shown = Table(title="Early is the second fifth of the run, late the last")
    for name in ("", "early", "late", "limit"):
        shown.add_column(name, justify="left" if name in ("", "limit") else "right")
    for one in findings:
        row = one.what, one.early, one.late, one.limit
        shown.add_row(*row, style=None if one.is_kept else "bold red")
    return shown


def markdown(findings: Iterable[Finding]) -> str:
    broken = {True: "", False: " (broken)"}
    rows = [
        f"| {one.what} | {one.early} | {one.late} | {one.limit}{broken[one.is_kept]} |"
        for one in findings
    ]
    return "\n".join(["| | early | late | limit |", "| --- | ---: | ---: | --- |", *rows])


def save(result: Result, path: Path) -> None:
    path.write_text(json.dumps(asdict(result)) + "\n", "utf-8")


def load(path: Path) -> Result:
    stored = json.loads(path.read_text("utf-8"))
    samples = [Sample(**sample) for sample in stored.pop("samples")]
    return Result(samples=samples, **stored)


def on_page(page: str, result: Result) -> str:
    """The page with this run's table between its marks, and its picture in words."""
    begin, end = TABLE
    before, _, rest = page.partition(begin)
    page = f"{before}{begin}{markdown(judge(result))}{end}{rest.partition(end)[2]}"
    words = alternative_text(result)
    return re.sub(r"!\[[^\]]*\]\(images/soak", lambda _: f"![{words}](images/soak", page)


def alternative_text(result: Result) -> str:
    """The picture in words."""
    samples = result.samples[len(result.samples) // 5 :]
    speeds = _by_minute(samples)
    sizes = [sum(v for n, v in s.memory.items() if "backend" not in n) for s in samples]
    connections = [sample.connections for sample in samples]
    lags = [max([*sample.lag.values(), sample.outbox_age]) for sample in samples]
    return (
        f"Four charts over {result.seconds / A_MINUTE:.0f} minutes. After the first fifth there "
        f"were {min(speeds):.0f} to {max(speeds):.0f} commands a second by the minute; the "
        f"programs and Redis together took {sizes[0]:.0f} MiB first and {sizes[-1]:.0f} MiB last; "
        f"{min(connections)} to {max(connections)} connections were open; no subscriber, consumer "
        f"or outbox was ever more than {max(lags):.1f} seconds behind."
    )


def chart(result: Result) -> str:
    """An SVG: throughput, memory, connections and lag, one above the other."""
    minutes = [sample.seconds / A_MINUTE for sample in result.samples]
    with matplotlib.rc_context({"svg.hashsalt": "soak", "svg.fonttype": "none"}):
        figure = Figure(figsize=(8.5, 9), layout="constrained")
        speed, memory, connections, lag = figure.subplots(
            4, sharex=True, height_ratios=(2, 4, 1.5, 2)
        )
        speed.plot(minutes[1:], rates(result.samples), color=COLOURS[0], lw=1)
        speed.axhline(result.rate, color="#888888", lw=1, ls=":", label="asked for")
        speed.set_ylabel("commands a second")
        speed.legend(loc="lower right", frameon=False)
        _lines(memory, minutes, [sample.memory for sample in result.samples])
        memory.set_ylabel("memory, MiB")
        connections.plot(minutes, [s.connections for s in result.samples], color=COLOURS[0], lw=1)
        connections.set_ylabel("connections")
        late = [s.lag | {"outbox": s.outbox_age} for s in result.samples]
        _lines(lag, minutes, late)
        lag.set_ylabel("seconds behind")
        lag.set_xlabel("minutes")
        for axes in (speed, memory, connections, lag):
            axes.set_ylim(bottom=0)
            axes.axvspan(0, minutes[-1] / 5, color="#eeeeee", lw=0)
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)
        buffer = StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    words = escape(alternative_text(result), quote=True)
    head = f'<svg role="img" aria-label="{words}" style="background:white"'
    return svg[svg.index("<svg") :].replace("<svg", head, 1)


def _lines(axes: matplotlib.axes.Axes, x: Sequence[float], rows: list[dict[str, float]]) -> None:
    names = {name: None for row in rows for name in row}
    for number, name in enumerate(names):
        look = {
            "color": COLOURS[number % len(COLOURS)],
            "ls": STYLES[number // len(COLOURS) % len(STYLES)],
        }
        axes.plot(x, [row.get(name, 0.0) for row in rows], lw=1, label=name, **look)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize="small")


def _by_minute(samples: Sequence[Sample]) -> list[float]:
    minutes: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        minutes[int(sample.seconds // A_MINUTE)].append(sample)
    whole = [part for part in minutes.values() if len(part) > 1]
    return [rates([part[0], part[-1]])[0] for part in whole]
