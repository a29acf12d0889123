"""Backing a notebook's database up and restoring it, with PostgreSQL's own programs."""

import asyncio
import os
from pathlib import Path

from sqlalchemy import make_url

from tutorial_support.database import DatabaseUnavailable
from tutorial_support.database.choice import find_programs
from tutorial_support.database.programs import Programs


async def dump(url: str, file: Path) -> None:
    """Write the whole database to a file with `pg_dump`.

    DatabaseUnavailable, which says what to do, if this machine has no `pg_dump` or an older one
    than the server.
    """
    await _run("pg_dump", url, "--format=custom", f"--file={file}")


async def restore(file: Path, url: str) -> None:
    """Fill an empty database with what `dump` wrote, in one transaction."""
    options = "--no-owner", "--no-privileges", "--single-transaction"
    await _run("pg_restore", url, *options, str(file))


def _programs() -> Programs:
    if (programs := find_programs()) is None:
        raise DatabaseUnavailable(
            "Backups need pg_dump and pg_restore, and this machine has neither. Install "
            "PostgreSQL's client programs, or run this notebook on Linux or macOS, where the "
            "course brings them."
        )
    return programs


async def _run(name: str, url: str, *arguments: str) -> None:
    programs, address = _programs(), make_url(url)
    process = await asyncio.create_subprocess_exec(
        *(programs.path(name), "--no-password", f"--host={address.host}"),
        *(f"--port={address.port or 5432}", f"--username={address.username}"),
        *(f"--dbname={address.database}", *arguments),
        # In the environment, where no list of processes shows it.
        env=os.environ | {"PGPASSWORD": str(address.password or "")},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode:
        reason = (said.decode().strip().splitlines() or ["no reason given"])[0]
        raise DatabaseUnavailable(f"{name} failed: {reason}")
