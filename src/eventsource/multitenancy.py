"""Several tenants in one log: who is the current one, and what that one may see.

The current tenant is a context variable. Tasks take a copy when they are made, and so does
`asyncio.to_thread`; threads that you start yourself, `loop.run_in_executor` among them, have none.

`tenant_engine` tells PostgreSQL the tenant of every transaction. With the policies of the schema
`row_level_security` the database itself then keeps tenants apart, whatever a query forgets.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar, Token
from typing import Any, Self, TypeVar
from uuid import UUID

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine

from eventsource.aggregates.base import AggregateRoot
from eventsource.aggregates.repository import AggregateRepository
from eventsource.asyncpg_pool import SET_TENANT, TENANT_OPTION
from eventsource.events.base import DomainEvent
from eventsource.exceptions import TenantContextNotSetError, TenantMismatchError
from eventsource.stores.interface import (
    AppendResult,
    EventStore,
    EventStream,
    ReadOptions,
    stream_id_of,
)
from eventsource.stores.wrapper import EventStoreWrapper

TAggregate = TypeVar("TAggregate", bound=AggregateRoot[Any])

tenant_context: ContextVar[UUID | None] = ContextVar("eventsource_tenant", default=None)


def get_current_tenant() -> UUID | None:
    return tenant_context.get()


def get_required_tenant() -> UUID:
    """TenantContextNotSetError if there is no current tenant."""
    tenant = tenant_context.get()
    if tenant is None:
        raise TenantContextNotSetError()
    return tenant


def set_current_tenant(tenant_id: UUID) -> Token[UUID | None]:
    """For this task and those it makes from now on; `tenant_context.reset(token)` goes back."""
    return tenant_context.set(tenant_id)


def clear_tenant_context() -> None:
    """Have no current tenant. Scopes that are left later do not bring one back."""
    tenant_context.set(None)


@contextmanager
def tenant_scope_sync(tenant_id: UUID) -> Iterator[UUID]:
    """The current tenant inside the block; after it, also after an error, the outer one again."""
    token = tenant_context.set(tenant_id)
    try:
        yield tenant_id
    finally:
        if tenant_context.get() is not None:
            tenant_context.reset(token)


@asynccontextmanager
async def tenant_scope(tenant_id: UUID) -> AsyncIterator[UUID]:
    """As `tenant_scope_sync`, for `async with`."""
    with tenant_scope_sync(tenant_id):
        yield tenant_id


class TenantDomainEvent(DomainEvent):
    """An event that always belongs to a tenant."""

    tenant_id: UUID

    @classmethod
    def with_tenant_context(cls, **fields: Any) -> Self:
        """The event, of the current tenant unless the fields name one. TenantContextNotSetError
        if neither does."""
        if fields.get("tenant_id") is None:
            fields["tenant_id"] = get_required_tenant()
        return cls(**fields)


class TenantAwareRepository(AggregateRepository[TAggregate]):
    """The repository, storing nothing but events of the current tenant, and loading nothing else.

    Everything but `create_new` needs a current tenant (TenantContextNotSetError). An event of
    another tenant, or of none, raises TenantMismatchError: when saving, before anything is stored;
    when loading, unless `enforce_on_load=False`, which then needs no tenant to load. To others an
    aggregate of the current tenant does not exist.

    This guards code that asks the repository. What guards every query is row-level security.
    """

    def __init__(
        self, repository: AggregateRepository[TAggregate], *, enforce_on_load: bool = True
    ) -> None:
        vars(self).update(vars(repository))
        self.repository = repository
        self._event_store = _OneTenant(repository.event_store, enforce_on_load)


class _OneTenant(EventStoreWrapper):
    """What the guarded repository does with its store."""

    def __init__(self, event_store: EventStore, enforce_on_load: bool) -> None:
        super().__init__(event_store)
        self._enforce_on_load = enforce_on_load

    async def append_events(
        self,
        aggregate_id: UUID,
        aggregate_type: str,
        events: Sequence[DomainEvent],
        expected_version: int,
        *,
        transaction: Any = None,
    ) -> AppendResult:
        _refuse_others(get_required_tenant(), events)
        return await super().append_events(
            aggregate_id, aggregate_type, events, expected_version, transaction=transaction
        )

    async def get_events(
        self,
        aggregate_id: UUID,
        aggregate_type: str | None = None,
        from_version: int = 0,
        *times: Any,
    ) -> EventStream:
        tenant = get_required_tenant() if self._enforce_on_load else None
        stream = await super().get_events(aggregate_id, aggregate_type, from_version, *times)
        if tenant is not None:
            _refuse_others(tenant, stream.events)
            if from_version > 0:  # a snapshot stands for the events before
                _refuse_others(tenant, await self._first(aggregate_id, stream.aggregate_type))
        return stream

    async def get_stream_version(self, aggregate_id: UUID, aggregate_type: str) -> int:
        if self._enforce_on_load:
            tenant = get_required_tenant()
            first = await self._first(aggregate_id, aggregate_type)
            if [stored.tenant_id for stored in first] != [tenant]:
                return 0
        return await super().get_stream_version(aggregate_id, aggregate_type)

    async def _first(self, aggregate_id: UUID, aggregate_type: str) -> list[DomainEvent]:
        """The first event of a stream, whose tenant is the stream's."""
        stream_id = stream_id_of(aggregate_id, aggregate_type)
        return [each.event async for each in self.read_stream(stream_id, ReadOptions(limit=1))]


def _refuse_others(tenant: UUID, events: Iterable[DomainEvent]) -> None:
    others = [each for each in events if each.tenant_id != tenant]
    if others:
        raise TenantMismatchError(tenant, others[0].tenant_id, [each.event_id for each in others])


def tenant_engine(engine: AsyncEngine) -> AsyncEngine:
    """The same engine and pool, for the current tenant.

    Every transaction first sets `eventsource.tenant_id` for itself alone: yours, and those of the
    stores and repositories that are given this engine. The setting ends with the transaction, so a
    pooled connection carries no tenant over. TenantContextNotSetError without a current tenant.

    A store then needs four round trips for a statement instead of one.
    """
    scoped = engine.execution_options(**{TENANT_OPTION: get_required_tenant})

    @event.listens_for(scoped.sync_engine, "begin")
    def name_the_tenant(connection: Connection) -> None:
        connection.exec_driver_sql(SET_TENANT, (str(get_required_tenant()),))

    return scoped
