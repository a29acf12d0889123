"""Database URLs, from a learner's hand to the driver, and connections with clear errors."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from .errors import DatabaseUnavailable
from .programs import OLDEST_MAJOR

FORMS = ("postgresql+asyncpg", "postgresql", "postgres")
EXAMPLE = "postgresql://user:password@localhost:5432/postgres"
CONNECT_SECONDS = 10


def parse_url(text: str) -> URL:
    """A URL for SQLAlchemy and asyncpg. Raises DatabaseUnavailable."""
    try:
        url = make_url(text.strip())
        as_dsn(url).encode()  # a lone surrogate has no UTF-8
    except (ArgumentError, AttributeError, ValueError) as error:
        raise DatabaseUnavailable(
            f"The database URL cannot be read. It should look like  {EXAMPLE}"
        ) from error
    if url.drivername not in FORMS:
        raise DatabaseUnavailable(
            f"The database URL begins with {url.drivername}://, and the course needs PostgreSQL.\n"
            f"It should look like  {EXAMPLE}"
        )
    query = dict(url.query)
    if "sslmode" in query:  # libpq's name, which SQLAlchemy does not pass on
        query["ssl"] = query.pop("sslmode")
    return url.set(drivername="postgresql+asyncpg", query=query)


def as_dsn(url: URL) -> str:
    """The URL for asyncpg alone, password included."""
    query = dict(url.query)
    if "ssl" in query:
        query["sslmode"] = query.pop("ssl")
    return url.set(drivername="postgresql", query=query).render_as_string(hide_password=False)


@asynccontextmanager
async def connection_to(url: URL) -> AsyncIterator[asyncpg.Connection]:
    """A connection for a short while. Raises DatabaseUnavailable."""
    connection = await connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def connect(url: URL) -> asyncpg.Connection:
    """Raises DatabaseUnavailable."""
    try:
        connection = await asyncpg.connect(as_dsn(url), timeout=CONNECT_SECONDS)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailable(_why_no_connection(error, url)) from error
    if connection.get_server_version().major < OLDEST_MAJOR:
        await connection.close()
        raise DatabaseUnavailable(
            f"The PostgreSQL at {_place(url)} is version {connection.get_server_version().major}; "
            f"the course needs {OLDEST_MAJOR} or newer."
        )
    return connection


def _place(url: URL) -> str:
    return f"{url.host or 'localhost'}:{url.port or 5432}"


def _why_no_connection(error: Exception, url: URL) -> str:
    """What is wrong and what to type; never the password."""
    place = _place(url)
    not_postgresql = f"What answers at {place} is not PostgreSQL: check the port in the URL."
    match error:
        case socket.gaierror() | UnicodeError():
            why = f"There is no host {url.host!r}: check the database URL."
        case TimeoutError():
            why = f"{place} did not answer within {CONNECT_SECONDS} s: check the database URL."
        case asyncpg.ConnectionDoesNotExistError():
            why = not_postgresql
        case ConnectionError() if not isinstance(error, ConnectionRefusedError):
            why = not_postgresql
        case OSError():
            why = (
                f"No PostgreSQL server answers at {place}: start it, or check the database URL.\n"
                "To use the course's own server:  unset TUTORIAL_DATABASE_URL"
            )
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            why = (
                f"The server at {place} refused the user {url.username!r} with this password.\n"
                f"Check both in the database URL:  {EXAMPLE}"
            )
        case asyncpg.InvalidCatalogNameError():
            why = (
                f"The server at {place} has no database {url.database!r}: make it, or write one "
                "that exists, such as `postgres`, in the database URL."
            )
        case ValueError() if not isinstance(error, asyncpg.InterfaceError):
            why = f"The database URL cannot be used, {error}. It should look like  {EXAMPLE}"
        case asyncpg.TooManyConnectionsError():
            why = f"The server at {place} has no free connection: close some notebooks."
        case asyncpg.CannotConnectNowError():
            why = f"The server at {place} is starting or stopping: try again in a moment."
        case _:
            why = f"The server at {place} refused the connection: {error}"
    return why
