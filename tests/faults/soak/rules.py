"""When a run is good: rules that do not know what library it was.

The first fifth warms up and is not judged. "Early" is the second fifth, "late" the last.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from tests.faults.soak.run import Result
from tests.faults.soak.sample import Sample

SLOWER = 0.95  #: how much of the early throughput the late must be
DONE = 0.98  #: how much of what was asked must have been done in time
GROWTH_MIB, GROWTH_SHARE = 4.0, 0.25  #: the smaller of the two is allowed
LAG_SECONDS, USUAL_LAG_SECONDS = 30.0, 5.0
WAITING_SECONDS = 5.0
OUTBOX_GROWTH = 0.5


@dataclass(frozen=True)
class Parts:
    """The samples that are compared, and all that are judged."""

    early: Sequence[Sample]
    late: Sequence[Sample]
    judged: Sequence[Sample]

    def medians(self, of: Callable[[Sample], float]) -> tuple[float, float]:
        return median(map(of, self.early)), median(map(of, self.late))

    def highest(self, of: Callable[[Sample], float]) -> float:
        return max(map(of, self.judged))


@dataclass(frozen=True)
class Finding:
    """One row of the verdict."""

    what: str
    early: str
    late: str
    limit: str
    is_kept: bool


def judge(result: Result) -> list[Finding]:
    """All rules, kept or broken. ValueError if there are too few samples."""
    samples = result.samples
    fifth = len(samples) // 5
    if fifth < 2:
        raise ValueError(f"{len(samples)} samples are too few to judge: run it for longer.")
    parts = Parts(samples[fifth : 2 * fifth], samples[-fifth:], samples[fifth:])
    return [
        *_throughput(result, parts),
        *_memory(parts),
        *_connections(result, parts),
        *_lag(parts),
        *_outbox(parts),
        *_comparison(result),
    ]


def rates(samples: Sequence[Sample]) -> list[float]:
    """Commands a second between one sample and the next."""
    return [
        (after.commands - before.commands) / (after.seconds - before.seconds)
        for before, after in pairwise(samples)
    ]


def rate_of(samples: Sequence[Sample]) -> float:
    return rates([samples[0], samples[-1]])[0]


def _throughput(result: Result, parts: Parts) -> Iterator[Finding]:
    before, after = rate_of(parts.early), rate_of(parts.late)
    limit = f"late ≥ {SLOWER:.0%} of early"
    yield _finding("commands a second", before, after, limit, after >= SLOWER * before, digits=1)
    done = rate_of(parts.judged) / result.rate
    yield Finding("done of what was asked", "", f"{done:.1%}", f"≥ {DONE:.0%}", done >= DONE)
    yield _bounded("commands waiting", parts, WAITING_SECONDS * result.rate, lambda s: s.waiting)
    conflicts = result.samples[-1].conflicts
    yield Finding("conflicts, each solved by another try", "", f"{conflicts}", "> 0", conflicts > 0)


def _memory(parts: Parts) -> Iterator[Finding]:
    for name in parts.early[-1].memory:
        before, after = parts.medians(lambda s, name=name: s.memory.get(name, 0.0))
        room = min(GROWTH_MIB, GROWTH_SHARE * before)
        is_kept = 0 < after <= before + room
        yield _finding(f"memory of {name}, MiB", before, after, f"+ {room:.1f}", is_kept, digits=1)


def _connections(result: Result, parts: Parts) -> Iterator[Finding]:
    before, after = parts.medians(lambda s: s.connections)
    is_kept = parts.highest(lambda s: s.connections) <= result.most_connections
    limit = f"≤ {result.most_connections}, the pools"
    yield _finding("connections", before, after, limit, is_kept, digits=0)


def _lag(parts: Parts) -> Iterator[Finding]:
    limit = f"≤ {USUAL_LAG_SECONDS:g}, highest {LAG_SECONDS:g}"
    for name in sorted(parts.judged[-1].lag):

        def lag(sample: Sample, name: str = name) -> float:
            return sample.lag.get(name, 0.0)

        (before, after), most = parts.medians(lag), parts.highest(lag)
        what = f"lag of {name}, s (highest {most:.1f})"
        is_kept = after <= USUAL_LAG_SECONDS and most <= LAG_SECONDS
        yield _finding(what, before, after, limit, is_kept, digits=2)


def _outbox(parts: Parts) -> Iterator[Finding]:
    yield _bounded("age of the outbox, s", parts, LAG_SECONDS, lambda s: s.outbox_age)
    before, after = parts.medians(lambda s: s.outbox_mib)
    room = max(GROWTH_MIB, OUTBOX_GROWTH * before)
    is_kept = after <= before + room
    yield _finding("table of the outbox, MiB", before, after, f"+ {room:.1f}", is_kept, digits=1)


def _bounded(what: str, parts: Parts, most: float, of: Callable[[Sample], float]) -> Finding:
    (before, after), highest = parts.medians(of), parts.highest(of)
    what = f"{what} (highest {highest:.1f})"
    return _finding(what, before, after, f"≤ {most:g}", highest <= most, digits=1)


def _finding(
    what: str, before: float, after: float, limit: str, is_kept: bool, *, digits: int
) -> Finding:
    return Finding(what, f"{before:.{digits}f}", f"{after:.{digits}f}", limit, is_kept)


def _comparison(result: Result) -> Iterator[Finding]:
    yield Finding("events stored", "", f"{result.events}", "> 0", result.events > 0)
    for what, count in result.differences.items():
        yield Finding(what, "", f"{count}", "0", count == 0)
    for death in result.deaths:
        yield Finding(death, "", "", "", False)
