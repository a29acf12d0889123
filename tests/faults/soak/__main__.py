"""`python -m tests.faults.soak run --minutes 30`: fails if anything grows that should not."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.faults.soak import report
from tests.faults.soak.rules import judge
from tests.faults.soak.run import Soak
from tutorial_support.database import DatabaseUnavailable
from tutorial_support.services import ServiceUnavailable

DOCS = Path(__file__).resolve().parents[3] / "docs"
RESULT = Path("build/soak")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def run(
    minutes: Annotated[float, typer.Option(help="How long it is under load.")] = 30,
    rate: Annotated[float, typer.Option(help="Commands a second, in all.")] = 30,
    output: Annotated[Path, typer.Option(help="Where the JSON and the chart go.")] = RESULT,
) -> None:
    """Work as a deployment does for so long, and judge what was seen."""
    console = Console()
    columns = TextColumn("Under load"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=1)
        soak = Soak(minutes * 60, rate, tell=lambda share: progress.update(task, completed=share))
        result = asyncio.run(soak.go())
    findings = judge(result)
    console.print(report.table(findings))
    output.mkdir(parents=True, exist_ok=True)
    report.save(result, output / "soak.json")
    (output / "soak.svg").write_text(report.chart(result), "utf-8")
    console.print(f"Written to {output}")
    if broken := [one.what for one in findings if not one.is_kept]:
        sys.exit(f"Broken: {'; '.join(broken)}")


@app.command()
def publish(measured: Annotated[Path, typer.Argument()] = RESULT / "soak.json") -> None:
    """Put what was seen into the page docs/promises.md."""
    result = report.load(measured)
    (DOCS / "images" / "soak.svg").write_text(report.chart(result), "utf-8")
    page = DOCS / "promises.md"
    page.write_text(report.on_page(page.read_text("utf-8"), result), "utf-8")


if __name__ == "__main__":
    try:
        app()
    except (DatabaseUnavailable, ServiceUnavailable) as error:
        sys.exit(str(error))
