"""What every competitor does: one program a competitor, one line of JSON a measurement.

The driver writes `{"work": ..., ...}` to a worker's standard input and reads the seconds it took,
or whatever else was measured.
Everything a measurement needs, events above all, is made before the clock starts. A competitor is
a class with the methods of `Competitor`; it runs in an environment of its own, so this file needs
nothing but the standard library.
"""

import asyncio
import gc
import json
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

PLACED_AT = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
CUSTOMER = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
#: The ten typed fields that every competitor stores and reads back as these types.
FIELDS: dict[str, Any] = {
    "order_number": 4711,
    "sku": "TEA-EARL-GREY-250",
    "quantity": 3,
    "price": Decimal("12.95"),
    "currency": "EUR",
    "customer_id": CUSTOMER,
    "placed_at": PLACED_AT,
    "gift": True,
    "weight_kg": 0.75,
    "note": "leave it with the neighbours",
}


class Competitor:
    """What can be measured; a competitor that lacks something leaves the method out.

    Methods are coroutines, or plain functions with `threads = True`.
    """

    threads = False

    async def open(self, url: str) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


def prepared(competitor: Any, count: int, calls: int, writers: int) -> list[list[Any]]:
    """For each writer its appends, each to a new stream."""
    return [[competitor.prepare(uuid4(), count) for _ in range(calls)] for _ in range(writers)]


async def each_writer(competitor: Any, jobs: list[list[Any]], method: str) -> float:
    """Seconds until all writers have called the method for each of their arguments."""
    call = getattr(competitor, method)
    if competitor.threads and len(jobs) > 1:
        with ThreadPoolExecutor(len(jobs)) as pool:
            began = time.perf_counter()
            list(pool.map(lambda mine: [call(job) for job in mine], jobs))
            return time.perf_counter() - began

    async def write(mine: list[Any]) -> None:
        for job in mine:
            answer = call(job)
            if not competitor.threads:
                await answer

    began = time.perf_counter()
    await asyncio.gather(*map(write, jobs))
    return time.perf_counter() - began


class Worker:
    """Answers the driver's lines with a competitor's times."""

    def __init__(self, competitor: Any) -> None:
        self.competitor = competitor
        self.streams: dict[int, list[Any]] = {}

    async def append(self, count: int, calls: int, writers: int = 1) -> float:
        jobs = prepared(self.competitor, count, calls, writers)
        return await each_writer(self.competitor, jobs, "append")

    async def append_with_outbox(self, count: int, calls: int) -> float:
        jobs = prepared(self.competitor, count, calls, 1)
        return await each_writer(self.competitor, jobs, "append_with_outbox")

    async def drain(self, count: int) -> float:
        """Publish and mark `count` pending outbox rows in batches of 100; to nobody."""
        await self.called("drain", sys.maxsize)  # what others have left
        jobs = prepared(self.competitor, 10, count // 10, 1)
        await each_writer(self.competitor, jobs, "append_with_outbox")
        return await self.timed("drain", count)

    async def load(self, count: int, calls: int) -> float:
        """Load streams of `count` events and fold them into a state."""
        known = self.streams.setdefault(count, [])
        while len(known) < 3:
            stream = uuid4()
            await each_writer(self.competitor, [[self.competitor.prepare(stream, count)]], "append")
            known.append(stream)
        jobs = [[known[n % 3] for n in range(calls)]]
        seconds = await each_writer(self.competitor, jobs, "load")
        await self.check(known[0], count)
        return seconds

    async def round_trip(self, calls: int) -> float:
        """Load an aggregate of 10 events, run a command, save."""
        streams = [uuid4() for _ in range(calls)]
        jobs = [[self.competitor.prepare(stream, 10) for stream in streams]]
        await each_writer(self.competitor, jobs, "append")
        return await each_writer(self.competitor, [streams], "round_trip")

    async def load_streams(self, streams: list[str]) -> float:
        """Load streams that are stored already."""
        return await each_writer(self.competitor, [[UUID(text) for text in streams]], "load")

    async def feed_memory(self, count: int) -> float:
        """MiB by which the peak of our memory grows from the second page to the last."""
        await self.timed("feed", 2000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await self.timed("feed", count)
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024

    async def feed(self, count: int) -> float:
        """Read the first `count` events of the log in pages of 1000."""
        return await self.timed("feed", count)

    async def timed(self, method: str, *arguments: Any) -> float:
        began = time.perf_counter()
        answer = await self.called(method, *arguments)
        seconds = time.perf_counter() - began
        if answer != arguments[0]:
            raise AssertionError(f"{method} saw {answer} events instead of {arguments[0]}")
        return seconds

    async def called(self, method: str, *arguments: Any) -> Any:
        answer = getattr(self.competitor, method)(*arguments)
        return answer if self.competitor.threads else await answer

    async def check(self, stream: UUID, count: int) -> None:
        """All competitors fold the same: how many pieces, for how much money."""
        pieces, total = await self.called("load", stream)
        wanted = (3 * count, Decimal("12.95") * 3 * count)
        if (pieces, total) != wanted or type(total) is not Decimal:
            raise AssertionError(f"load gives {pieces, total} instead of {wanted}")

    async def serve(self, url: str) -> None:
        await self.called("open", url)
        # Or full collections, which come every few thousand events, would charge a load for the
        # modules that a competitor has imported.
        gc.collect()
        gc.freeze()
        print(json.dumps({"ready": True}), flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            request = json.loads(line)
            answer = await getattr(self, request.pop("work"))(**request)
            print(json.dumps({"answer": answer}), flush=True)
        await self.called("close")


def main(competitor: Any) -> None:
    asyncio.run(Worker(competitor).serve(sys.argv[1]))
