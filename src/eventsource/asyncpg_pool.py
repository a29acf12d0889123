"""Statements sent to asyncpg itself, on connections that SQLAlchemy manages.

A statement sent to asyncpg costs one round trip; through a session it costs several. asyncpg's
errors become the library's.
"""

from typing import Any

from sqlalchemy import URL, exc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.pool import PoolProxiedConnection, StaticPool
from sqlalchemy.util import await_only, greenlet_spawn

from eventsource.exceptions import DatabaseError, EventStoreConnectionError, EventStoreError

#: asyncpg.Record: a row that answers to column names.
Row = Any

#: Option of an engine whose statements run for one tenant; the value is a function that names it.
TENANT_OPTION = "eventsource_tenant"
#: For one transaction, never for the session: the next user of the connection has another tenant.
SET_TENANT = "SELECT set_config('eventsource.tenant_id', $1, true)"

_CONNECTION_LOST = ("08", "57P")
_BROKEN = {"InterfaceError", "InternalClientError"}


PostgreSQLSource = AsyncEngine | async_sessionmaker[AsyncSession] | AsyncConnection | AsyncSession


def executor_for(source: PostgreSQLSource) -> "Executor":
    """What runs statements on `source`.

    On an engine or a session factory each statement is a transaction of its own. On a connection
    or a session it belongs to the transaction of that, which the caller commits or rolls back.
    TypeError or ValueError for anything that is not PostgreSQL over asyncpg.
    """
    if isinstance(source, AsyncConnection | AsyncSession):
        return AsyncpgTransaction(source)
    return AsyncpgPool(source)


class AsyncpgPool:
    """Runs single statements on pooled connections, each in autocommit.

    On the engine of a tenant each is in a transaction that first tells the database the tenant.
    """

    def __init__(self, source: AsyncEngine | async_sessionmaker[AsyncSession]) -> None:
        self._engine = _engine_of(source)
        self._tenant = self._engine.get_execution_options().get(TENANT_OPTION)

    async def fetch(self, statement: str, *arguments: Any) -> list[Row]:
        """All rows of one statement, which commits by itself.

        Raises EventStoreConnectionError if the database is out of reach and DatabaseError for
        what it refuses. Cancelled or not, the connection goes back to the pool.
        """
        if self._tenant is not None:
            return await greenlet_spawn(self._fetch_for, str(self._tenant()), statement, arguments)
        return await greenlet_spawn(self._fetch, statement, arguments)

    def _fetch(self, statement: str, arguments: tuple[Any, ...]) -> list[Row]:
        """Runs in a greenlet, as SQLAlchemy's pool needs it: one switch for all three steps."""
        connection = self._check_out()
        try:
            rows: list[Row] = await_only(_driver(connection).fetch(statement, *arguments))
        except Exception as error:
            raise _translated(error, self._engine.url) from error
        finally:
            # Nothing in here waits: a second cancellation cannot interrupt it.
            connection.close()
        return rows

    def _fetch_for(self, tenant: str, statement: str, arguments: tuple[Any, ...]) -> list[Row]:
        connection = self._check_out()
        driver = _driver(connection)
        try:
            rows: list[Row] = await_only(_fetch_for(tenant, driver, statement, arguments))
        except Exception as error:
            raise _translated(error, self._engine.url) from error
        finally:
            if not driver.is_closed() and driver.is_in_transaction():
                # A second cancellation has interrupted the rollback.
                connection.invalidate()
            else:
                connection.close()
        return rows

    #: What a statement of its own does when it is refused, it has undone already.
    fetch_or_undo = fetch

    async def fetchrow(self, statement: str, *arguments: Any) -> Row | None:
        """The first row, or None."""
        rows = await self.fetch(statement, *arguments)
        return rows[0] if rows else None

    def _check_out(self) -> PoolProxiedConnection:
        while True:
            try:
                connection = self._engine.sync_engine.raw_connection()
            except Exception as error:
                raise _unreachable(error, self._engine.url) from error
            driver = _driver(connection)
            if driver.is_closed():
                # The server went away while it lay in the pool; the next one may be new.
                connection.invalidate()
            elif not driver.is_in_transaction():
                return connection
            elif isinstance(self._engine.pool, StaticPool):
                connection.close()
                raise EventStoreError(
                    "The pool handed out a connection that is inside somebody's transaction. Give "
                    "the event store an engine whose connections are not shared (no StaticPool)."
                )
            else:
                # Nobody else has it: its last user was cancelled while SQLAlchemy sent BEGIN, and
                # SQLAlchemy does not know that there is something to roll back.
                connection.invalidate()


async def _fetch_for(
    tenant: str, driver: Any, statement: str, arguments: tuple[Any, ...]
) -> list[Row]:
    async with driver.transaction():
        await driver.fetch(SET_TENANT, tenant)
        rows: list[Row] = await driver.fetch(statement, *arguments)
        return rows


