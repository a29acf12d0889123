"""The crash campaign, a bounded part of it; `make faults` runs it for long."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.faults.campaign.run import LEAST_FAULTS, ROLES, Run
from tests.faults.campaign.sabotage import SABOTAGES
from tutorial_support.lab import eventually
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


@pytest.fixture
def campaign(cache: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    words = ["--runs", "1", "--seconds", "900", "--broker", "table"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.campaign", *words],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield process
    process.kill()
    process.wait(30)


def is_at_work(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.timeout(600)
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_its_actors_and_its_servers_end_with_it(
    end: signal.Signals,
    campaign: subprocess.Popen[bytes],
    cache: Path,
    tmp_path: Path,
    running: Callable[[], list[str]],
) -> None:
    children, crew = psutil.Process(campaign.pid).children, sum(ROLES.values())
    await eventually(lambda: len(children()) >= crew, timeout_seconds=120)
    at_work = children()
    assert running()
    campaign.send_signal(end)
    await eventually(lambda: not any(map(is_at_work, at_work)), timeout_seconds=60)
    await eventually(lambda: not running(), timeout_seconds=60)
    assert campaign.wait(60) != 0
    assert not any("private-" in entry for entry in os.listdir(cache))
    assert os.listdir(tmp_path) == [] or end is signal.SIGKILL
