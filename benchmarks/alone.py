"""What is measured against ourselves: imports, the size of the table, memory."""

import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

import asyncpg

from benchmarks.driver import WorkerProcess, database_for, running
from benchmarks.plan import OURS
from tutorial_support.database import private_server

IMPORTS = (
    "import sqlalchemy.ext.asyncio, pydantic",
    # `import eventsource` alone imports next to nothing: its names come when they are used.
    "from eventsource import AggregateRepository, DomainEvent, PostgreSQLEventStore",
)
SMALL_TABLE = 10_000

FILL = """
INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, version, timestamp, payload)
SELECT gen_random_uuid(), md5(stream::text)::uuid, 'Order', 'ItemSold', version, now(),
    jsonb_build_object(
        'event_id', gen_random_uuid(), 'event_type', 'ItemSold', 'event_version', 1,
        'occurred_at', now(), 'aggregate_id', md5(stream::text)::uuid, 'aggregate_type', 'Order',
        'aggregate_version', version, 'correlation_id', gen_random_uuid(), 'metadata', '{}'::jsonb,
        'order_number', 4711, 'sku', 'TEA-EARL-GREY-250', 'quantity', 3, 'price', '12.95',
        'currency', 'EUR', 'customer_id', gen_random_uuid(), 'placed_at', now(), 'gift', true,
        'weight_kg', 0.75, 'note', 'leave it with the neighbours'
    )
FROM generate_series($1::int, $2::int) AS stream, generate_series(1, 10) AS version
"""


@dataclass(frozen=True)
class Alone:
    """One measurement without a competitor, and the most that we allow us."""

    title: str
    value: float
    target: float
    unit: str = ""


def import_ratio(rounds: int) -> Alone:
    """What a program with aggregates imports, over the import of what that cannot do without."""
    times: list[list[float]] = [[], []]
    for number in range(rounds + 1):
        for program, seconds in zip(IMPORTS, times, strict=True):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            if number:
                seconds.append(time.perf_counter() - began)
    base, ours = map(statistics.median, times)
    return Alone("import what aggregates need, over SQLAlchemy and pydantic", ours / base, 1.3)


async def growth_and_memory(rows: int, rounds: int) -> list[Alone]:
    """Loads from a small and from a large table, and the memory that reading all of it takes."""
    async with await private_server() as server:
        url = await database_for(server.url, OURS)
        async with running(OURS, url) as worker:
            connection = await asyncpg.connect(url)
            try:
                small = await _load_seconds(connection, worker, 1, SMALL_TABLE // 10, rounds)
                large = await _load_seconds(
                    connection, worker, SMALL_TABLE // 10 + 1, rows // 10, rounds
                )
            finally:
                await connection.close()
        async with running(OURS, url) as fresh:
            grown = await fresh.ask(work="feed_memory", count=rows)
    size = f"{rows:,}".replace(",", " ")
    return [
        Alone(f"load 10 events, of {size} over of 10 000 stored", large / small, 1.3),
        Alone(f"memory for reading the feed, {size} events", grown, 16, "MiB"),
    ]


async def _load_seconds(
    connection: asyncpg.Connection, worker: WorkerProcess, first: int, last: int, rounds: int
) -> float:
    """Fill the table with streams up to `last`, then load some from all over it."""
    await connection.execute(FILL, first, last)
    await connection.execute("VACUUM ANALYZE events")
    some = [
        str(await connection.fetchval("SELECT md5($1::text)::uuid", str(1 + n * (last - 1) // 99)))
        for n in range(100)
    ]
    times = [await worker.ask(work="load_streams", streams=some) for _ in range(rounds + 1)]
    return statistics.median(times[1:])
