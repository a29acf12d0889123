"""`python -m benchmarks`: measure, and write the table, the JSON and the chart."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import report
from benchmarks.alone import Alone, growth_and_memory, import_ratios
from benchmarks.course import measure_course
from benchmarks.driver import Result, WorkerFailedError, measure
from benchmarks.peers import python_of, version_of
from benchmarks.plan import COMPETITORS, workloads
from benchmarks.verdicts import measure_verdicts
from tutorial_support.database import DatabaseUnavailable
from tutorial_support.notebooks import durations, find, number_of

DOCS = Path(__file__).resolve().parent.parent / "docs"
ROUNDS, QUICK_ROUNDS = 11, 2
Output = Annotated[Path, typer.Option(help="Where the JSON and the chart go.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console()


@app.command()
def library(
    quick: Annotated[bool, typer.Option(help="Under two minutes, and rough.")] = False,
    output: Output = Path("build/benchmarks"),
) -> None:
    """Compare the library with raw asyncpg and with peers from PyPI."""
    with console.status("Installing the peers, each in its own environment ..."):
        versions = {name: version_of(name, python_of(name)) for name in COMPETITORS}
    results, alone = asyncio.run(_measure(quick))
    console.print(report.table(results, alone))
    output.mkdir(parents=True, exist_ok=True)
    stored = report.as_json(results, alone, versions)
    (output / "benchmarks.json").write_text(json.dumps(stored, indent=1) + "\n", "utf-8")
    (output / "benchmarks.svg").write_text(report.chart(results), "utf-8")
    console.print(f"Written to {output}")


@app.command()
def course(output: Output = Path("build/benchmarks")) -> None:
    """Measure what a learner waits for: imports, the database, all notebooks."""
    measured = asyncio.run(measure_course(console))
    output.mkdir(parents=True, exist_ok=True)
    (output / "course.json").write_text(json.dumps(measured, indent=1) + "\n", "utf-8")


@app.command()
def verdicts(
    numbers: Annotated[list[int] | None, typer.Argument(help="Notebooks; all without.")] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Write the seconds into docs/durations.md.")
    ] = False,
) -> None:
    """Measure how long the check of each exercise takes, for every answer that the course has."""
    paths = [path for path in find() if not numbers or number_of(path) in numbers]
    measured = measure_verdicts(paths, console)
    if record:
        durations.record({}, measured)


@app.command()
def publish(
    measured: Annotated[Path, typer.Argument(exists=True, dir_okay=False)] = Path(
        "build/benchmarks/benchmarks.json"
    ),
) -> None:
    """Put what `library` measured into the page docs/performance.md."""
    results, alone = report.load(measured)
    (DOCS / "images" / "benchmarks.svg").write_text(report.chart(results), "utf-8")
    page = DOCS / "performance.md"
    text = report.with_table(page.read_text("utf-8"), report.markdown(results, alone))
    page.write_text(report.with_picture(text, results), "utf-8")


async def _measure(quick: bool) -> tuple[list[Result], list[Alone]]:
    plan, rounds = workloads(quick=quick), QUICK_ROUNDS if quick else ROUNDS
    columns = BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
    results: list[Result] = []
    with Progress(*columns, console=console) as progress:
        steps = sum(len(workload.who) for workload in plan) * (rounds + 1)
        task = progress.add_task("Starting PostgreSQL", total=steps)

        def advance(description: str) -> None:
            progress.update(task, advance=1, description=description)

        async for rows in measure(plan, rounds, advance):
            results += rows
    with console.status("Imports, a large table, memory ..."):
        rows_in_table = 100_000 if quick else 1_000_000
        alone = [*import_ratios(rounds), *await growth_and_memory(rows_in_table, rounds)]
    return results, alone


if __name__ == "__main__":
    try:
        app()
    except (DatabaseUnavailable, WorkerFailedError) as error:
        sys.exit(str(error))
