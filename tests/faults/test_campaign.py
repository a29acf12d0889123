"""The crash campaign, a bounded part of it; `make faults` runs it for long."""

import pytest

from tests.faults.campaign.run import LEAST_FAULTS, Run
from tests.faults.campaign.sabotage import SABOTAGES
from tutorial_support.services import KINDS, is_available

SEED, SECONDS = 1, 12.0


@pytest.mark.timeout(900)
@pytest.mark.parametrize("broker", ["table", "redis"])
async def test_nothing_acknowledged_is_lost_whatever_is_killed(broker: str) -> None:
    if broker in KINDS and not is_available(broker):
        pytest.skip(KINDS[broker].nothing_found())
    report = await Run(SEED, SECONDS, broker=broker).go()
    again = f"python -m tests.faults.campaign --runs 1 --seed {SEED} --broker {broker}"
    assert report.violations == [], f"{report}; repeat: {again}"
    assert report.faults.total() >= LEAST_FAULTS
    assert report.counts["events"] >= 50


FINDINGS = {
    "no-guard": "does not count up",
    "no-horizon": "skipped or reordered",
    "mark-first": "was delivered out of order, or with a gap",
    "early-checkpoint": "the handler skipped",
    "no-leader": "two leaders acted at once",
    "no-inbox": "effects behind the inbox",
    "early-acknowledgement": "came out of order, or with a gap",
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("sabotage", SABOTAGES)
async def test_a_run_finds_what_is_broken(sabotage: str) -> None:
    broker = SABOTAGES[sabotage].broker
    if broker in KINDS and not is_available(broker):
        pytest.skip(KINDS[broker].nothing_found())
    report = await Run(SEED, 5.0, sabotage).go()
    assert any(FINDINGS[sabotage] in violation for violation in report.violations), report
