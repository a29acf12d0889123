"""`python -m tests.faults.campaign --runs 20 --seconds 30`: fails on the first broken promise."""

import asyncio
import signal
import sys
from collections import Counter
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from tests.faults.campaign.run import Run
from tests.faults.campaign.sabotage import SABOTAGES


def main(
    runs: Annotated[int, typer.Option(help="How many runs, each with the next seed.")] = 20,
    seconds: Annotated[float, typer.Option(help="How long each run is under fire.")] = 30,
    seed: Annotated[int, typer.Option(help="The first seed; a failed run names its own.")] = 1,
    sabotage: Annotated[
        str, typer.Option(help=f"Break the library first: {', '.join(SABOTAGES)}.")
    ] = "",
    broker: Annotated[
        str, typer.Option(help="table, redis, kafka or rabbitmq; by default another each run.")
    ] = "",
) -> None:
    """Kill everything that writes, publishes, follows and serves, and compare."""
    # Ends as Ctrl-C does, which asyncio turns into a cancellation: servers and files go too.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    console, faults, counts = Console(soft_wrap=True), Counter[str](), Counter[str]()
    with Progress(console=console) as progress:
        task = progress.add_task("Under fire", total=runs)
        for number in range(seed, seed + runs):
            report = asyncio.run(Run(number, seconds, sabotage, broker).go())
            console.print(str(report))
            if report.violations:
                for violation in report.violations[:20]:
                    console.print(f"  [red]{violation}")
                again = f"--runs 1 --seed {number} --broker {report.broker}"
                sys.exit(f"Broken with seed {number}; repeat: {again}")
            faults += report.faults
            counts += report.counts
            progress.advance(task)
    for name, counted in (("Faults", faults), ("Seen", counts)):
        console.print(f"{name}: " + ", ".join(f"{n} {what}" for what, n in counted.most_common()))
    console.print(f"{runs} runs, {sum(faults.values())} faults: nothing broken")


typer.run(main)
