"""Which PostgreSQL the course uses, and its URL."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL

from ..paths import NAME, cache_folder
from . import programs as found
from .account import Account, server_account
from .cluster import Cluster
from .errors import DatabaseUnavailable
from .programs import Programs, usable_by
from .urls import parse_url

CHOICES = ("embedded", "local", "docker", "url")


@dataclass(frozen=True)
class Server:
    """A server that answers: a maintenance URL, and where to note which databases are in use."""

    url: URL
    runs: Path
    cluster: Cluster | None = None


def forced_choice() -> str | None:
    choice = os.environ.get("TUTORIAL_DATABASE", "").strip().lower()
    if choice and choice not in CHOICES:
        raise DatabaseUnavailable(
            f"TUTORIAL_DATABASE={choice!r} is not a choice: use one of {', '.join(CHOICES)}."
        )
    return choice or None


def server_folder(account: Account) -> Path:
    """The folder for servers: the cache folder, unless the server's account cannot reach it."""
    folder = cache_folder()
    if account.can_use(folder):
        return folder
    system = "/Library/Caches" if sys.platform == "darwin" else "/var/cache"
    return Path(system) / NAME


def find_programs() -> Programs | None:
    """The PostgreSQL programs to run a server with, if there are any."""
    choice = forced_choice()
    if choice == "local":
        return found.local()
    if choice == "embedded":
        return found.embedded()
    return found.embedded() or found.local()


def shared_cluster(programs: Programs, idle_seconds: float = 10.0) -> Cluster:
    """The cluster all kernels and test workers of this machine user share."""
    account = server_account()
    base = server_folder(account)
    base.mkdir(parents=True, exist_ok=True, mode=0o755)
    return Cluster(
        folder=base / f"postgresql-{programs.major}",
        programs=usable_by(programs, account, base),
        account=account,
        idle_seconds=idle_seconds,
    )


async def find_server(url: str | None = None, idle_seconds: float = 10.0) -> Server:
    """Find or start the server. Raises DatabaseUnavailable with what to type."""
    named = url or os.environ.get("TUTORIAL_DATABASE_URL")
    if named:
        parsed = parse_url(named)
        return Server(parsed, cache_folder() / "runs" / f"{parsed.host}-{parsed.port or 5432}")
    programs = find_programs()
    if programs is None:
        raise DatabaseUnavailable("No PostgreSQL found.")
    cluster = shared_cluster(programs, idle_seconds)
    return Server(await cluster.join(), cluster.folder / "runs", cluster)
