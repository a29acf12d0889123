"""A real PostgreSQL for notebooks and tests: found or started, shared, and gone when unused."""

from types import TracebackType
from typing import Any, Self

from . import databases
from .databases import Run
from .errors import DatabaseUnavailable
from .private import PrivateServer, private_server
from .server import Server, find_server
from .urls import connect

__all__ = [
    "Database",
    "DatabaseUnavailable",
    "PrivateServer",
    "open_database",
    "private_server",
]


class Database:
    """One database of a notebook; `url` is for SQLAlchemy's `create_async_engine`."""

    def __init__(self, name: str, server: Server, url: str, run: Run | None) -> None:
        self.url = url
        self._name, self._server, self._run = name, server, run

    def __repr__(self) -> str:
        lasting = "fresh for this run" if self._run else "kept between runs"
        return f"PostgreSQL database of tutorial {self._name}, {lasting}"

    async def fetch(self, query: str, *values: object) -> list[Any]:
        """Rows of one statement, on a connection of its own."""
        connection = await connect(self._connect_url())
        try:
            return list(await connection.fetch(query, *values))
        finally:
            await connection.close()

    async def execute(self, query: str, *values: object) -> str:
        """Run one statement, or several without values; returns its command tag."""
        connection = await connect(self._connect_url())
        try:
            return str(await connection.execute(query, *values))
        finally:
            await connection.close()

    def _connect_url(self) -> Any:
        from sqlalchemy import make_url

        return make_url(self.url)

    async def close(self) -> None:
        """Drop the database, unless it is kept. Closing twice does nothing."""
        run, self._run = self._run, None
        if run is not None:
            await databases.close(self._server, run)

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
    name: str, url: str | None = None, *, keep: bool = False
) -> Database:
    """Find or start PostgreSQL and return a database with the course's schema.

    Raises DatabaseUnavailable, with a message that says what to do.
    """
    prefix = databases.prefix_for(name)
    server = await find_server(url)
    if keep:
        found, run = await databases.create_kept(server, prefix), None
    else:
        found, run = await databases.create(server, prefix)
    return Database(name, server, found.render_as_string(hide_password=False), run)
