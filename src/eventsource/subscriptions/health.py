"""What a manager tells about itself and its subscriptions."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from eventsource.exceptions import EventStoreError
from eventsource.stores.interface import EventStore
from eventsource.subscriptions.subscription import Subscription, SubscriptionState
from eventsource.types import Position


@dataclass(frozen=True, slots=True)
class SubscriptionHealth:
    """`status` is unhealthy for one that stopped at an error, degraded for one that waits for the
    database, else healthy. `lag_events` counts entries of the log still to be read, other
    subscribers' events included; None if the log cannot be reached."""

    name: str
    status: str
    state: str
    lag_events: int | None
    events_processed: int
    events_failed: int
    dead_letters: int
    last_error: str | None
    last_processed_at: str | None

    @classmethod
    def of(cls, subscription: Subscription, feed_end: Position | None) -> "SubscriptionHealth":
        error = subscription.trouble or subscription.last_error
        at = subscription.last_processed_at
        return cls(
            subscription.name,
            _status(subscription),
            subscription.state.value,
            lag_between(subscription.position, feed_end),
            subscription.events_processed,
            subscription.events_failed,
            subscription.dead_letters,
            None if error is None else str(error),
            None if at is None else at.isoformat(),
        )


@dataclass(frozen=True, slots=True)
class ManagerHealth:
    """`status` is the worst of its subscriptions', unknown without any. A manager that is not the
    leader is healthy and waits."""

    status: str
    is_leader: bool
    subscriptions: list[SubscriptionHealth]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ReadinessStatus:
    ready: bool
    reason: str


class ShutdownPhase(Enum):
    STOPPED = "stopped"
    FORCED = "forced"


@dataclass(frozen=True, slots=True)
class ShutdownResult:
    """How a stop went. `events_drained` were handled between the request and the end; with `forced`
    some handlers were cancelled, and their events come again at the next start."""

    phase: ShutdownPhase
    duration_seconds: float
    subscriptions_stopped: int
    events_drained: int

    @property
    def forced(self) -> bool:
        return self.phase is ShutdownPhase.FORCED


_WORST_FIRST = ("unhealthy", "degraded", "healthy")


async def health_of(
    subscriptions: Sequence[Subscription], event_store: EventStore, *, is_leader: bool
) -> ManagerHealth:
    try:
        end = await event_store.get_feed_end()
    except EventStoreError:
        end = None
    healths = [SubscriptionHealth.of(one, end) for one in subscriptions]
    worst = min((one.status for one in healths), key=_WORST_FIRST.index, default="unknown")
    return ManagerHealth(worst, is_leader, healths)


def readiness_of(subscriptions: Sequence[Subscription], *, is_leader: bool) -> ReadinessStatus:
    if not is_leader:
        return ReadinessStatus(True, "waiting to be the leader")
    ready = SubscriptionState.LIVE, SubscriptionState.PAUSED
    late = [f"{one.name} is {one.state.value}" for one in subscriptions if one.state not in ready]
    return ReadinessStatus(not late, ", ".join(late) or "all subscriptions are live")


def lag_between(position: Position | None, feed_end: Position | None) -> int | None:
    """Entries of the log between the two, give or take numbers that failed appends have used up."""
    if feed_end is None:
        return None
    start = position or Position.START
    # Transactions and numbers may disagree on the order of neighbours.
    return 0 if start >= feed_end else max(1, feed_end.sequence - start.sequence)


def _status(subscription: Subscription) -> str:
    if subscription.state is SubscriptionState.ERROR:
        return "unhealthy"
    return "degraded" if subscription.trouble else "healthy"
