"""`tutorial doctor`: what is found, what is missing, what to type."""

import importlib.util
import platform
import shutil
import time
from collections.abc import Callable

from rich.table import Table

from . import console
from .database import DatabaseUnavailable, open_database
from .database.account import server_account
from .database.choice import chosen, find_programs, named_url
from .database.container import engine_version
from .database.programs import WHEEL, Programs, embedded, local
from .database.server import server_home
from .paths import cache_folder
from .services import KINDS

ROOM_BYTES = 500_000_000
FOUND, MISSING, ATTENTION = "[green]found[/]", "[dim]no[/]", "[yellow]look[/]"


async def examine() -> int:
    """Print the findings, then try to have a database. Returns the exit code."""
    table = Table("what", "", box=None)
    table.add_column("details", overflow="fold")
    for name, look in CHECKS.items():
        try:
            mark, details = look()
        except DatabaseUnavailable as error:
            mark, details = ATTENTION, str(error)
        table.add_row(name, mark, details)
    console.out.print(table)
    console.out.print()
    return await _try_it()


async def _try_it() -> int:
    began = time.perf_counter()
    try:
        async with await open_database("doctor") as database:
            version = (await database.fetch("SELECT version()"))[0][0]
    except DatabaseUnavailable as error:
        console.errors.print("No database can be had.", style="red")
        console.errors.print(str(error), markup=False)
        return 1
    seconds = time.perf_counter() - began
    console.out.print(f"A database can be had, in {seconds:.1f} s: {version}", markup=False)
    return 0


def _python() -> tuple[str, str]:
    return FOUND, f"{platform.python_version()} on {platform.platform(terse=True)}"


def _jupyter() -> tuple[str, str]:
    if importlib.util.find_spec("jupyterlab") and importlib.util.find_spec("ipykernel"):
        return FOUND, ""
    return ATTENTION, "not installed here:  make install"


def _url() -> tuple[str, str]:
    url = named_url()
    if url is None:
        return MISSING, "TUTORIAL_DATABASE_URL is not used"
    return FOUND, url.render_as_string(hide_password=True)


def _embedded() -> tuple[str, str]:
    if embedded() is None and importlib.util.find_spec(WHEEL) is not None:
        return ATTENTION, "installed, and its programs do not run on this system"
    return _programs(embedded(), "make install")


def _local() -> tuple[str, str]:
    return _programs(local(), "not needed")


def _programs(found: Programs | None, otherwise: str) -> tuple[str, str]:
    return (FOUND, f"{found.version} in {found.folder}") if found else (MISSING, otherwise)


def _docker() -> tuple[str, str]:
    version = engine_version()
    return (FOUND, f"engine {version}") if version else (MISSING, "not needed")


def _services() -> tuple[str, str]:
    there = [kind.name for kind in KINDS.values() if kind.named or kind.source]
    missing = [kind.nothing_found() for kind in KINDS.values() if kind.name not in there]
    return (ATTENTION if missing else FOUND), "\n".join([", ".join(there), *missing])


def _choice() -> tuple[str, str]:
    kind = chosen()
    return (
        (FOUND, f"only {kind!r} is allowed") if kind else (MISSING, "not set: the first that works")
    )


def _account() -> tuple[str, str]:
    account = server_account()
    if account.changes:
        return FOUND, f"you are root, so PostgreSQL runs as the account {account.name!r}"
    return FOUND, "yours"


def _folder() -> tuple[str, str]:
    home = server_home(server_account())
    free = shutil.disk_usage(home).free
    details = f"{home}, {free / 1e9:.1f} GB free"
    if home != cache_folder():
        details += f" ({cache_folder().parent} is closed to the account of the server)"
    return (FOUND if free > ROOM_BYTES else ATTENTION), details


def _older() -> tuple[str, str]:
    """Servers of other PostgreSQL versions, which are left alone."""
    found = find_programs()
    current = f"postgresql-{found.major}" if found else ""
    home = server_home(server_account())
    others = [
        str(folder)
        for folder in sorted(home.glob("postgresql-*"))
        if folder.name.removesuffix("-seed") != current
    ]
    if not others:
        return MISSING, "no data of another PostgreSQL version"
    return ATTENTION, f"data of another version, not used now: {', '.join(others)}"


CHECKS: dict[str, Callable[[], tuple[str, str]]] = {
    "Python": _python,
    "JupyterLab": _jupyter,
    "TUTORIAL_DATABASE": _choice,
    "Server by URL": _url,
    "Embedded PostgreSQL": _embedded,
    "PostgreSQL programs": _local,
    "Docker": _docker,
    "Brokers of 17 to 20": _services,
    "Server's account": _account,
    "Server's folder": _folder,
    "Other versions": _older,
}
