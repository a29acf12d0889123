"""asyncpg connections out of a SQLAlchemy engine's pool, and asyncpg's errors as the library's.

A statement sent to asyncpg itself costs one round trip; through a session it costs several. Each
statement here runs in autocommit: it is its own transaction.
"""

from typing import Any

from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import await_only, greenlet_spawn

from eventsource.exceptions import DatabaseError, EventStoreConnectionError, EventStoreError

#: asyncpg.Record: a row that answers to column names.
Row = Any

_CONNECTION_LOST = ("08", "57P")
_BROKEN = {"InterfaceError", "InternalClientError"}


class AsyncpgPool:
    """Runs single statements on the connections of a session factory's engine."""

    def __init__(self, session_factory: async_sessionmaker[AsyncSession]) -> None:
        engine = getattr(session_factory, "kw", {}).get("bind")
        if not isinstance(engine, AsyncEngine):
            raise TypeError(
                "PostgreSQLEventStore needs an async_sessionmaker that is bound to an engine: "
                "async_sessionmaker(create_async_engine(url), expire_on_commit=False)"
            )
        if engine.dialect.driver != "asyncpg":
            raise ValueError(
                "PostgreSQLEventStore works over asyncpg, this engine uses "
                f"{engine.dialect.name}+{engine.dialect.driver}. Use a URL that starts with "
                "postgresql+asyncpg://"
            )
        self._engine = engine

    async def fetch(self, statement: str, *arguments: Any) -> list[Row]:
        """All rows of one statement, which commits by itself.

        Raises EventStoreConnectionError if the database is out of reach and DatabaseError for
        what it refuses. Cancelled or not, the connection goes back to the pool.
        """
        return await greenlet_spawn(self._fetch, statement, arguments)

    def _fetch(self, statement: str, arguments: tuple[Any, ...]) -> list[Row]:
        """Runs in a greenlet, as SQLAlchemy's pool needs it: one switch for all three steps."""
        connection = self._check_out()
        try:
            rows: list[Row] = await_only(_driver(connection).fetch(statement, *arguments))
        except Exception as error:
            raise self._translated(error) from error
        finally:
            # Nothing in here waits: a second cancellation cannot interrupt it.
            connection.close()
        return rows

    async def fetchrow(self, statement: str, *arguments: Any) -> Row | None:
        """The first row, or None."""
        rows = await self.fetch(statement, *arguments)
        return rows[0] if rows else None

    def _check_out(self) -> PoolProxiedConnection:
        while True:
            try:
                connection = self._engine.sync_engine.raw_connection()
            except Exception as error:
                raise self._unreachable(error) from error
            driver = _driver(connection)
            if driver.is_closed():
                # The server went away while it lay in the pool; the next one may be new.
                connection.invalidate()
            elif driver.is_in_transaction():
                connection.close()
                raise EventStoreError(
                    "The pool handed out a connection that is inside somebody's transaction. Give "
                    "the event store an engine whose connections are not shared (no StaticPool)."
                )
            else:
                return connection

    @property
    def _address(self) -> str:
        url = self._engine.url
        return f"{url.host or 'the local socket'}:{url.port or 5432}"

    def _unreachable(self, error: Exception) -> EventStoreError:
        url, sqlstate = self._engine.url, getattr(error, "sqlstate", None)
        if isinstance(error, exc.TimeoutError):
            reason = (
                "no connection came free within pool_timeout. Raise pool_size or max_overflow of "
                "the engine, or find the code that keeps connections"
            )
        elif sqlstate in ("28P01", "28000"):
            reason = f"it refuses user {url.username!r} with this password. Check both in the URL"
        elif sqlstate == "3D000":
            reason = f"it has no database {url.database!r}. Create it, or correct the URL"
        elif sqlstate == "53300":
            reason = "it has no connection left. Lower pool_size or raise its max_connections"
        elif sqlstate == "57P03":
            reason = "it is starting or stopping. Try again in a moment"
        elif isinstance(error, OSError):
            reason = "nothing answers there. Start the server, or correct host and port in the URL"
        else:
            reason = f"{type(error).__name__}: {error}"
        return EventStoreConnectionError(
            f"Cannot connect to PostgreSQL at {self._address}: {reason}."
        )

    def _translated(self, error: Exception) -> EventStoreError:
        sqlstate = getattr(error, "sqlstate", None)
        # InternalClientError: the server's farewell came between two of asyncpg's own steps.
        lost = isinstance(error, OSError) or type(error).__name__ in _BROKEN
        if lost or (sqlstate or "").startswith(_CONNECTION_LOST):
            return EventStoreConnectionError(
                f"The connection to PostgreSQL at {self._address} was lost. An append under way "
                "may or may not be stored: repeat it with the same events, which is safe."
            )
        return DatabaseError(f"PostgreSQL refused a statement: {error}", sqlstate)


def _driver(connection: PoolProxiedConnection) -> Any:
    return connection.driver_connection
