"""The shipped suites pass a good backend of a user's own and fail a bad one."""

import subprocess
import sys
from pathlib import Path

import pytest

SETTINGS = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""

STREAMS = """
import pytest
from eventsource import ExpectedVersion, InMemoryEventStore
from eventsource.testing.contracts.concurrent_appends import *
from eventsource.testing.contracts.event_store import *
from eventsource.testing.contracts.feed import *

class MyEventStore(InMemoryEventStore):
    async def append_events(self, aggregate_id, aggregate_type, events, expected_version, **more):
        {change}
        return await super().append_events(
            aggregate_id, aggregate_type, events, expected_version, **more
        )

@pytest.fixture
def event_store():
    return MyEventStore()
"""

SNAPSHOTS = """
import pytest
from eventsource import InMemorySnapshotStore
from eventsource.testing.contracts.snapshot_store import *

class MySnapshotStore(InMemorySnapshotStore):
    async def save_snapshot(self, snapshot):
        {change}
        await super().save_snapshot(snapshot)

@pytest.fixture
def snapshot_store():
    return MySnapshotStore()
"""


def run(folder: Path, suite: str, change: str) -> tuple[int, str]:
    (folder / "pytest.ini").write_text(SETTINGS)
    (folder / "test_mine.py").write_text(suite.format(change=change))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    ended = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, timeout=110, check=False
    )
    return ended.returncode, ended.stdout


@pytest.mark.parametrize("suite", [STREAMS, SNAPSHOTS])
def test_a_good_backend_passes(tmp_path: Path, suite: str) -> None:
    status, output = run(tmp_path, suite, "pass")
    assert status == 0, output
    assert " passed" in output


@pytest.mark.parametrize(
    ("suite", "defect", "finding"),
    [
        (STREAMS, "expected_version = ExpectedVersion.ANY", "exactly_one_wins_each_version"),
        (STREAMS, "events = events[:1]", "what_is_read_equals_what_was_stored"),
        (SNAPSHOTS, "await self.clear()", "each_aggregate_has_its_own"),
        (
            SNAPSHOTS,
            "await self.delete_snapshot(snapshot.aggregate_id, snapshot.aggregate_type)",
            "an_older_snapshot_never_replaces_a_newer_one",
        ),
    ],
)
def test_a_bad_backend_fails_where_it_is_bad(
    tmp_path: Path, suite: str, defect: str, finding: str
) -> None:
    status, output = run(tmp_path, suite, defect)
    assert status == 1, output
    failures = [line for line in output.splitlines() if line.startswith("FAILED")]
    assert any(finding in line for line in failures), output
