"""`tutorial services`, as typed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tutorial_support.services import open_service

Tutorial = Callable[..., str]


async def test_it_says_what_runs_and_stops_it(
    tutorial: Tutorial, empty_cache: Path, running: Callable[[], list[str]]
) -> None:
    await open_service("redis")

    states = dict(line.split()[:2] for line in tutorial("services", "status").splitlines() if line)
    assert (states["Redis"], states["Kafka"]) == ("runs", "ready")

    assert tutorial("services", "stop") == "Stopped: Redis.\n"
    assert running() == []
    assert tutorial("services", "stop") == "No server was running.\n"


def test_it_answers_where_no_folder_can_be(
    tutorial: Tutorial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/nowhere")
    assert "Redis" in tutorial("services", "status")
    assert tutorial("services", "stop") == "No server was running.\n"