class AsyncpgTransaction:
    """Runs statements inside the transaction of a caller's connection or session."""

    def __init__(self, source: AsyncConnection | AsyncSession) -> None:
        if not isinstance(source, AsyncConnection | AsyncSession):
            raise TypeError(
                "A transaction to join is an AsyncConnection or an AsyncSession, not "
                f"{type(source).__name__}"
            )
        self._source = source
        bind = source.engine if isinstance(source, AsyncConnection) else source.bind
        engine = bind.engine if isinstance(bind, AsyncConnection) else bind
        self._url = _engine_of(engine).url

    async def fetch(self, statement: str, *arguments: Any) -> list[Row]:
        """All rows of one statement. Errors as in `AsyncpgPool.fetch`; after a DatabaseError
        PostgreSQL accepts nothing more in this transaction until it is rolled back."""
        connection, driver = await self._connection()
        try:
            rows: list[Row] = await driver.fetch(statement, *arguments)
        except Exception as error:
            raise await self._translated(error, connection, driver) from error
        return rows

    async def fetch_or_undo(self, statement: str, *arguments: Any) -> list[Row]:
        """Like `fetch`, but the transaction can go on after a DatabaseError."""
        connection, driver = await self._connection()
        try:
            async with driver.transaction():  # inside one that is open: a savepoint
                rows: list[Row] = await driver.fetch(statement, *arguments)
        except Exception as error:
            raise await self._translated(error, connection, driver) from error
        return rows

    async def fetchrow(self, statement: str, *arguments: Any) -> Row | None:
        """The first row, or None."""
        rows = await self.fetch(statement, *arguments)
        return rows[0] if rows else None

    async def _connection(self) -> tuple[AsyncConnection, Any]:
        """SQLAlchemy's connection and asyncpg's, inside a transaction."""
        source = self._source
        try:
            connection = await source.connection() if isinstance(source, AsyncSession) else source
            driver = (await connection.get_raw_connection()).driver_connection
            if driver is not None and not driver.is_in_transaction():
                # SQLAlchemy sends BEGIN with its own first statement. Until then asyncpg would
                # commit ours at once, and the caller's rollback would come too late.
                await connection.exec_driver_sql("SELECT 1")
        except exc.InvalidRequestError:
            raise  # the caller's transaction has ended already, which SQLAlchemy explains
        except exc.DBAPIError as error:
            raise _unreachable(
                getattr(error.orig, "__cause__", None) or error, self._url
            ) from error
        except Exception as error:
            raise _unreachable(error, self._url) from error
        if driver is None or not driver.is_in_transaction():
            raise EventStoreError(
                "This connection is in AUTOCOMMIT mode, so there is no transaction to join. Use "
                "one of another isolation level, or leave transaction= out."
            )
        return connection, driver

    async def _translated(
        self, error: Exception, connection: AsyncConnection, driver: Any
    ) -> EventStoreError:
        if driver.is_closed():
            # Or SQLAlchemy's rollback, on the way out, would fail and hide this error.
            await connection.invalidate()
        elif type(error).__name__ == "InterfaceError":
            return EventStoreError(
                f"asyncpg refuses: {error}. A connection or session runs one statement at a time: "
                "await each before the next, and give every task its own."
            )
        return _translated(error, self._url)


Executor = AsyncpgPool | AsyncpgTransaction


def _engine_of(source: object) -> AsyncEngine:
    engine = getattr(source, "kw", {}).get("bind", source)
    if not isinstance(engine, AsyncEngine):
        raise TypeError(
            f"No way to PostgreSQL: {type(source).__name__}. Give an async_sessionmaker that is "
            "bound to an engine, async_sessionmaker(create_async_engine(url), "
            "expire_on_commit=False), or the engine, a connection or a session of one."
        )
    if engine.dialect.driver != "asyncpg":
        raise ValueError(
            "eventsource works over asyncpg, this engine uses "
            f"{engine.dialect.name}+{engine.dialect.driver}. Use a URL that starts with "
            "postgresql+asyncpg://"
        )
    return engine


def _address(url: URL) -> str:
    return f"{url.host or 'the local socket'}:{url.port or 5432}"


def _unreachable(error: BaseException, url: URL) -> EventStoreError:
    sqlstate = getattr(error, "sqlstate", None)
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
    return EventStoreConnectionError(f"Cannot connect to PostgreSQL at {_address(url)}: {reason}.")


def _translated(error: Exception, url: URL) -> EventStoreError:
    sqlstate = getattr(error, "sqlstate", None)
    # InternalClientError: the server's farewell came between two of asyncpg's own steps.
    lost = isinstance(error, OSError) or type(error).__name__ in _BROKEN
    if lost or (sqlstate or "").startswith(_CONNECTION_LOST):
        return EventStoreConnectionError(
            f"The connection to PostgreSQL at {_address(url)} was lost. An append under way "
            "may or may not be stored: repeat it with the same events, which is safe."
        )
    return DatabaseError(f"PostgreSQL refused a statement: {error}", sqlstate)


def _driver(connection: PoolProxiedConnection) -> Any:
    return connection.driver_connection
