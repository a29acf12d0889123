"""Compares what actors acknowledged and saw with what is stored, delivered and projected.

Per stream a version is a register that appends set by compare-and-set. Versions order its appends,
so the history is linearizable exactly if that order never contradicts the clock; the idea is that
of Herlihy and Wing, "Linearizability: a correctness condition for concurrent objects" (1990).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from tests.faults.campaign.records import Append, Complaint, FeedRead, Record, VersionRead


@dataclass(frozen=True)
class Stored:
    """A row of the log."""

    event_id: str
    stream: str
    version: int
    amount: int = 0


@dataclass(frozen=True)
class Taken:
    """An event that a subscription handled, and the time of leading in which it did."""

    event_id: str
    term: str


@dataclass(frozen=True)
class SnapshotSeen:
    stream: str
    version: int
    total: int


@dataclass
class Evidence:
    """All there is to compare; `log` is in feed order, the others in their own."""

    records: list[Record] = field(default_factory=list)
    log: list[Stored] = field(default_factory=list)
    delivered: list[Stored] = field(default_factory=list)
    effects: list[Stored] = field(default_factory=list)
    projected: list[str] = field(default_factory=list)
    subscribed: list[Taken] = field(default_factory=list)
    handled: list[Taken] = field(default_factory=list)
    snapshots: list[SnapshotSeen] = field(default_factory=list)
    pending: int = 0
    page: int = 10  #: at most so many handled events come again

    def of(self, kind: type) -> Iterator:
        return (record for record in self.records if isinstance(record, kind))


def violations(evidence: Evidence) -> list[str]:
    """Every broken promise, in words; an empty list if all were kept."""
    rules = (
        _complaints,
        _acknowledged_is_stored,
        _versions_count_up,
        _history_is_linearizable,
        _feed_is_one_order,
        _everything_is_delivered,
        _effects_happen_once,
        _read_model_is_the_log,
        _leaders_follow_each_other,
        _handler_misses_nothing,
        _snapshots_tell_the_truth,
    )
    return [problem for rule in rules for problem in rule(evidence)]


def _complaints(evidence: Evidence) -> Iterator[str]:
    for complaint in evidence.of(Complaint):
        yield f"an actor saw: {complaint.what}"


def _acknowledged_is_stored(evidence: Evidence) -> Iterator[str]:
    times = Counter(stored.event_id for stored in evidence.log)
    for attempt in evidence.of(Append):
        if attempt.outcome == "ok" and times[attempt.event_id] == 0:
            yield f"lost: event {attempt.event_id} was acknowledged and is not stored"
        if attempt.outcome == "refused" and times[attempt.event_id]:
            yield f"event {attempt.event_id} was refused and is stored"
    yield from (f"event {one} is stored {n} times" for one, n in times.items() if n > 1)


def _versions_count_up(evidence: Evidence) -> Iterator[str]:
    for stream, rows in _by_stream(evidence.log):
        versions = [row.version for row in rows]
        if versions != list(range(1, len(versions) + 1)):
            odd = next(v for n, v in enumerate(versions, 1) if v != n)
            yield f"stream {stream} does not count up in the feed: wrong from version {odd}"


def _history_is_linearizable(evidence: Evidence) -> Iterator[str]:
    """Give every operation the earliest moment that the versions allow; it must lie within it."""
    attempts: dict[str, Append] = {}
    for attempt in evidence.of(Append):
        if attempt.outcome or attempt.event_id not in attempts:
            attempts[attempt.event_id] = attempt
    reads = defaultdict(list)
    for read in evidence.of(VersionRead):
        reads[read.stream].append(read)
    for stream, rows in _by_stream(evidence.log):
        appends = [
            (row.version, attempts[row.event_id]) for row in rows if row.event_id in attempts
        ]
        history = [(version, 0, one) for version, one in appends]
        history += [(read.version, 1, read) for read in reads[stream]]
        earliest = float("-inf")
        for (version, is_read), same in groupby(sorted(history, key=_place), lambda h: h[:2]):
            operations = [operation for *_, operation in same]
            for operation in operations:
                if max(earliest, operation.began) > operation.ended:
                    what = "read" if is_read else "append"
                    yield (
                        f"stream {stream}: the {what} of version {version} had ended when an "
                        "earlier version was stored or seen"
                    )
            earliest = max(earliest, *(operation.began for operation in operations))


def _place(entry: tuple[int, int, Append | VersionRead]) -> tuple[int, int]:
    return entry[:2]


def _feed_is_one_order(evidence: Evidence) -> Iterator[str]:
    log = [row.event_id for row in evidence.log]
    seen: dict[str, list[str]] = defaultdict(list)
    for read in evidence.of(FeedRead):
        seen[read.reader] += read.event_ids
    for reader, ids in seen.items():
        if ids != log[: len(ids)]:
            place = next(
                (n for n, (a, b) in enumerate(zip(ids, log, strict=False)) if a != b), len(log)
            )
            yield f"reader {reader} skipped or reordered events, from number {place + 1} on"


def _everything_is_delivered(evidence: Evidence) -> Iterator[str]:
    if evidence.pending:
        yield f"{evidence.pending} outbox entries were never published"
    delivered = {row.event_id for row in evidence.delivered}
    for row in evidence.log:
        if row.event_id not in delivered:
            yield f"event {row.event_id} was never delivered"
    for stream, rows in _by_stream(_first_times(evidence.delivered)):
        if not _count_up(rows):
            yield f"stream {stream} was delivered out of order, or with a gap"


def _effects_happen_once(evidence: Evidence) -> Iterator[str]:
    times = Counter(row.event_id for row in evidence.effects)
    for row in evidence.log:
        if times[row.event_id] != 1:
            yield f"event {row.event_id} had {times[row.event_id]} effects behind the inbox"
    for stream, rows in _by_stream(_first_times(evidence.effects)):
        if not _count_up(rows):
            yield f"the effects of stream {stream} came out of order, or with a gap"


def _read_model_is_the_log(evidence: Evidence) -> Iterator[str]:
    log = [row.event_id for row in evidence.log]
    subscribed = [row.event_id for row in evidence.subscribed]
    for name, ids in (("read model", evidence.projected), ("subscription", subscribed)):
        if ids != log:
            missing, times = set(log) - set(ids), Counter(ids)
            yield (
                f"the {name} differs from the log: {len(missing)} events missing, "
                f"{sum(n > 1 for n in times.values())} more than once, or another order"
            )


def _leaders_follow_each_other(evidence: Evidence) -> Iterator[str]:
    """Once a new leader has moved the checkpoint, the one before must never move it again. Of a
    handler without a fence one call may be on its way when its leader loses the lock."""
    fenced = [
        (term, len(list(rows))) for term, rows in groupby(r.term for r in evidence.subscribed)
    ]
    calls = [(term, len(list(rows))) for term, rows in groupby(r.term for r in evidence.handled)]
    late = [
        n
        for n, (_, count) in enumerate(calls[1:-1], 1)
        if count == 1 and calls[n - 1][0] == calls[n + 1][0]
    ]
    in_time = groupby(term for n, (term, _) in enumerate(calls) if n not in late)
    for what, terms in (
        ("in a transaction with the checkpoint", [term for term, _ in fenced]),
        ("in a handler", [term for term, _ in in_time]),
        ("in calls on their way", [calls[n][0] for n in late]),
    ):
        for term, times in Counter(terms).items():
            if times > 1:
                yield f"two leaders acted at once: {term} went on after another, {what}"


def _reigns(rows: list[Taken]) -> list[tuple[str, int]]:
    """Each unbroken row of events of one term, and how many they are."""
    return [(term, len(list(same))) for term, same in groupby(row.term for row in rows)]


def _handler_misses_nothing(evidence: Evidence) -> Iterator[str]:
    """In feed order from the start to the end, and back by no more than a page."""
    places = {row.event_id: place for place, row in enumerate(evidence.log)}
    reached = -1
    for row in evidence.handled:
        place = places[row.event_id]
        if place > reached + 1:
            yield f"the handler skipped {place - reached - 1} events before {row.event_id}"
        if place <= reached - evidence.page:
            yield f"event {row.event_id} came again more than a page later"
        reached = max(reached, place)
    if missing := len(evidence.log) - reached - 1:
        yield f"the last {missing} events were never handled"


def _snapshots_tell_the_truth(evidence: Evidence) -> Iterator[str]:
    totals: dict[str, list[int]] = defaultdict(lambda: [0])
    for row in evidence.log:
        totals[row.stream].append(totals[row.stream][-1] + row.amount)
    for snapshot in evidence.snapshots:
        known = totals[snapshot.stream]
        if snapshot.version >= len(known):
            yield f"the snapshot of stream {snapshot.stream} is of a history that never happened"
        elif known[snapshot.version] != snapshot.total:
            yield f"the snapshot of stream {snapshot.stream} lies about version {snapshot.version}"


def _by_stream(rows: Iterable[Stored]) -> Iterator[tuple[str, list[Stored]]]:
    found: dict[str, list[Stored]] = defaultdict(list)
    for row in rows:
        found[row.stream].append(row)
    return iter(found.items())


def _count_up(rows: list[Stored]) -> bool:
    return [row.version for row in rows] == list(range(1, len(rows) + 1))


def _first_times(rows: Iterable[Stored]) -> list[Stored]:
    first: dict[str, Stored] = {}
    for row in rows:
        first.setdefault(row.event_id, row)
    return list(first.values())
