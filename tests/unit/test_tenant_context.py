"""Who the current tenant is."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from eventsource import (
    EventSourceError,
    TenantContextNotSetError,
    TenantDomainEvent,
    TenantMismatchError,
    clear_tenant_context,
    get_current_tenant,
    get_required_tenant,
    set_current_tenant,
    tenant_scope,
    tenant_scope_sync,
)
from eventsource.multitenancy import tenant_context

NORTH, SOUTH = UUID(int=1), UUID(int=2)


class ShopOpened(TenantDomainEvent):
    aggregate_type: str = "Shop"


@pytest.fixture(autouse=True)
def no_tenant():
    token = tenant_context.set(None)
    yield
    tenant_context.reset(token)


def test_there_is_none_at_first() -> None:
    assert get_current_tenant() is None
    with pytest.raises(TenantContextNotSetError, match="tenant_scope") as error:
        get_required_tenant()
    assert "set_current_tenant" in str(error.value)
    assert isinstance(error.value, EventSourceError)


def test_it_is_set_and_taken_back() -> None:
    token = set_current_tenant(NORTH)
    assert get_required_tenant() == NORTH
    tenant_context.reset(token)
    assert get_current_tenant() is None


async def test_a_scope_restores_the_outer_tenant_also_after_an_error() -> None:
    async with tenant_scope(NORTH):
        with suppress(LookupError), tenant_scope_sync(SOUTH):
            assert get_current_tenant() == SOUTH
            raise LookupError
        assert get_current_tenant() == NORTH
        with tenant_scope_sync(SOUTH):
            set_current_tenant(uuid4())
        assert get_current_tenant() == NORTH
    assert get_current_tenant() is None


async def test_what_was_cleared_inside_a_scope_stays_cleared() -> None:
    set_current_tenant(NORTH)
    async with tenant_scope(SOUTH):
        with tenant_scope_sync(SOUTH):
            clear_tenant_context()
        assert get_current_tenant() is None
    assert get_current_tenant() is None


async def test_tasks_and_to_thread_take_it_along_and_other_threads_do_not() -> None:
    async with tenant_scope(NORTH):
        task = asyncio.create_task(asyncio.to_thread(get_current_tenant))
        with ThreadPoolExecutor(1) as pool:
            elsewhere = await asyncio.get_running_loop().run_in_executor(pool, get_current_tenant)
    assert await task == NORTH
    assert elsewhere is None


async def test_tasks_of_two_tenants_do_not_meet() -> None:
    both = asyncio.Barrier(2)

    async def work(tenant: UUID) -> UUID:
        async with tenant_scope(tenant):
            await both.wait()
            return get_required_tenant()

    assert await asyncio.gather(work(NORTH), work(SOUTH)) == [NORTH, SOUTH]


def test_an_event_takes_the_current_tenant_unless_it_is_told_another() -> None:
    with tenant_scope_sync(NORTH):
        assert ShopOpened.with_tenant_context(aggregate_id=uuid4()).tenant_id == NORTH
        other = ShopOpened.with_tenant_context(aggregate_id=uuid4(), tenant_id=SOUTH)
    assert other.tenant_id == SOUTH
    with pytest.raises(TenantContextNotSetError):
        ShopOpened.with_tenant_context(aggregate_id=uuid4())


@pytest.mark.parametrize("fields", [{}, {"tenant_id": None}])
def test_an_event_of_a_tenant_never_goes_without(fields: dict[str, None]) -> None:
    with tenant_scope_sync(NORTH), pytest.raises(ValidationError, match="tenant_id"):
        ShopOpened(aggregate_id=uuid4(), **fields)


def test_the_error_lists_at_most_five_events() -> None:
    event_ids = [UUID(int=n) for n in range(1, 8)]
    error = TenantMismatchError(NORTH, None, event_ids)
    assert error.event_ids == tuple(event_ids)
    assert str(event_ids[4]) in str(error)
    assert str(event_ids[5]) not in str(error)
