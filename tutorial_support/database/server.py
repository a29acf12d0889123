"""The servers of the course: which there are, where they live, how to reach the one to use."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import asyncpg
from sqlalchemy import URL

from ..paths import NAME, cache_folder
from . import container, programs
from .account import Account, server_account
from .choice import chosen, find_programs, named_url, nothing_found
from .cluster import Cluster
from .container import DockerServer
from .errors import DatabaseUnavailable, explain_failed_start
from .managed import IDLE_SECONDS
from .postgresql_server import PostgreSQLServer
from .programs import Programs
from .urls import connect

SEED_PORT = 5432


@dataclass(frozen=True)
class Server:
    """A server that answers, and the folder that notes whose its databases are.

    `url` names a database to connect to for the making of others. `ours` is the server, if it is.
    """

    url: URL
    runs: Path
    ours: PostgreSQLServer | None = None

    @asynccontextmanager
    async def connection(self, database: str) -> AsyncIterator[asyncpg.Connection]:
        """A connection to a database; a server of ours that was stopped or killed comes back."""
        location = self.url.set(database=database)
        try:
            connection = await connect(location)
        except DatabaseUnavailable:
            if self.ours is None:
                raise
            now = await self.ours.join()
            connection = await connect(now.set(database=database))
        try:
            yield connection
        finally:
            await connection.close()


def server_home(account: Account) -> Path:
    """The folder of our servers: the cache folder, if the server's account can walk there.

    Root's home is closed to the account that root lends its server; then it is a system's folder.
    """
    home = cache_folder()
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not account.can_use(home.parent):
            system = "/Library/Caches" if sys.platform == "darwin" else "/var/cache"
            home = Path(system) / NAME
            home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o755 if account.changes else 0o700)
    except OSError as error:
        raise explain_failed_start(str(error), home) from error
    return home


def cluster_in(name: str, found: Programs, *, idle_seconds: float = IDLE_SECONDS) -> Cluster:
    """The cluster in the folder `name`, with programs its account can run."""
    account = server_account()
    home = server_home(account)
    usable = programs.usable_by(account, found, home)
    return Cluster(home / name, usable, account, idle_seconds=idle_seconds)


def shared_server(idle_seconds: float = IDLE_SECONDS) -> PostgreSQLServer | None:
    """The server of ours that all kernels and tests share; None where you name one by URL."""
    if named_url() is not None:
        return None
    found = find_programs() if chosen() != "docker" else None
    if found is not None:
        return cluster_in(f"postgresql-{found.major}", found, idle_seconds=idle_seconds)
    if chosen() in (None, "docker"):
        server = DockerServer(cache_folder() / "docker", idle_seconds=idle_seconds)
        if server.is_supervised() or container.engine_version() is not None:
            return server
    raise DatabaseUnavailable(nothing_found())


def seed_server(port: int = SEED_PORT) -> Cluster:
    """A server of its own, with the address and the password of the course's written examples."""
    found = find_programs()
    if found is None:
        raise DatabaseUnavailable(
            "This needs PostgreSQL's programs. Docker gives you the same server:\n"
            "    docker compose up --wait"
        )
    cluster = cluster_in(f"postgresql-{found.major}-seed", found)
    cluster.port, cluster.password = port, "postgres"
    return cluster


async def find_server(url: str | None = None, *, idle_seconds: float = IDLE_SECONDS) -> Server:
    """Find or start the server. Raises DatabaseUnavailable, which says what to type."""
    named = named_url(url)
    ours = shared_server(idle_seconds) if named is None else None
    if ours is not None:
        return Server(await ours.join(), ours.folder / "runs", ours)
    assert named is not None
    place = sha256(f"{named.username}@{named.host}:{named.port}{named.query}".encode()).hexdigest()[
        :12
    ]
    return Server(named, cache_folder() / "runs" / place)
