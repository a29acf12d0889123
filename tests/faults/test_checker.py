"""The checker of the crash campaign finds each kind of broken promise, and no others."""

from dataclasses import replace

import pytest

from tests.faults.campaign.checker import Evidence, SnapshotSeen, Stored, Taken, violations
from tests.faults.campaign.records import Append, Complaint, FeedRead, VersionRead

INFINITY = float("inf")
HANDLED = [Taken("a", "p/1"), Taken("b", "p/1")]


def good() -> Evidence:
    """Two appends, one after the other, read, delivered and projected; one attempt refused."""
    log = [Stored("a", "s", 1, 10), Stored("b", "s", 2, 5)]
    return Evidence(
        records=[
            Append("a", "s", 1.0),
            Append("a", "s", 1.0, 2.0, "ok"),
            VersionRead("s", 1, 2.5, 2.6),
            Append("b", "s", 3.0),
            Append("b", "s", 3.0, 4.0, "ok"),
            Append("c", "s", 3.0, 4.5, "refused"),
            FeedRead("r1", ["a"]),
            FeedRead("r1", ["b"]),
            FeedRead("r2", ["a"]),
        ],
        log=log,
        delivered=[log[0], log[1], log[0]],
        effects=list(log),
        projected=["a", "b"],
        subscribed=[Taken("a", "p/1"), Taken("b", "q/1")],
        handled=[*HANDLED, Taken("b", "q/1"), Taken("a", "q/1"), Taken("b", "q/1")],
        snapshots=[SnapshotSeen("s", 2, 15)],
    )


def test_a_good_history_has_no_violation() -> None:
    assert violations(good()) == []


def test_an_append_without_an_answer_may_be_stored_or_not() -> None:
    evidence = good()
    evidence.records = [r for r in evidence.records if getattr(r, "outcome", "") != "ok"]
    evidence.records.append(Append("d", "s", 3.5))
    assert violations(evidence) == []


def test_one_call_of_a_leader_may_be_on_its_way_when_it_loses_the_lock() -> None:
    evidence = good()
    evidence.handled += [HANDLED[1], evidence.handled[-1]]
    assert violations(evidence) == []


def history(*records: object) -> Evidence:
    evidence = good()
    evidence.records = [*records]
    return evidence


BROKEN = {
    "lost": replace(good(), records=[*good().records, Append("x", "s", 1, 2, "ok")]),
    "was refused and is stored": replace(
        good(), records=[*good().records, Append("a", "s", 1, 2, "refused")]
    ),
    "is stored 2 times": replace(good(), log=[*good().log, Stored("a", "s", 3)]),
    "wrong from version 3": replace(good(), log=[Stored("a", "s", 1, 10), Stored("b", "s", 3, 5)]),
    "append of version 2 had ended": history(
        Append("a", "s", 5, 6, "ok"), Append("b", "s", 1, 2, "ok")
    ),
    "read of version 1 had ended": history(VersionRead("s", 1, 1, 2), Append("a", "s", 3, 4, "ok")),
    "skipped or reordered": replace(
        good(), records=[*good().records, FeedRead("r3", ["b"]), FeedRead("r3", ["a"])]
    ),
    "outbox entries were never published": replace(good(), pending=1),
    "event b was never delivered": replace(good(), delivered=good().log[:1]),
    "delivered out of order": replace(good(), delivered=good().log[::-1]),
    "was delivered out of order, or with a gap": replace(good(), delivered=good().log[1:]),
    "the effects of stream s came out of order, or with a gap": replace(
        good(), effects=good().log[1:]
    ),
    "had 2 effects": replace(good(), effects=[*good().log, good().log[0]]),
    "had 0 effects": replace(good(), effects=good().log[:1]),
    "the effects of stream s came out of order": replace(good(), effects=good().log[::-1]),
    "1 events missing": replace(good(), projected=["b"]),
    "1 more than once": replace(good(), projected=["a", "b", "a"]),
    "the subscription differs": replace(good(), subscribed=good().subscribed[:1]),
    "p/1 went on after another, in a transaction": replace(
        good(), subscribed=[*good().subscribed, Taken("c", "p/1")]
    ),
    "p/1 went on after another, in a handler": replace(good(), handled=[*good().handled, *HANDLED]),
    "p/1 went on after another, in calls on their way": replace(
        good(), handled=[*good().handled, *2 * (HANDLED[1], good().handled[-1])]
    ),
    "the handler skipped 1 events before b": replace(good(), handled=HANDLED[1:]),
    "a came again more than a page later": replace(good(), page=1),
    "the last 1 events were never handled": replace(good(), handled=HANDLED[:1]),
    "never happened": replace(good(), snapshots=[SnapshotSeen("s", 3, 15)]),
    "lies about version 1": replace(good(), snapshots=[SnapshotSeen("s", 1, 15)]),
    "an actor saw: trouble": replace(good(), records=[*good().records, Complaint("trouble")]),
}


@pytest.mark.parametrize("finding", BROKEN)
def test_a_broken_promise_is_found(finding: str) -> None:
    found = violations(BROKEN[finding])
    assert any(finding in violation for violation in found), found


def test_operations_that_overlap_may_have_happened_in_either_order() -> None:
    evidence = history(
        Append("a", "s", 1, 10, "ok"),
        Append("b", "s", 2, 4, "ok"),
        VersionRead("s", 0, 1, 9),
        VersionRead("s", 2, 3, INFINITY),
    )
    assert violations(evidence) == []
