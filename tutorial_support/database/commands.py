"""`tutorial db`: look at the database server, keep it running, stop it, start over."""

import asyncio
import os
import signal
import subprocess
import sys
from typing import Annotated

import typer
from rich.table import Table
from sqlalchemy import URL

from .. import console
from ..paths import cache_folder
from . import programs
from .choice import find_programs, named_url
from .cluster import Cluster
from .databases import COURSE_DATABASE, create_kept, drop_kept, sizes
from .postgresql_server import PostgreSQLServer
from .server import SEED_PORT, Server, find_server, seed_server, shared_server
from .urls import connection_to

NOT_RUNNING = 3  # what service managers answer as well
app = typer.Typer(no_args_is_help=True, help="The PostgreSQL server of the notebooks.")
Port = Annotated[
    int | None,
    typer.Option(min=1024, max=65535, help="Listen here, not anywhere.", show_default=False),
]
Seed = Annotated[
    bool,
    typer.Option(
        "--seed-credentials",
        help="A server apart from the notebooks', with the address of the written examples: "
        "postgresql+asyncpg://postgres:postgres@localhost:5432/eventsource_tutorial",
    ),
]


def ours() -> list[PostgreSQLServer]:
    """The servers the course may stop and reset. Fails where you named one of your own."""
    shared = shared_server()
    if shared is None:
        console.fail(
            "TUTORIAL_DATABASE_URL names a server of your own, which the course neither starts nor "
            "stops.\nTo use the course's own server:  unset TUTORIAL_DATABASE_URL"
        )
    return [shared, seed_server()] if isinstance(shared, Cluster) else [shared]


@app.command()
def status() -> None:
    """Say whether the server runs, and what is on it. Exit code 3 when none runs."""
    named = named_url()
    if named is not None:
        asyncio.run(_show(named, "the server of TUTORIAL_DATABASE_URL"))
        return
    running = [(server, url) for server in ours() if (url := server.url())]
    for server, url in running:
        asyncio.run(_show(url, str(server.folder)))
    if not running:
        console.out.print("No server is running. It starts when a notebook needs it, or by:")
        console.out.print("    tutorial db start")
        sys.exit(NOT_RUNNING)


async def _show(url: URL, where: str) -> None:
    async with connection_to(url) as connection:
        version = await connection.fetchval("SHOW server_version")
        databases = await sizes(connection)
    console.out.print(f"PostgreSQL {version} runs at {url.host}:{url.port or 5432} ({where})")
    table = Table("database", "size", box=None)
    for name, size in databases:
        table.add_row(name, size)
    console.out.print(table)


@app.command()
def start(port: Port = None, seed_credentials: Seed = False) -> None:
    """Start the server and keep it running until `tutorial db stop`."""
    server = seed_server(port or SEED_PORT) if seed_credentials else ours()[0]
    if not isinstance(server, Cluster) and port:
        console.fail("--port needs PostgreSQL's programs: make install", code=2)
    if isinstance(server, Cluster):
        server.port = port or server.port
    location = asyncio.run(_start(server))
    if port and location.port != port:
        console.fail(
            f"The server runs already, at port {location.port}. To move it:\n"
            f"    tutorial db stop && tutorial db start --port {port}"
        )
    console.out.print("PostgreSQL runs until you type:  tutorial db stop")
    seed_url = location.set(host="localhost").render_as_string(hide_password=False)
    console.out.print(f"Its URL:  {seed_url if seed_credentials else 'tutorial db url'}")


async def _start(server: PostgreSQLServer) -> URL:
    with console.out.status("Starting PostgreSQL ..."):
        location = await server.join()
        server.request("hold")
        return await create_kept(Server(location, server.folder / "runs"), COURSE_DATABASE)


@app.command()
def stop() -> None:
    """Stop the server, even if notebooks use it. Kept databases stay on the disk."""
    stopped = [server for server in ours() if asyncio.run(server.stop())]
    console.out.print("Stopped." if stopped else "No server was running.")


@app.command()
def url() -> None:
    """Print the URL of a lasting database with the course's schema, for programs of your own."""
    named = named_url()
    if named is None and not any(server.url() for server in ours()):
        console.fail("No server is running. Start it:  tutorial db start")
    print((named or asyncio.run(_course_database())).render_as_string(hide_password=False))


async def _course_database() -> URL:
    """The lasting database, on the notebooks' server if that runs, else on the other one."""
    server = next(server for server in ours() if server.url())
    location = await server.join()
    return await create_kept(Server(location, server.folder / "runs"), COURSE_DATABASE)


@app.command()
def psql(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="More for psql, after `--`: -- -c 'SELECT 1'", show_default=False),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(help=f"Its name in `tutorial db status`; {COURSE_DATABASE} without."),
    ] = None,
) -> None:
    """Open PostgreSQL's terminal on a database, starting the server if need be."""
    program = programs.psql(find_programs())
    if program is None:
        console.fail("There is no psql. Install it:  apt-get install postgresql-client")
    location = asyncio.run(_location(database))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is psql's
    done = subprocess.run(
        [program, *(arguments or [])], env=_psql_environment(location), check=False
    )
    sys.exit(done.returncode)


async def _location(database: str | None) -> URL:
    server = await find_server()
    async with connection_to(server.url):
        pass
    if database is not None:
        return server.url.set(database=database)
    return named_url() or await create_kept(server, COURSE_DATABASE)


def _psql_environment(location: URL) -> dict[str, str]:
    """The address for psql, where no list of processes shows the password."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    address = {
        "PGHOST": location.host or location.query.get("host"),
        "PGPORT": location.port and str(location.port),
        "PGUSER": location.username,
        "PGPASSWORD": location.password,
        "PGDATABASE": location.database,
        "PGSSLMODE": location.query.get("ssl"),
        "PSQL_HISTORY": str(folder / "psql_history"),
    }
    return os.environ | {name: str(value) for name, value in address.items() if value}


@app.command()
def reset(
    database: Annotated[
        str | None, typer.Argument(help="Only this kept database.", show_default=False)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Throw data away: one kept database, or the server with everything on it."""
    what = f"the database {database}" if database else "the course's server and all databases on it"
    if not yes and not typer.confirm(console.printable(f"Throw away {what}?")):
        console.fail("Nothing was thrown away.")
    if database:
        asyncio.run(_reset(database))
    else:
        for server in ours():
            asyncio.run(server.stop())
            server.forget()
    console.out.print(f"Gone: {what}.")


async def _reset(database: str) -> None:
    server = await find_server()
    async with connection_to(server.url) as connection:
        if not await drop_kept(connection, database):
            there = "\n".join(f"    {name}" for name, _ in await sizes(connection)) or "    (none)"
            console.fail(f"There is no database {database} of the course. There are:\n{there}")
