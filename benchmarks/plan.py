"""What is measured, and how far from raw asyncpg we may be: the one place for both."""

from dataclasses import dataclass
from typing import Any

RAW, OURS = "raw asyncpg", "eventsource"
EVENTSOURCE_PY, EVENTSOURCING = "eventsource-py", "eventsourcing"
COMPETITORS = {
    RAW: "raw.py",
    OURS: "ours.py",
    EVENTSOURCE_PY: "eventsource_py.py",
    EVENTSOURCING: "eventsourcing_py.py",
}
EVERYBODY = tuple(COMPETITORS)


@dataclass(frozen=True)
class Workload:
    """One row of the table; `target` is the highest ratio to raw asyncpg that we allow us."""

    title: str
    request: dict[str, Any]
    target: float
    who: tuple[str, ...] = EVERYBODY
    before: dict[str, Any] | None = None

    @property
    def operations(self) -> int:
        """How many operations of a kind one request times."""
        return int(self.request.get("calls", 1)) * int(self.request.get("writers", 1))


def _append(title: str, target: float, count: int, calls: int, writers: int = 1) -> Workload:
    request = {"work": "append", "count": count, "calls": calls, "writers": writers}
    return Workload(title, request, target)


def _load(count: int, target: float, calls: int) -> Workload:
    title = f"load {count:,} event{'s' if count > 1 else ''}".replace(",", " ")
    return Workload(title, {"work": "load", "count": count, "calls": calls}, target)


def workloads(*, quick: bool) -> list[Workload]:
    """All of them; `quick` makes them short, and their figures rough."""
    feed = 10_000 if quick else 100_000
    ours_too = (RAW, OURS)
    asyncio_only = (RAW, OURS, EVENTSOURCE_PY)
    plan = [
        _append("append 1 event", 1.5, 1, 100),
        _append("append 1 event, 8 writers", 1.8, 1, 40, 8),
        _append("append 1 event, 32 writers", 1.7, 1, 20, 32),
        _append("append 10 events", 1.5, 10, 50),
        _append("append 100 events", 1.3, 100, 20),
        _append("append 1000 events", 1.2, 1000, 3),
        _load(1, 1.7, 200),
        _load(10, 1.6, 100),
        _load(100, 1.4, 50),
        _load(1000, 1.3, 6),
        _load(10_000, 1.2, 1),
        Workload(
            f"read the feed: {feed:,} events".replace(",", " "),
            {"work": "feed", "count": feed},
            1.4,
            ours_too,
            before={"work": "append", "count": 1000, "calls": feed // 1000},
        ),
        Workload(
            "append 1 event with an outbox row",
            {"work": "append_with_outbox", "count": 1, "calls": 100},
            1.6,
            asyncio_only,
        ),
        Workload(
            "drain the outbox, batches of 100", {"work": "drain", "count": 500}, 1.3, asyncio_only
        ),
        Workload("load, command, save", {"work": "round_trip", "calls": 60}, 1.4),
    ]
    return [_shorter(workload) for workload in plan] if quick else plan


def _shorter(workload: Workload) -> Workload:
    request = dict(workload.request)
    if "calls" in request:
        request["calls"] = max(1, request["calls"] // 5)
    return Workload(workload.title, request, workload.target, workload.who, workload.before)
