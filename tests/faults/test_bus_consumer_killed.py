"""kill -9 on a consumer with messages in flight."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from tests.buses import make_bus
from tests.faults.bus_consumer import MileWalked
from tutorial_support.lab import eventually

PROJECT = Path(__file__).parents[2]


@contextmanager
def consumer(*arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own, killed in the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.bus_consumer", *map(str, arguments)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("kind", ["redis", "kafka", "rabbitmq"])
async def test_what_a_killed_consumer_had_begun_is_delivered_again_in_order(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url, name = request.getfixturevalue(f"{kind}_url"), f"test-{uuid4().hex[:8]}"
    first, second = tmp_path / "first", tmp_path / "second"
    walk = uuid4()
    steps = [MileWalked(aggregate_id=walk, number=n) for n in range(1, 51)]
    publisher = make_bus(kind, url, name)
    if kind == "rabbitmq":  # a group's queue is made by its first consumer
        await publisher.start_consuming_in_background()
        await publisher.stop_consuming()

    def notes(file: Path, word: str) -> list[int]:
        lines = file.read_text().split("\n") if file.exists() else []
        return [int(line.split()[1]) for line in lines if line.startswith(word)]

    async with publisher:
        await publisher.publish(steps)
        with consumer(kind, url, name, first, 20):
            await eventually(lambda: 20 in notes(first, "begun"), timeout_seconds=30)
        assert notes(first, "done") == list(range(1, 20))
        with consumer(kind, url, name, second, 0):
            await eventually(lambda: 50 in notes(second, "done"), timeout_seconds=30)
        again = notes(second, "done")
        assert again == list(range(again[0], 51))
        # Redis and RabbitMQ acknowledge every message; Kafka commits once a batch.
        assert again[0] <= 20 if kind == "kafka" else again[0] == 20
        assert await publisher.get_dead_letters() == []
