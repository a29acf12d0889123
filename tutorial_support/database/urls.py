"""Database URLs, from a learner's hand to the driver, and connections with clear errors."""

import asyncpg
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from .errors import DatabaseUnavailable

FORMS = ("postgresql+asyncpg", "postgresql", "postgres")
EXAMPLE = "postgresql+asyncpg://user:password@localhost:5432/database"


def parse_url(text: str) -> URL:
    try:
        url = make_url(text.strip())
    except (ArgumentError, ValueError) as error:
        raise DatabaseUnavailable(
            f"This is no database URL. It should look like {EXAMPLE}"
        ) from error
    if url.drivername not in FORMS:
        raise DatabaseUnavailable(
            f"The course needs PostgreSQL, and the URL begins with {url.drivername}://.\n"
            f"It should look like {EXAMPLE}"
        )
    return url.set(drivername="postgresql+asyncpg")


async def connect(url: URL) -> asyncpg.Connection:
    dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return await asyncpg.connect(dsn, timeout=10)
