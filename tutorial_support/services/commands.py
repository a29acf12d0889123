"""`tutorial services`: which brokers there are, and which run; stop those."""

import asyncio

import typer
from rich.table import Table

from .. import console
from .kinds import KINDS, Kind
from .server import shared_service

app = typer.Typer(
    no_args_is_help=True, help="The Redis, Kafka and RabbitMQ servers of tutorials 17 to 20."
)


@app.command()
def status() -> None:
    """Say where each server comes from, and whether it runs. A notebook starts what it needs."""
    table = Table("server", "state", box=None)
    table.add_column("program", overflow="fold")
    for kind in KINDS.values():
        table.add_row(kind.name, *_state(kind))
    console.out.print(table)


def _state(kind: Kind) -> tuple[str, str]:
    if kind.named:
        return "yours", f"{kind.variable} names it"
    if shared_service(kind).is_supervised():
        return "runs", str(kind.source)
    found = kind.source
    return ("ready", found) if found else ("missing", kind.nothing_found())


@app.command()
def stop() -> None:
    """Stop the servers, even if notebooks use them. They keep nothing."""
    running = [kind for kind in KINDS.values() if asyncio.run(shared_service(kind).stop())]
    names = ", ".join(kind.name for kind in running)
    console.out.print(f"Stopped: {names}." if names else "No server was running.")
