"""A log that moves to another cluster with pg_dump and pg_restore keeps its order."""

import os
import subprocess
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from eventsource import (
    DomainEvent,
    EventStore,
    PostgreSQLEventStore,
    ReadOptions,
    SchemaError,
    register_event,
)
from eventsource.migrations import get_schema
from eventsource.types import Position
from tutorial_support.database import private_server
from tutorial_support.database.choice import find_programs
from tutorial_support.database.programs import Programs
from tutorial_support.lab import eventually

# Transactions that changed nothing we keep, as an old cluster has had many.
AGE_THE_CLUSTER = """
DO $$ BEGIN
    FOR n IN 1..3000 LOOP
        PERFORM pg_current_xact_id();
        COMMIT;
    END LOOP;
END $$
"""


@register_event
class BookShelved(DomainEvent):
    aggregate_type: str = "Shelf"
    place: int


@pytest.fixture
def programs() -> Programs:
    found = find_programs()
    assert found is not None
    return found


async def shelve(store: EventStore, *places: int) -> None:
    for place in places:
        event = BookShelved(aggregate_id=uuid4(), place=place)
        await store.append_events(event.aggregate_id, "Shelf", [event], 0)


async def places(store: EventStore, after: int | Position = 0) -> list[int]:
    feed = store.read_all(ReadOptions(from_position=after))
    return [stored.event.place async for stored in feed]


async def run_sql(url: URL, text: str) -> object:
    """The value of a query, or None after any number of other statements."""
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(plain)
    try:
        if text.startswith("SELECT"):
            return await connection.fetchval(text)
        return await connection.execute(text) and None
    finally:
        await connection.close()


def run_program(programs: Programs, name: str, url: URL, *arguments: str) -> None:
    address = ["-h", url.host or "", "-p", str(url.port), "-U", url.username or ""]
    secret = os.environ | {"PGPASSWORD": str(url.password or "")}
    command = [programs.path(name), *address, *arguments]
    done = subprocess.run(command, env=secret, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("schema", ["events", "events_partitioned"])
async def test_a_restored_log_is_adopted_and_goes_on(
    programs: Programs, tmp_path: Path, schema: str
) -> None:
    dump = str(tmp_path / "log.dump")
    async with await private_server() as old, await private_server() as new:
        source, target = make_url(old.url), make_url(new.url)
        for server in (source, target):
            await run_sql(server, "CREATE DATABASE log")
        source, target = source.set(database="log"), target.set(database="log")
        engine = create_async_engine(source)
        store = PostgreSQLEventStore(async_sessionmaker(engine))
        await run_sql(source, get_schema(schema))
        await run_sql(source, AGE_THE_CLUSTER)
        await shelve(store, 1, 2, 3)
        checkpoint = (await eventually(lambda: all_stored(store, 3)))[1]
        await engine.dispose()

        run_program(programs, "pg_dump", source, "-Fc", "-f", dump, "log")
        run_program(programs, "pg_restore", target, "--exit-on-error", "-d", "log", dump)

        engine = create_async_engine(target)
        store = PostgreSQLEventStore(async_sessionmaker(engine))
        for attempt in (shelve(store, 4), places(store)):
            with pytest.raises(SchemaError, match=r"SELECT event_log_adopt\(\)"):
                await attempt
        assert len(await store.get_events_by_type("Shelf")) == 3

        offset = await run_sql(target, "SELECT event_log_adopt()")
        assert isinstance(offset, int)
        assert offset > 0
        await shelve(store, 4, 5)
        assert await eventually(lambda: places_if(store, 5)) == [1, 2, 3, 4, 5]
        assert await places(store, checkpoint.position) == [3, 4, 5]
        assert await places(store, checkpoint.global_position) == [3, 4, 5]
        positions = [stored.global_position async for stored in store.read_all()]
        assert positions == [1, 2, 3, 4, 5]

        assert await run_sql(target, "SELECT event_log_adopt()") == offset
        await run_sql(target, get_schema(schema))  # loading the schema again undoes nothing
        await shelve(store, 6)
        assert await eventually(lambda: places_if(store, 6)) == [1, 2, 3, 4, 5, 6]
        await engine.dispose()


async def all_stored(store: EventStore, count: int) -> list:
    stored = [one async for one in store.read_all()]
    return stored if len(stored) == count else []


async def places_if(store: EventStore, count: int) -> list[int]:
    return [one.event.place for one in await all_stored(store, count)]
