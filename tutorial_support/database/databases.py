"""One database per notebook and run, cloned from a template that has the schema."""

import os
import re
import secrets
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import asyncpg
from sqlalchemy import URL

from . import locks
from .errors import DatabaseUnavailable
from .server import Server
from .urls import connection_to

PREFIX = "tutorial_"
COURSE_DATABASE = "eventsource_tutorial"  # lasting: what `tutorial db url` and `psql` mean
TEMPLATE_LOCK = 0x7475746F7269616C  # "tutorial"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def plain(connection: asyncpg.Connection) -> str:
    """How to make an empty database that encodes and sorts alike on every server."""
    provider = " LOCALE_PROVIDER libc" if connection.get_server_version().major >= 15 else ""
    return f"TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'{provider}"


@dataclass
class Claim:
    """A database of this process: it holds the lock on a file of the same name."""

    name: str
    file: Path
    lock: int

    def release(self) -> None:
        """Leave the database to whoever starts next, who will drop it if it is still there."""
        os.close(self.lock)


def claim(server: Server, prefix: str) -> Claim:
    """Choose a fresh name and note that it is ours, before there is such a database."""
    server.runs.mkdir(parents=True, exist_ok=True, mode=0o700)
    while True:
        name = f"{prefix}_{secrets.token_hex(4)}"
        file = server.runs / name
        lock = locks.hold(file)
        if lock is not None:
            if file.exists():
                return Claim(name, file, lock)
            os.close(lock)  # taken for a left-over and removed in between


async def create(server: Server, prefix: str, *, empty: bool = False) -> tuple[URL, Claim]:
    """A fresh database of this process, with the schema unless `empty`."""
    async with connection_to(server.url) as connection:
        await drop_leftovers(server, connection)
        source = plain(connection)
        if not empty:
            source = f"TEMPLATE {quoted(await template(server, connection))}"
        mine = claim(server, prefix)
        try:
            await _create(connection, mine.name, source)
        except BaseException:
            mine.release()
            raise
    return server.url.set(database=mine.name), mine


async def drop(server: Server, mine: Claim) -> None:
    """Drop the database, whoever is connected to it. If the server is gone, the next run does."""
    try:
        async with connection_to(server.url) as connection:
            await _drop(connection, mine.name)
    except DatabaseUnavailable:
        return
    finally:
        mine.release()
    mine.file.unlink(missing_ok=True)


async def create_kept(server: Server, name: str) -> URL:
    """The lasting database `name`, made with the schema if there is none."""
    async with connection_to(server.url) as connection:
        source = await template(server, connection)
        if not await _exists(connection, name):
            with suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
                await _create(connection, name, f"TEMPLATE {quoted(source)}")
                await connection.execute(f"COMMENT ON DATABASE {quoted(name)} IS '{source}'")
        made_from = await connection.fetchval(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1", name
        )
    if made_from not in (source, None):
        warnings.warn(
            f"The kept database {name} has the tables of an older course. "
            f"To start it afresh:  tutorial db reset {name}",
            stacklevel=3,
        )
    return server.url.set(database=name)


async def sizes(connection: asyncpg.Connection) -> list[tuple[str, str]]:
    """The course's databases on a server and how large they are."""
    rows = await connection.fetch(
        "SELECT datname, pg_size_pretty(pg_database_size(oid)) AS size FROM pg_database "
        "WHERE (starts_with(datname, $1) OR datname = $2) AND datallowconn ORDER BY datname",
        PREFIX,
        COURSE_DATABASE,
    )
    return [(row["datname"], row["size"]) for row in rows]


async def drop_kept(connection: asyncpg.Connection, name: str) -> bool:
    """Drop a database of the course, whoever is connected to it. Tells whether there was one."""
    if name not in [name for name, _ in await sizes(connection)]:
        return False
    await _drop(connection, name)
    return True


async def kept_by(server: Server, connection: asyncpg.Connection, number: str) -> list[str]:
    """The lasting databases of the notebook with this two-digit number."""
    mine = [name for name, _ in await sizes(connection) if name.startswith(f"{PREFIX}{number}_")]
    return [name for name in mine if not (server.runs / name).exists()]


