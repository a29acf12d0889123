"""The crash campaign, a bounded part of it; `make faults` runs it for long."""

import pytest

from tests.faults.campaign.run import SABOTAGES, Run

SEED, SECONDS = 1, 12.0


@pytest.mark.timeout(300)
async def test_nothing_acknowledged_is_lost_whatever_is_killed() -> None:
    report = await Run(SEED, SECONDS).go()
    assert report.violations == [], f"{report}; repeat: make faults SEED={SEED} RUNS=1"
    assert sum(report.faults.values()) >= 5
    assert report.events >= 50


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("sabotage", "finding"),
    [
        ("no-guard", "does not count up"),
        ("no-horizon", "skipped or reordered"),
        ("mark-first", "delivered"),  # too late, or never,
    ],
)
async def test_a_run_finds_what_is_broken(sabotage: str, finding: str) -> None:
    assert sabotage in SABOTAGES
    report = await Run(SEED, 8.0, sabotage).go()
    assert any(finding in violation for violation in report.violations), report
