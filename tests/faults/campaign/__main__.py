"""`python -m tests.faults.campaign --runs 20 --seconds 30`: fails on the first broken promise."""

import asyncio
import sys
from collections import Counter
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from tests.faults.campaign.run import SABOTAGES, Run


def main(
    runs: Annotated[int, typer.Option(help="How many runs, each with the next seed.")] = 20,
    seconds: Annotated[float, typer.Option(help="How long each run is under fire.")] = 30,
    seed: Annotated[int, typer.Option(help="The first seed; a failed run names its own.")] = 1,
    sabotage: Annotated[
        str, typer.Option(help=f"Break the library first: {', '.join(SABOTAGES)}.")
    ] = "",
) -> None:
    """Kill writers, publishers, projections, snapshotters and PostgreSQL, and compare."""
    console, faults, events = Console(), Counter[str](), 0
    with Progress(console=console) as progress:
        task = progress.add_task("Under fire", total=runs)
        for number in range(seed, seed + runs):
            report = asyncio.run(Run(number, seconds, sabotage).go())
            console.print(str(report))
            if report.violations:
                for violation in report.violations[:20]:
                    console.print(f"  [red]{violation}")
                sys.exit(f"Broken with --seed {number}; repeat: --runs 1 --seed {number}")
            faults += report.faults
            events += report.events
            progress.advance(task)
    console.print(f"{runs} runs, {sum(faults.values())} faults, {events} events: nothing broken")


typer.run(main)
