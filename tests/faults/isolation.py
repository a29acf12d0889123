"""Tenants on pooled connections, interrupted at random: `python -m tests.faults.isolation 100000`.

Twenty requests at a time share five connections. Some are cancelled, some fail in mid-transaction.
Whatever happens, nobody may see a row of another tenant.
"""

import asyncio
import random
import secrets
import sys
from collections import Counter
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from eventsource import (
    EventStoreError,
    PostgreSQLEventStore,
    ReadOptions,
    TenantDomainEvent,
    register_event,
    tenant_engine,
    tenant_scope,
)
from eventsource.migrations import get_schema

TENANTS = [UUID(int=n) for n in range(1, 6)]
REQUESTS_AT_ONCE = 20


@register_event
class TenantBellRung(TenantDomainEvent):
    aggregate_type: str = "Bell"


class Isolation:
    """Random requests of random tenants; `done` counts them by kind, `leaks` must stay empty."""

    def __init__(self, url: str, role: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.engine = create_async_engine(
            url,
            pool_size=5,
            max_overflow=0,
            connect_args={"server_settings": {"role": role}},
        )
        self.tenants = tenant_engine(self.engine)
        self.store = PostgreSQLEventStore(async_sessionmaker(self.tenants))
        self.streams: list[tuple[UUID, UUID]] = [(uuid4(), TENANTS[0])]
        self.done: Counter[str] = Counter()
        self.leaks: list[str] = []

    async def run(self, operations: int) -> None:
        left = iter(range(operations))

        async def serve() -> None:
            for _ in left:
                await self._request()

        try:
            await asyncio.gather(*(serve() for _ in range(REQUESTS_AT_ONCE)))
        finally:
            await self.engine.dispose()

    async def _request(self) -> None:
        kinds = [self._append, self._stream, self._of_type, self._feed, self._forgot, self._failed]
        kind, tenant = self.random.choice(kinds), self.random.choice(TENANTS)
        if self.random.random() < 0.02:
            kind = self._nobody
        request = asyncio.create_task(self._as(tenant, kind))
        if self.random.random() < 0.2:
            await asyncio.sleep(self.random.uniform(0, 0.004))
            request.cancel()
        (answer,) = await asyncio.gather(request, return_exceptions=True)
        name = kind.__name__.strip("_")
        if isinstance(answer, asyncio.CancelledError):
            name = "cancelled"
        elif isinstance(answer, BaseException) and not isinstance(answer, Refused):
            raise answer
        self.done[name] += 1

    async def _as(self, tenant: UUID, kind) -> None:
        if kind == self._nobody:
            return await kind(tenant)
        async with tenant_scope(tenant):
            return await kind(tenant)

    async def _append(self, tenant: UUID) -> None:
        bell = uuid4()
        owner = tenant if self.random.random() < 0.9 else self.random.choice(TENANTS)
        event = TenantBellRung(aggregate_id=bell, tenant_id=owner)
        try:
            await self.store.append_events(bell, "Bell", [event], 0)
        except EventStoreError as error:
            if owner == tenant:
                raise
            raise Refused from error
        if owner != tenant:
            self.leaks.append(f"{tenant} stored an event of {owner}")
        self.streams.append((bell, tenant))

    async def _stream(self, tenant: UUID) -> None:
        bell, owner = self.random.choice(self.streams)
        stream = await self.store.get_events(bell, "Bell")
        self._look(tenant, [event.tenant_id for event in stream.events])
        if owner != tenant and stream.version:
            self.leaks.append(f"{tenant} saw a version of {owner}")

    async def _of_type(self, tenant: UUID) -> None:
        bell, _ = self.random.choice(self.streams)
        if await self.store.event_exists(bell):  # of no event's id
            self.leaks.append("an event that nobody stored")
        options = ReadOptions(limit=20, aggregate_types=("Bell",))
        self._look(tenant, [s.event.tenant_id async for s in self.store.read_all(options)])

    async def _feed(self, tenant: UUID) -> None:
        options = ReadOptions(limit=20)
        self._look(tenant, [s.event.tenant_id async for s in self.store.read_all(options)])

    async def _forgot(self, tenant: UUID) -> None:
        """A query without a WHERE."""
        async with self.tenants.connect() as connection:
            query = text("SELECT DISTINCT tenant_id FROM events LIMIT 10")
            self._look(tenant, [row.tenant_id for row in await connection.execute(query)])

    async def _failed(self, tenant: UUID) -> None:
        """An error in the middle of a transaction."""
        try:
            async with self.tenants.begin() as connection:
                query = text("SELECT tenant_id FROM events LIMIT 5")
                self._look(tenant, [row.tenant_id for row in await connection.execute(query)])
                await connection.execute(text("SELECT 1 / 0"))
        except DBAPIError as error:
            raise Refused from error

    async def _nobody(self, _: UUID) -> None:
        """The same pool, by a path that names no tenant."""
        async with self.engine.connect() as connection:
            if rows := await connection.scalar(text("SELECT count(*) FROM events")):
                self.leaks.append(f"{rows} rows for nobody")

    def _look(self, tenant: UUID, seen: list[UUID | None]) -> None:
        if others := {each for each in seen if each != tenant}:
            self.leaks.append(f"{tenant} saw rows of {others}")


class Refused(Exception):  # noqa: N818  # what was to happen
    """The database refused what it had to refuse."""


async def prepare(url: str) -> str:
    """Row-level security, and a role as an application has; returns its name."""
    role = f"isolation_{secrets.token_hex(4)}"
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    await connection.execute(
        get_schema("row_level_security")
        + f"CREATE ROLE {role}; GRANT SELECT, INSERT ON events TO {role};"
        f"GRANT USAGE ON SEQUENCE events_global_position_seq TO {role}"
    )
    await connection.close()
    return role


async def remove(url: str, role: str) -> None:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    await connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    await connection.close()


async def main(operations: int) -> None:
    from tutorial_support.database import private_server

    async with await private_server() as server:
        isolation = Isolation(server.url, await prepare(server.url), seed=1)
        await isolation.run(operations)
    print(dict(isolation.done))
    if isolation.leaks:
        sys.exit("\n".join(isolation.leaks[:20]))
    print(f"{sum(isolation.done.values())} requests, and no row of another tenant")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
