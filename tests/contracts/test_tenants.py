"""Tenants kept apart: by the repository on every store, by PostgreSQL for every query."""

import asyncio
from collections.abc import AsyncIterator, Callable
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from eventsource import (
    AggregateRepository,
    DatabaseError,
    DatabaseProjection,
    DeclarativeAggregate,
    EventStore,
    InlineEventStore,
    InMemorySnapshotStore,
    OptimisticLockError,
    PostgreSQLDLQRepository,
    PostgreSQLEventStore,
    PostgreSQLOutboxRepository,
    PostgreSQLSnapshotStore,
    Snapshot,
    TenantAwareRepository,
    TenantContextNotSetError,
    TenantDomainEvent,
    TenantMismatchError,
    handles,
    register_event,
    tenant_engine,
    tenant_scope,
)
from eventsource.migrations import get_schema
from eventsource.testing import eventually

NORTH, SOUTH = UUID(int=1), UUID(int=2)
STORES = ["in-memory", "sqlite", "postgresql"]


@register_event
class DoorOpened(TenantDomainEvent):
    aggregate_type: str = "Door"
    name: str = "front"


class Door(DeclarativeAggregate[dict[str, int]]):
    aggregate_type = "Door"

    @handles(DoorOpened)
    def on_opened(self, event: DoorOpened) -> None:
        self._state = {"opened": (self._state or {"opened": 0})["opened"] + 1}

    def open(self, tenant: UUID | None = None) -> None:
        self.apply_event(
            DoorOpened.with_tenant_context(
                aggregate_id=self.aggregate_id,
                aggregate_version=self.get_next_version(),
                tenant_id=tenant,
            )
        )


def opened(door: UUID, version: int = 1, tenant: UUID = NORTH, **fields: str) -> DoorOpened:
    return DoorOpened(aggregate_id=door, aggregate_version=version, tenant_id=tenant, **fields)


@pytest.fixture(params=STORES)
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


class TestRepository:
    @pytest.fixture
    def doors(self, event_store: EventStore) -> TenantAwareRepository[Door]:
        return TenantAwareRepository(
            AggregateRepository(
                event_store,
                Door,
                snapshot_store=InMemorySnapshotStore(),
                snapshot_threshold=2,
            )
        )

    async def test_its_own_aggregates_are_loaded_and_saved(
        self, doors: TenantAwareRepository[Door]
    ) -> None:
        door = uuid4()
        async with tenant_scope(NORTH):
            new = doors.create_new(door)
            new.open()
            await doors.save(new)
            await doors.update(door, Door.open)
            assert (await doors.load(door)).state == {"opened": 2}
            assert await doors.exists(door)
            assert (await doors.load_or_create(uuid4())).version == 0
        assert doors.aggregate_type == "Door"

    @pytest.mark.parametrize("events", [1, 2], ids=["from events", "from a snapshot"])
    async def test_another_tenants_are_not(
        self, doors: TenantAwareRepository[Door], events: int
    ) -> None:
        door = uuid4()
        async with tenant_scope(NORTH):
            for _ in range(events):
                await doors.update(door, Door.open, create=True)
        async with tenant_scope(SOUTH):
            for work in (doors.load, doors.load_or_create):
                with pytest.raises(TenantMismatchError):
                    await work(door)
            with pytest.raises(TenantMismatchError):
                await doors.update(door, Door.open)
            assert not await doors.exists(door)
        assert await doors.repository.get_version(door) == events

    async def test_a_stream_of_two_tenants_is_refused_to_both(
        self, doors: TenantAwareRepository[Door], event_store: EventStore
    ) -> None:
        door = uuid4()
        events = [opened(door), opened(door, 2, SOUTH)]
        await event_store.append_events(door, "Door", events, 0)
        for tenant in (NORTH, SOUTH):
            async with tenant_scope(tenant):
                with pytest.raises(TenantMismatchError):
                    await doors.load(door)

    async def test_nothing_of_a_save_is_stored_if_one_event_is_foreign(
        self, doors: TenantAwareRepository[Door]
    ) -> None:
        door = doors.create_new(uuid4())
        async with tenant_scope(NORTH):
            door.open()
            door.open(tenant=SOUTH)
            with pytest.raises(TenantMismatchError) as error:
                await doors.save(door)
        assert (error.value.expected, error.value.actual) == (NORTH, SOUTH)
        assert error.value.event_ids == (door.uncommitted_events[1].event_id,)
        assert await doors.repository.get_version(door.aggregate_id) == 0

    async def test_no_tenant_is_an_error_and_not_all_tenants(
        self, doors: TenantAwareRepository[Door]
    ) -> None:
        door = doors.create_new(uuid4())
        door.open(tenant=NORTH)
        with pytest.raises(TenantContextNotSetError):
            await doors.save(door)
        for work in (doors.load, doors.load_or_create, doors.exists):
            with pytest.raises(TenantContextNotSetError):
                await work(door.aggregate_id)

    async def test_loading_can_be_left_to_the_database(
        self, doors: TenantAwareRepository[Door]
    ) -> None:
        door = uuid4()
        async with tenant_scope(NORTH):
            await doors.update(door, Door.open, create=True)
        lenient = TenantAwareRepository(doors.repository, enforce_on_load=False)
        assert await lenient.exists(door)
        loaded = await lenient.load(door)
        loaded.open(tenant=SOUTH)
        async with tenant_scope(NORTH):
            with pytest.raises(TenantMismatchError):
                await lenient.save(loaded)


