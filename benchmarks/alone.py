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

UNAVOIDABLE = "import sqlalchemy.ext.asyncio, pydantic"
#: `import eventsource` alone imports next to nothing: its names come when they are used.
IMPORTS = {
    "import eventsource": "import eventsource",
    "import what aggregates need": (
        "from eventsource import AggregateRepository, DomainEvent, PostgreSQLEventStore"
    ),
}
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


def import_ratios(rounds: int) -> list[Alone]:
    """Imports of the library over the import of what it cannot do without."""
    times: dict[str, list[float]] = {each: [] for each in (UNAVOIDABLE, *IMPORTS.values())}
    for number in range(rounds + 1):
        for program, seconds in times.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            if number:
                seconds.append(time.perf_counter() - began)
    base = statistics.median(times[UNAVOIDABLE])
    return [
        Alone(f"{title}, over SQLAlchemy and pydantic", statistics.median(times[each]) / base, 1.3)
        for title, each in IMPORTS.items()
    ]


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
