"""`tutorial`: JupyterLab with a running database, and what keeps both in order."""

import asyncio
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from . import console
from .commands import learner, notebooks
from .commands.notebooks import choose
from .database.commands import app as database_commands
from .database.errors import ServerUnavailable
from .database.server import find_server, shared_server
from .database.urls import connection_to
from .doctor import examine
from .paths import jupyter_environment, notebooks_folder, prepare_jupyterlab
from .services.commands import app as service_commands

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Learn event sourcing in Python, on a real PostgreSQL that starts by itself.",
    epilog="Exit codes: 0 when it worked, 1 when it did not, 2 for a command that cannot be meant.",
)
app.add_typer(notebooks.app)
app.add_typer(learner.app)
app.add_typer(database_commands, name="db")
app.add_typer(service_commands, name="services")

Number = Annotated[int | None, typer.Argument(help="The notebook's number.", show_default=False)]


@app.command()
def lab(
    number: Number = None,
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
) -> None:
    """Open JupyterLab on the course's index, or on a notebook, with the database running.

    Ctrl-C ends both.
    """
    root = notebooks_folder().parent
    shown = choose([number])[0] if number is not None else root / "README.md"
    with console.out.status("Starting PostgreSQL ..."):
        asyncio.run(_start_database())
    prepare_jupyterlab()
    # `-y`: the first Ctrl-C ends it. The rest keeps it on this machine, and from calling home.
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "-y",
        # The clone, so that the links to what is beside the notebooks lead somewhere.
        f"--ServerApp.root_dir={root}",
        f"--ServerApp.preferred_dir={notebooks_folder()}",
        f"--LabApp.default_url=/lab/tree/{shown.relative_to(root).as_posix()}",
    ]
    command += ["--ServerApp.ip=127.0.0.1", "--LabApp.news_url=None"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    command += [] if browser else ["--no-browser"]
    command += ["--allow-root"] if sys.platform != "win32" and os.geteuid() == 0 else []
    # In a terminal of JupyterLab you can type `tutorial`.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = os.environ | jupyter_environment() | {"PATH": path}
    if sys.platform == "win32":
        sys.exit(subprocess.run(command, env=environment, check=False).returncode)
    sys.stdout.flush()
    os.execve(command[0], command, environment)


async def _start_database() -> None:
    """Have the database running, for as long as the program that replaces this process runs."""
    server = await find_server()
    async with connection_to(server.url):
        pass
    if (ours := shared_server()) is not None and sys.platform != "win32":
        ours.keep_lease_across_exec()
        ours.request("hurry")


@app.command()
def doctor() -> None:
    """Say what is found, what is missing and what to type; fails when no database can be had."""
    sys.exit(asyncio.run(examine()))


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """A warning is for the reader, who does not care which line of ours gave it."""
    console.errors.print(str(message), style="yellow", markup=False)


def main() -> None:
    warnings.showwarning = _show_warning
    console.print_whatever_can_be_printed()
    try:
        app()
    except ServerUnavailable as error:
        console.fail(error)
    except OSError as error:  # a folder that is closed, a disk that is full
        told = f"{error.filename} cannot be used: {error.strerror}" if error.filename else error
        console.fail(told)
    except KeyboardInterrupt:
        sys.exit(130)