@pytest.fixture
async def role(database_url: str, database_connection: asyncpg.Connection) -> AsyncIterator[str]:
    """A role as an application has: it owns nothing and is no superuser."""
    name = database_url.rpartition("/")[2] + "_app"
    await database_connection.execute(
        get_schema("row_level_security")
        + f"CREATE ROLE {name}; GRANT SELECT, INSERT ON events TO {name};"
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name};"
        f"REVOKE UPDATE, DELETE ON events FROM {name};"
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name};"
    )
    yield name
    await database_connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.fixture
def engine(engine_of: Callable[..., AsyncEngine], database_url: str, role: str) -> AsyncEngine:
    """One connection, so that everybody gets the one that the last has used."""
    return engine_of(
        database_url,
        pool_size=1,
        max_overflow=0,
        connect_args={"server_settings": {"role": role}},
    )


@pytest.fixture
def tenants(engine: AsyncEngine) -> AsyncEngine:
    return tenant_engine(engine)


@pytest.fixture
def store(tenants: AsyncEngine) -> PostgreSQLEventStore:
    return PostgreSQLEventStore(async_sessionmaker(tenants), outbox_enabled=True)


async def add(store: EventStore, tenant: UUID, version: int = 1, door: UUID | None = None) -> UUID:
    door = door or uuid4()
    async with tenant_scope(tenant):
        await store.append_events(door, "Door", [opened(door, version, tenant)], version - 1)
    return door


FILL = """
INSERT INTO events (
    event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, timestamp, payload
)
SELECT gen_random_uuid(), gen_random_uuid(), 'Door', 'DoorOpened',
    ('00000000-0000-0000-0000-00000000000' || n % 4)::uuid, 1, now(), '{}'
FROM generate_series(1, 4000) AS n;
ANALYZE events
"""

ONE_STREAM = """
SELECT payload FROM events
WHERE aggregate_id = '00000000-0000-0000-0000-00000000000a' AND aggregate_type = 'Door'
ORDER BY version
"""

FEED = """
SELECT payload FROM events WHERE (transaction_id, global_position) > ('0', 100)
ORDER BY transaction_id, global_position LIMIT 10
"""

ROWS = "SELECT count(*) FROM events"


