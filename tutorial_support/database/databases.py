"""One database per notebook and run, cloned from a template that has the schema."""

import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import asyncpg
from sqlalchemy import URL

from . import locks
from .server import Server
from .urls import connect

MAKING = "1"  # part of the template's name: raise it when a template is made another way
TEMPLATE_LOCK = 0x7475746F


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def schema() -> str:
    try:
        from eventsource.migrations import get_schema  # noqa: PLC0415
    except ImportError:
        return ""
    return get_schema("all")


@dataclass
class Run:
    """A database that belongs to this process: the lock on its file says so."""

    name: str
    file: Path
    lock: int

    def release(self) -> None:
        with suppress(OSError):
            os.close(self.lock)


def claim(server: Server, prefix: str) -> Run:
    """Choose a fresh name and note, before the database exists, that it is ours."""
    server.runs.mkdir(parents=True, exist_ok=True, mode=0o700)
    while True:
        name = f"{prefix}_{secrets.token_hex(4)}"
        file = server.runs / name
        lock = locks.hold(file)
        if lock is not None:
            if file.exists():
                return Run(name, file, lock)
            os.close(lock)


async def drop(connection: asyncpg.Connection, name: str) -> None:
    await connection.execute(f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)")


async def drop_leftovers(server: Server, connection: asyncpg.Connection) -> None:
    """Drop the databases of runs that ended without closing them."""
    for file in server.runs.glob("*") if server.runs.exists() else ():
        lock = locks.hold(file)
        if lock is None:
            continue
        try:
            await drop(connection, file.name)
            file.unlink(missing_ok=True)
        finally:
            os.close(lock)


async def exists(connection: asyncpg.Connection, name: str) -> bool:
    return bool(await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name))


async def template(server: Server, connection: asyncpg.Connection) -> str:
    """The name of the template with today's schema, made now if there is none."""
    text = schema()
    name = f"tutorial_template_{sha256((MAKING + text).encode()).hexdigest()[:12]}"
    if await exists(connection, name):
        return name
    await connection.execute("SELECT pg_advisory_lock($1)", TEMPLATE_LOCK)
    try:
        if not await exists(connection, name):
            await _make_template(server, connection, name, text)
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", TEMPLATE_LOCK)
    return name


async def _make_template(
    server: Server, connection: asyncpg.Connection, name: str, text: str
) -> None:
    run = claim(server, "tutorial_template")
    try:
        await connection.execute(f"CREATE DATABASE {quoted(run.name)} TEMPLATE template0")
        inside = await connect(server.url.set(database=run.name))
        try:
            if text:
                await inside.execute(text)
        finally:
            await inside.close()
        await connection.execute(f"ALTER DATABASE {quoted(run.name)} RENAME TO {quoted(name)}")
        await connection.execute(f"ALTER DATABASE {quoted(name)} ALLOW_CONNECTIONS false")
        run.file.unlink()
    finally:
        run.release()


async def create(server: Server, prefix: str, *, empty: bool = False) -> tuple[URL, Run]:
    """A fresh database of this process, with the schema unless `empty`."""
    connection = await connect(server.url)
    try:
        await drop_leftovers(server, connection)
        source = "template0" if empty else await template(server, connection)
        run = claim(server, prefix)
        try:
            await connection.execute(
                f"CREATE DATABASE {quoted(run.name)} TEMPLATE {quoted(source)}"
            )
        except BaseException:
            run.release()
            raise
    finally:
        await connection.close()
    return server.url.set(database=run.name), run


async def close(server: Server, run: Run) -> None:
    """Drop the database of `run`."""
    try:
        connection = await connect(server.url)
        try:
            await drop(connection, run.name)
        finally:
            await connection.close()
        run.file.unlink(missing_ok=True)
    finally:
        run.release()


async def create_kept(server: Server, name: str) -> URL:
    """The lasting database `name`, made with the schema if it does not exist yet."""
    connection = await connect(server.url)
    try:
        if not await exists(connection, name):
            source = await template(server, connection)
            with suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
                await connection.execute(
                    f"CREATE DATABASE {quoted(name)} TEMPLATE {quoted(source)}"
                )
    finally:
        await connection.close()
    return server.url.set(database=name)


def prefix_for(notebook: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", notebook):
        raise ValueError(
            f"{notebook!r} cannot name a database: use lower-case letters, digits and hyphens."
        )
    return "tutorial_" + notebook.replace("-", "_")
