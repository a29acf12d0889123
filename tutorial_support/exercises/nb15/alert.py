"""Exercise 15.1: when to wake somebody up."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from eventsource.repositories.outbox import OutboxStats
from tutorial_support.exercises.model import Exercise, NotYet, Wrong


def _stats(pending: int, seconds: float, failed: int = 0, published: int = 0) -> OutboxStats:
    oldest = datetime.now(UTC) - timedelta(seconds=seconds) if pending else None
    return OutboxStats(pending, published, failed, oldest)


async def _check_alert(alerts_of: Callable[[OutboxStats], Any]) -> None:
    cases: list[tuple[str, OutboxStats, set[str], int]] = [
        ("an empty outbox", _stats(0, 0, published=70_000), set(), 1),
        ("rush hour: 20,000 pending, the oldest for 2 s", _stats(20_000, 2), set(), 2),
        ("one entry that waits for 10 minutes", _stats(1, 600), {"stuck"}, 3),
        ("one parked entry, nothing pending", _stats(0, 0, failed=1), {"parked"}, 4),
        ("both", _stats(3, 3600, failed=2), {"stuck", "parked"}, 4),
        ("an entry of 4 minutes", _stats(1, 240), set(), 3),
    ]
    for what, stats, expected, hint in cases:
        told = alerts_of(stats)
        if not isinstance(told, Collection) or isinstance(told, str):
            raise NotYet(seen=f"{told!r}", expected="a list of names", hint=1)
        if set(told) != expected:
            raise NotYet(
                seen=f"{what}: {sorted(told) or 'no alert'}",
                expected=f"{sorted(expected) or 'no alert'}",
                hint=hint,
            )


def _wrong(body: str, hint: int) -> Wrong:
    return Wrong(f"def alerts_of(stats):\n    {body}", hint)


ALERT = Exercise(
    id="15.1",
    title="When to wake somebody up",
    task="""
Your monitor asks the outbox for its `OutboxStats` once a minute. Return the list of alerts to
raise: "stuck" when something has been waiting for more than **five minutes**, and "parked" when
an entry has been given up and waits for a person. Nobody wants to be woken up for a busy evening.
""",
    answer="alerts_of",
    stub='''
def alerts_of(stats):
    """The names of the alerts to raise: "stuck", "parked", both or none."""
    ...
''',
    hints=(
        """
Return a list: `[]` when all is well. What has been published is history and worries nobody.
""",
        """
Depth is no illness. Twenty thousand entries that are two seconds old are a good evening; three
that are an hour old are an outage.
""",
        """
`stats.oldest_pending_age_seconds` is the age of the oldest entry that still waits, 0 if there is
none. Five minutes are 300 seconds.
""",
        """
A parked entry is not pending, so no age shows it: look at `failed_count` as well. Both alerts can
be due at once.
""",
    ),
    solutions=(
        """
def alerts_of(stats):
    alerts = []
    if stats.oldest_pending_age_seconds > 300:
        alerts.append("stuck")
    if stats.failed_count:
        alerts.append("parked")
    return alerts
""",
        """
def alerts_of(stats):
    rules = {"stuck": stats.oldest_pending_age_seconds > 5 * 60, "parked": stats.failed_count > 0}
    return [name for name, is_due in rules.items() if is_due]
""",
        """
def alerts_of(stats):
    stuck = {"stuck"} if stats.oldest_pending_age_seconds > 300 else set()
    parked = {"parked"} if stats.failed_count else set()
    return frozenset(stuck | parked)
""",
    ),
    wrong=(
        _wrong('return "stuck" if stats.oldest_pending_age_seconds > 300 else None', hint=1),
        _wrong('return ["stuck"] if stats.pending_count > 1000 else []', hint=2),
        _wrong('return ["parked"] if stats.failed_count else []', hint=3),
        _wrong('return ["stuck"] if stats.oldest_pending_age_seconds > 300 else []', hint=4),
        _wrong(
            'return (["stuck"] if stats.oldest_pending else []) + '
            '(["parked"] if stats.failed_count else [])',
            hint=2,
        ),
    ),
    check=_check_alert,
)