class TestRowLevelSecurity:
    async def test_every_call_of_the_store_sees_one_tenant(
        self, store: PostgreSQLEventStore
    ) -> None:
        doors = {tenant: await add(store, tenant) for tenant in (NORTH, SOUTH)}
        for tenant, other in ((NORTH, SOUTH), (SOUTH, NORTH)):
            async with tenant_scope(tenant):
                feed = [stored.event async for stored in store.read_all()]
                assert [event.tenant_id for event in feed] == [tenant]
                assert await store.get_events_by_type("Door") == feed
                assert await store.get_events_by_type("Door", tenant_id=other) == []
                assert (await store.get_events(doors[other], "Door")).is_empty
                assert await store.get_stream_version(doors[other], "Door") == 0
                assert await store.get_stream_version(doors[tenant], "Door") == 1

    async def test_a_query_that_forgets_to_ask_sees_one_tenant(
        self, store: PostgreSQLEventStore, tenants: AsyncEngine, engine: AsyncEngine
    ) -> None:
        for tenant in (NORTH, SOUTH, SOUTH):
            await add(store, tenant)
        for tenant, count in ((NORTH, 1), (SOUTH, 2), (UUID(int=3), 0)):
            async with tenant_scope(tenant), tenants.connect() as connection:
                assert await connection.scalar(text(ROWS)) == count
        # The same pool and connection, without the setting.
        async with engine.connect() as connection:
            assert await connection.scalar(text(ROWS)) == 0

    async def test_no_tenant_is_an_error_before_anything_is_sent(
        self, store: PostgreSQLEventStore, tenants: AsyncEngine
    ) -> None:
        door = uuid4()
        with pytest.raises(TenantContextNotSetError):
            await store.append_events(door, "Door", [opened(door)], 0)
        with pytest.raises(TenantContextNotSetError):
            await store.get_events(door, "Door")
        for _ in range(2):
            with pytest.raises(TenantContextNotSetError):
                async with tenants.connect() as connection:
                    await connection.scalar(text(ROWS))

    async def test_a_missing_setting_takes_no_row(
        self, engine: AsyncEngine, database_connection: asyncpg.Connection
    ) -> None:
        door = uuid4()
        unscoped = PostgreSQLEventStore(async_sessionmaker(engine))
        with pytest.raises(DatabaseError, match="row-level security") as error:
            await unscoped.append_events(door, "Door", [opened(door)], 0)
        assert error.value.sqlstate == "42501"
        assert await database_connection.fetchval(ROWS) == 0

    async def test_an_event_of_another_tenant_is_refused(
        self, store: PostgreSQLEventStore, database_connection: asyncpg.Connection
    ) -> None:
        door = uuid4()
        async with tenant_scope(NORTH):
            with pytest.raises(DatabaseError, match="row-level security"):
                await store.append_events(door, "Door", [opened(door, tenant=SOUTH)], 0)
        assert await database_connection.fetchval(ROWS) == 0
        assert await database_connection.fetchval("SELECT count(*) FROM event_outbox") == 0

    async def test_the_version_guard_holds_within_and_across_tenants(
        self, store: PostgreSQLEventStore
    ) -> None:
        door = await add(store, NORTH)
        with pytest.raises(OptimisticLockError):
            await add(store, NORTH, door=door)
        with pytest.raises(DatabaseError, match="unique"):
            await add(store, SOUTH, door=door)

    async def test_transactions_of_ones_own_have_the_tenant_too(
        self, store: PostgreSQLEventStore, tenants: AsyncEngine
    ) -> None:
        door = uuid4()
        async with tenant_scope(NORTH):
            async with async_sessionmaker(tenants)() as session, session.begin():
                await store.append_events(door, "Door", [opened(door)], 0, transaction=session)
                assert await session.scalar(text(ROWS)) == 1
            async with tenants.begin() as connection:
                await store.append_events(
                    door, "Door", [opened(door, 2)], 1, transaction=connection
                )
        async with tenant_scope(SOUTH), tenants.connect() as connection:
            assert await connection.scalar(text(ROWS)) == 0

    async def test_outbox_snapshots_and_dead_letters_belong_to_the_tenant_of_their_events(
        self, store: PostgreSQLEventStore, tenants: AsyncEngine
    ) -> None:
        door = await add(store, NORTH)
        outbox, dead_letters, snapshots = (
            make(tenants)
            for make in (
                PostgreSQLOutboxRepository,
                PostgreSQLDLQRepository,
                PostgreSQLSnapshotStore,
            )
        )
        snapshot = Snapshot(door, "Door", 1, {"opened": 1})
        async with tenant_scope(NORTH):
            (event,) = (await store.get_events(door, "Door")).events
            for _ in range(2):  # the second time is an update
                await snapshots.save_snapshot(snapshot)
                await dead_letters.add_failed_event(
                    event.event_id, "Doors", "DoorOpened", event.to_dict(), ValueError("no")
                )
            assert len(await outbox.get_pending_events()) == 1
            assert len(await dead_letters.get_failed_events()) == 1
            assert await snapshots.get_snapshot(door, "Door") is not None
        async with tenant_scope(SOUTH):
            assert await outbox.get_pending_events() == []
            assert await dead_letters.get_failed_events() == []
            assert await snapshots.get_snapshot(door, "Door") is None
            with pytest.raises(DatabaseError, match="row-level security"):
                await snapshots.save_snapshot(snapshot)

    async def test_a_cancelled_append_leaves_no_tenant_in_the_pool(
        self,
        store: PostgreSQLEventStore,
        engine: AsyncEngine,
        database_connection: asyncpg.Connection,
    ) -> None:
        door = await add(store, NORTH)
        async with database_connection.transaction():
            await database_connection.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
            append = asyncio.create_task(add(store, NORTH, 2, door))
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            await eventually(lambda: database_connection.fetchval(waiting))
            append.cancel()
            await asyncio.sleep(0)
            append.cancel()
            with pytest.raises(asyncio.CancelledError):
                await append
        assert await add(store, SOUTH)
        async with engine.connect() as connection:
            assert await connection.scalar(text(ROWS)) == 0
        async with tenant_scope(NORTH):
            assert await store.get_stream_version(door, "Door") == 1

    async def test_inline_projections_write_as_the_tenant(
        self, tenants: AsyncEngine, database_connection: asyncpg.Connection, role: str
    ) -> None:
        await database_connection.execute(
            "CREATE TABLE seen (tenant_id UUID NOT NULL DEFAULT event_tenant(), name TEXT);"
            "ALTER TABLE seen ENABLE ROW LEVEL SECURITY;"
            "CREATE POLICY one_tenant ON seen USING (tenant_id = event_tenant());"
            f"GRANT SELECT, INSERT ON seen TO {role};"
        )
        inline = InlineEventStore(PostgreSQLEventStore(tenants), [Seen(tenants)])
        await add(inline, NORTH)
        async with tenant_scope(SOUTH), tenants.connect() as connection:
            assert await connection.scalar(text("SELECT count(*) FROM seen")) == 0
        assert await database_connection.fetchval("SELECT tenant_id FROM seen") == NORTH

    @pytest.mark.parametrize(
        ("query", "index"),
        [(ONE_STREAM, "uq_events_aggregate_version"), (FEED, "idx_events_")],
        ids=["stream", "feed"],
    )
    async def test_streams_and_feeds_are_read_from_an_index(
        self,
        tenants: AsyncEngine,
        database_connection: asyncpg.Connection,
        query: str,
        index: str,
    ) -> None:
        await database_connection.execute(FILL)
        async with tenant_scope(NORTH), tenants.connect() as connection:
            plan = "\n".join((await connection.scalars(text(f"EXPLAIN {query}"))).all())
        assert index in plan
        assert "Seq Scan" not in plan

    async def test_a_partition_asked_by_name_shows_nothing(
        self, empty_database_url: str, load_sql, engine_of
    ) -> None:
        role = empty_database_url.rpartition("/")[2] + "_app"
        await load_sql(
            empty_database_url,
            get_schema("events_partitioned")
            + get_schema("row_level_security")
            + f"CREATE ROLE {role}; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};"
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role};",
        )
        try:
            tenants = tenant_engine(
                engine_of(empty_database_url, connect_args={"server_settings": {"role": role}})
            )
            door = await add(PostgreSQLEventStore(tenants), NORTH)
            async with tenant_scope(NORTH), tenants.connect() as connection:
                part = await connection.scalar(text("SELECT tableoid::regclass::text FROM events"))
                assert await connection.scalar(text(f"SELECT count(*) FROM {part}")) == 0
                assert await connection.scalar(text(ROWS)) == 1
            assert door
            await tenants.dispose()
        finally:
            await load_sql(empty_database_url, f"DROP OWNED BY {role}; DROP ROLE {role}")


class Seen(DatabaseProjection):
    tables = ("seen",)
    inline = True

    @handles(DoorOpened)
    async def _note(self, transaction: object, event: DoorOpened) -> None:
        await transaction.execute(
            text("INSERT INTO seen (name) VALUES (:name)"), {"name": event.name}
        )
