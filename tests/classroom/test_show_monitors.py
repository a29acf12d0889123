"""A monitor measures what really happens, says it in words, and never outlives its work."""

import asyncio
import re
from collections.abc import Mapping
from uuid import uuid4

import pytest

from eventsource import InMemoryOutboxRepository
from tutorial_support.domain import OrderShipped
from tutorial_support.lab import eventually
from tutorial_support.show import monitor, output
from tutorial_support.show.monitors import Sample, bars, describe

SAMPLES = [Sample(0.0, {"pending": 0}), Sample(0.5, {"pending": 30}), Sample(1.5, {"pending": 2})]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was displayed, in order: bundles of HTML and plain text, and widgets."""
    shown: list[object] = []
    monkeypatch.setattr(output, "display", lambda data, raw=False: shown.append(data))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return shown


def test_the_description_has_start_peak_and_end() -> None:
    told = "Measured for 1.5 seconds. pending: 0 at the start, at most 30, 2 at the end."
    assert describe(SAMPLES) == told


def test_the_live_view_shows_the_latest_number_against_the_highest() -> None:
    assert 'max="30" value="2"' in bars(SAMPLES)
    assert "&lt;b&gt;" in bars([Sample(0, {"<b>": 1})])


async def test_it_draws_an_outbox_that_fills_and_is_drained(page: list[object]) -> None:
    outbox = InMemoryOutboxRepository()
    seen: list[int] = []

    async def pending() -> Mapping[str, float]:
        seen.append((await outbox.get_stats()).pending_count)
        return {"pending": seen[-1]}

    async def fill_and_drain() -> str:
        for version in range(1, 6):
            event = OrderShipped(
                aggregate_id=uuid4(), aggregate_version=version, tracking_number="T"
            )
            await outbox.add_event(event)
        await eventually(lambda: 5 in seen)
        entries = await outbox.claim(10, lease_seconds=60)
        await outbox.mark_published(*(entry.id for entry in entries))
        return "done"

    assert await monitor(fill_and_drain(), pending, every_seconds=0.01, caption="Outbox") == "done"
    (bundle,) = page
    assert isinstance(bundle, dict)
    assert re.search(r"pending: \d at the start, at most 5, 0 at the end", bundle["text/plain"])
    assert "<figcaption>Outbox</figcaption>" in bundle["text/html"]


@pytest.mark.parametrize("fails", ["work", "measure"])
async def test_when_one_fails_the_other_is_stopped_and_nothing_is_drawn(
    page: list[object], fails: str
) -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            if fails == "work":
                raise ZeroDivisionError
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def measure() -> Mapping[str, float]:
        await asyncio.sleep(0)
        if fails == "measure":
            raise ZeroDivisionError
        return {"pending": 0}

    with pytest.raises(ZeroDivisionError):
        await monitor(work(), measure)
    await asyncio.wait_for(ended.wait(), 5)
    assert page == []


async def test_in_jupyterlab_the_numbers_can_be_watched(
    page: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "notebooks/15-outbox.ipynb")

    async def measure() -> Mapping[str, float]:
        return {"pending": 7}

    await monitor(asyncio.sleep(0), measure)
    live, chart = page
    assert "<td>7</td>" in live.value  # type: ignore[attr-defined]
    assert isinstance(chart, dict)
