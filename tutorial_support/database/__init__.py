"""A real PostgreSQL for notebooks and tests: found or started, shared, and gone when unused."""

from types import TracebackType
from typing import Any, Self

from sqlalchemy import URL

from ..parameters import check_parameters
from . import databases
from .databases import Claim
from .errors import DatabaseUnavailable
from .private import PrivateServer, private_server
from .server import Server, find_server

__all__ = [
    "Database",
    "DatabaseUnavailable",
    "PrivateServer",
    "open_database",
    "private_server",
]


class Database:
    """A notebook's database; `url` is for SQLAlchemy's `create_async_engine`."""

    def __init__(self, notebook: str, server: Server, url: URL, claim: Claim | None) -> None:
        self.url = url.render_as_string(hide_password=False)
        self._notebook, self._server, self._claim = notebook, server, claim
        self._name = url.database or ""
        self._age = "fresh for this run" if claim else "kept between runs"

    def __repr__(self) -> str:
        return f"PostgreSQL database of tutorial {self._notebook}, {self._age}"

    async def fetch(self, query: str, *values: object) -> list[Any]:
        """The rows of one statement, asked on a connection of its own; `$1` is the first value."""
        async with self._server.connection(self._name) as connection:
            return list(await connection.fetch(query, *values))

    async def execute(self, query: str, *values: object) -> str:
        """Run a statement, or several if there are no values. Returns PostgreSQL's command tag."""
        async with self._server.connection(self._name) as connection:
            return str(await connection.execute(query, *values))

    async def role(self) -> str:
        """The name of a role as an application has: it owns nothing, may nothing yet, and goes
        with the database. Engines take it on by connect_args={"server_settings": {"role": ...}}.
        """
        return await databases.create_role(self._server, self._name)

    async def close(self) -> None:
        """Drop the database, unless it is kept. Closing twice does nothing."""
        claim, self._claim = self._claim, None
        if claim is not None:
            await databases.drop(self._server, claim)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


async def open_database(
    name: str, url: str | None = None, *, keep: bool = False, empty: bool = False
) -> Database:
    """A database with the course's schema for the notebook `name`, such as "11-postgresql".

    Finds PostgreSQL or starts one; `url` names a server or database of your own instead. The
    database is fresh and ends with `close`, or is dropped by the next run; with `keep=True` it is
    the notebook's lasting one, with `empty=True` a fresh one without the schema. Raises
    DatabaseUnavailable, which says what to do; and, before anything else, WrongParameter if
    papermill gave the notebook a parameter that it does not have.
    """
    check_parameters()
    lasting = databases.name_for(name)
    server = await find_server(url)
    if keep:
        return Database(name, server, await databases.create_kept(server, lasting), None)
    location, claim = await databases.create(server, lasting, empty=empty)
    return Database(name, server, location, claim)