async def drop_leftovers(server: Server, connection: asyncpg.Connection) -> None:
    """Drop the databases whose processes are gone; what cannot be dropped now stays for later."""
    for file in server.runs.glob("*"):
        lock = locks.hold(file)
        if lock is None:
            continue
        try:
            await _drop(connection, file.name)
        except (DatabaseUnavailable, asyncpg.PostgresError):
            continue
        finally:
            os.close(lock)
        file.unlink(missing_ok=True)


async def template(server: Server, connection: asyncpg.Connection) -> str:
    """The name of the template with today's schema, made now if there is none."""
    schema = _schema()
    user = await connection.fetchval("SELECT current_user")  # who owns the tables of the clones
    made_of = plain(connection) + user + schema
    name = f"{PREFIX}template_{sha256(made_of.encode()).hexdigest()[:12]}"
    if not await _exists(connection, name):
        async with _only_one(connection):
            if not await _exists(connection, name):
                await _make_template(server, connection, name, schema)
    return name


async def _make_template(
    server: Server, connection: asyncpg.Connection, name: str, schema: str
) -> None:
    """Make it under another name, so that a template is always whole."""
    half_made = claim(server, f"{PREFIX}making")
    try:
        await _create_from(schema, server, connection, half_made.name)
        await connection.execute(f"ALTER DATABASE {quoted(half_made.name)} ALLOW_CONNECTIONS false")
        with suppress(asyncpg.DuplicateDatabaseError):
            await connection.execute(
                f"ALTER DATABASE {quoted(half_made.name)} RENAME TO {quoted(name)}"
            )
    finally:
        half_made.release()


async def create_only(server: Server, name: str) -> URL:
    """The one database of a server of its own, for which a template would only take time."""
    async with connection_to(server.url) as connection:
        await _create_from(_schema(), server, connection, name)
    return server.url.set(database=name)


async def _create_from(
    schema: str, server: Server, connection: asyncpg.Connection, name: str
) -> None:
    await _create(connection, name, plain(connection))
    async with connection_to(server.url.set(database=name)) as inside:
        await inside.execute(schema)


def _schema() -> str:
    from eventsource.migrations import get_schema  # half the time `tutorial` takes to start

    return get_schema("all")


@asynccontextmanager
async def _only_one(connection: asyncpg.Connection) -> AsyncIterator[None]:
    await connection.execute("SELECT pg_advisory_lock($1)", TEMPLATE_LOCK)
    try:
        yield
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", TEMPLATE_LOCK)


async def _exists(connection: asyncpg.Connection, name: str) -> bool:
    return bool(await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name))


async def _create(connection: asyncpg.Connection, name: str, source: str) -> None:
    with _clear_refusals():
        await connection.execute(f"CREATE DATABASE {quoted(name)} {source}")


async def _drop(connection: asyncpg.Connection, name: str) -> None:
    with _clear_refusals():
        await connection.execute(f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)")
    if await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role_of(name)):
        await connection.execute(f"DROP ROLE IF EXISTS {quoted(role_of(name))}")


def role_of(name: str) -> str:
    return f"{name}_app"


async def create_role(server: Server, name: str) -> str:
    """The role of the database `name`, which is dropped with it; again is no error."""
    role = role_of(name)
    async with server.connection(name) as connection:
        try:
            with suppress(asyncpg.DuplicateObjectError):
                await connection.execute(f"CREATE ROLE {quoted(role)} NOLOGIN")
            await connection.execute(f"GRANT {quoted(role)} TO CURRENT_USER")
        except asyncpg.InsufficientPrivilegeError as error:
            raise DatabaseUnavailable(
                f"This server's user may not make roles ({error}). Let it:  "
                "ALTER ROLE ... CREATEROLE  or name another user in the database URL."
            ) from error
    return role


@contextmanager
def _clear_refusals() -> Iterator[None]:
    try:
        yield
    except asyncpg.InsufficientPrivilegeError as error:
        raise DatabaseUnavailable(
            f"This server's user may not make databases ({error}). Let it:  "
            "ALTER ROLE ... CREATEDB  or name another user in the database URL."
        ) from error
    except asyncpg.DiskFullError as error:
        raise DatabaseUnavailable(
            f"The disk of the database server is full ({error}). Make some room and try again."
        ) from error


def name_for(notebook: str) -> str:
    """The database name of a notebook, such as "11-postgresql"."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", notebook):
        raise ValueError(
            f"{notebook!r} cannot name a database: use lower-case letters, digits and hyphens"
        )
    return PREFIX + notebook.replace("-", "_")
