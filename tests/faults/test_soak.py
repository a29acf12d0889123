"""The soak, for 15 seconds; `make soak` runs half an hour."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.faults.soak import report
from tests.faults.soak.rules import judge
from tests.faults.soak.run import Result, Soak
from tests.faults.soak.sample import Sample

#: What seconds cannot tell: how steady it is, and whether writers meet now and then.
NEEDS_LONGER = ("commands a second", "done of", "conflicts", "memory of a backend")


def broken(result: Result) -> list[str]:
    return [f"{one.what}: {one.early} {one.late}" for one in judge(result) if not one.is_kept]


@pytest.mark.timeout(400)
async def test_a_deployment_at_work_keeps_up_and_loses_nothing() -> None:
    result = await Soak(15, rate=20, sample_seconds=1).go()
    assert [what for what in broken(result) if not what.startswith(NEEDS_LONGER)] == []
    assert result.events > 100
    assert len(result.samples[-1].lag) == 5  # four subscribers and the consumer


@pytest.mark.timeout(400)
async def test_what_grows_is_found() -> None:
    sabotage = "leak", "connections", "slow"
    soak = Soak(15, rate=20, sample_seconds=1, settle_seconds=1, sabotage=sabotage)
    found = "\n".join(broken(await soak.go()))
    assert "memory of consumer" in found
    assert "connections: " in found
    assert "lag of one by one" in found
    assert "missed by a subscriber" in found


def steady() -> Result:
    """Half an hour as it should be."""
    samples = [
        Sample(
            seconds=5.0 * n,
            commands=500 * n,
            conflicts=n,
            memory={"writers 1": 66.0, "Redis": 8.0},
            connections=40,
            lag={"balances": 0.2},
            outbox_pending=12,
            outbox_age=0.4,
            outbox_mib=5.0,
        )
        for n in range(360)
    ]
    return Result(100, 1800, samples, {"consumed twice": 0}, [], 179_500)


def changed(change: Callable[[int, Sample], Sample]) -> Result:
    result = steady()
    result.samples = [change(n, sample) for n, sample in enumerate(result.samples)]
    return result


def slower(n: int) -> int:
    """Commands missing by the end, if the last fifth is 6 % slower."""
    return 30 * max(0, n - 288)


def test_a_steady_run_is_good() -> None:
    assert broken(steady()) == []


@pytest.mark.parametrize(
    ("finding", "result"),
    [
        (
            "commands a second",
            changed(lambda n, s: replace(s, commands=n * 500 - max(0, n - 288) * 30)),
        ),
        ("done of", changed(lambda n, s: replace(s, commands=n * 480))),
        ("commands waiting", changed(lambda n, s: replace(s, waiting=3 * n))),
        ("memory of Redis", changed(lambda n, s: replace(s, memory={"Redis": 8 + n / 50}))),
        ("memory of Redis", changed(lambda n, s: replace(s, memory={"Redis": 8 * (n < 300)}))),
        ("connections", changed(lambda n, s: replace(s, connections=40 + n // 30))),
        ("lag of balances", changed(lambda n, s: replace(s, lag={"balances": n / 40}))),
        ("lag of balances", changed(lambda n, s: replace(s, lag={"balances": 40 * (n == 200)}))),
        ("age of the outbox", changed(lambda n, s: replace(s, outbox_age=n / 10))),
        ("table of the outbox", changed(lambda n, s: replace(s, outbox_mib=n / 10))),
        ("consumed twice", replace(steady(), differences={"consumed twice": 1})),
        ("writers 1 ended", replace(steady(), deaths=["writers 1 ended with 1: ValueError"])),
    ],
)
def test_each_rule_finds_what_breaks_it(finding: str, result: Result) -> None:
    (found,) = broken(result)
    assert found.startswith(finding)


def test_a_run_that_is_too_short_is_not_judged() -> None:
    with pytest.raises(ValueError, match="too few"):
        judge(replace(steady(), samples=steady().samples[:9]))


def test_the_page_and_the_picture_say_in_words_what_was_seen() -> None:
    page = "![old](images/soak.svg)\n\n<!-- soak -->\nold\n<!-- end of soak -->\nrest"
    page = report.on_page(report.on_page(page, steady()), steady())
    assert "old" not in page
    assert page.count("| connections | 40 | 40 |") == 1
    assert page.endswith("<!-- end of soak -->\nrest")
    words = "100 to 100 commands a second by the minute"
    assert words in page
    assert words in report.chart(steady())
