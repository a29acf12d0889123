"""A process that publishes an outbox until it is killed: `outbox_worker.py URL [hang]`.

Its broker is the table `delivered`: what stands there has been delivered. With `hang` it stops
between the delivery of its first batch and marking it.
"""

import asyncio
import sys

import asyncpg
from sqlalchemy.ext.asyncio import create_async_engine

from eventsource import DomainEvent, register_event
from eventsource.outbox import OutboxPublisher
from eventsource.repositories.outbox import PostgreSQLOutboxRepository

LEASE_SECONDS = 1.2


@register_event
class StepTaken(DomainEvent):
    aggregate_type: str = "Walk"


class Broker:
    def __init__(self, connection: asyncpg.Connection, *, hangs: bool) -> None:
        self._connection = connection
        self._hangs = hangs

    async def publish(self, events: list[DomainEvent]) -> None:
        rows = [(event.event_id, event.aggregate_id, event.aggregate_version) for event in events]
        await self._connection.executemany(
            "INSERT INTO delivered (event_id, walk, step) VALUES ($1, $2, $3)", rows
        )
        print(len(events), flush=True)
        if self._hangs:
            await asyncio.Event().wait()


async def main(url: str, *options: str) -> None:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    engine = create_async_engine(url, pool_size=2)
    publisher = OutboxPublisher(
        PostgreSQLOutboxRepository(engine),
        Broker(connection, hangs="hang" in options),
        batch_size=10,
        poll_interval_seconds=0.05,
        lease_seconds=60 if "hang" in options else LEASE_SECONDS,
    )
    await publisher.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
