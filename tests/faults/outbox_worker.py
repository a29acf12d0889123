"""A process that publishes an outbox until it is killed: `outbox_worker.py OUTBOX [hang]`.

OUTBOX is the URL of a PostgreSQL database or the path of a SQLite file. The broker is the table
`delivered` in the database, or a file of lines beside the other: what stands there has been
delivered. With `hang` it stops between the delivery of its first batch and marking it.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Protocol

import asyncpg
from sqlalchemy.ext.asyncio import create_async_engine

from eventsource import (
    DomainEvent,
    OutboxPublisher,
    PostgreSQLOutboxRepository,
    SQLiteOutboxRepository,
    register_event,
)
from eventsource.sqlite_database import SQLiteDatabase

LEASE_SECONDS = 1.2


@register_event
class StepTaken(DomainEvent):
    aggregate_type: str = "Walk"


class Broker(Protocol):
    async def deliver(self, events: list[DomainEvent]) -> None: ...


class Table:
    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def deliver(self, events: list[DomainEvent]) -> None:
        rows = [(event.event_id, event.aggregate_id, event.aggregate_version) for event in events]
        await self._connection.executemany(
            "INSERT INTO delivered (event_id, walk, step) VALUES ($1, $2, $3)", rows
        )


class Lines:
    def __init__(self, path: Path) -> None:
        self._path = path

    async def deliver(self, events: list[DomainEvent]) -> None:
        lines = [f"{one.event_id} {one.aggregate_id} {one.aggregate_version}\n" for one in events]
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, "".join(lines).encode())
        os.close(file)


class Delivery:
    def __init__(self, broker: Broker, *, hangs: bool) -> None:
        self._broker = broker
        self._hangs = hangs

    async def publish(self, events: list[DomainEvent]) -> None:
        await self._broker.deliver(events)
        print(len(events), flush=True)
        if self._hangs:
            await asyncio.Event().wait()


async def main(source: str, *options: str) -> None:
    if source.startswith("postgresql"):
        outbox = PostgreSQLOutboxRepository(create_async_engine(source, pool_size=2))
        broker = Table(await asyncpg.connect(source.replace("+asyncpg", "")))
    else:
        database = SQLiteDatabase(source)
        await database.open()
        outbox, broker = SQLiteOutboxRepository(database), Lines(Path(source + ".delivered"))
    publisher = OutboxPublisher(
        outbox,
        Delivery(broker, hangs="hang" in options),
        batch_size=10,
        poll_interval_seconds=0.05,
        lease_seconds=60 if "hang" in options else LEASE_SECONDS,
    )
    await publisher.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
