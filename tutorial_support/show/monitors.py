"""Queues and lags while work goes on: live in JupyterLab, and afterwards as a chart that stays."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, TypeVar

from tutorial_support.show.figures import figure
from tutorial_support.show.output import is_live, show_widget

T = TypeVar("T")
Measure = Callable[[], Awaitable[Mapping[str, float]]]


@dataclass(frozen=True)
class Sample:
    """What was measured so many seconds after the start."""

    seconds: float
    values: Mapping[str, float]


async def monitor(
    work: Coroutine[Any, Any, T],
    measure: Measure,
    *,
    every_seconds: float = 0.1,
    caption: str = "",
) -> T:
    """Measure while `work` runs and once behind it, show a chart of it, and return what it returns.

    `measure` gives numbers by name, such as the pending entries of an outbox and the lag of a
    reader. In JupyterLab they can be watched meanwhile. The chart's description is written from the
    same samples. When `work` or `measure` raises, the other is stopped, and nothing is drawn.
    """
    samples: list[Sample] = []
    show = _live_view() if is_live() else None
    task, began = asyncio.ensure_future(work), time.monotonic()
    try:
        while True:
            ended = task.done()
            samples.append(Sample(time.monotonic() - began, await measure()))
            if show:
                show(samples)
            if ended:
                break
            await asyncio.wait({task}, timeout=every_seconds)
        result = await task
    finally:
        task.cancel()
    draw(samples, caption=caption)
    return result


def draw(samples: list[Sample], *, caption: str = "") -> None:
    """Show samples as a chart, one line for each name."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(figsize=(7, 2.6))
    seconds = [sample.seconds for sample in samples]
    for name, style in zip(samples[0].values, ("-", "--", ":", "-."), strict=False):
        axes.plot(seconds, [sample.values[name] for sample in samples], style, label=name)
    axes.set(xlabel="seconds", ylim=(0, None))
    axes.legend()
    figure(fig, alt=describe(samples), caption=caption)


def describe(samples: list[Sample]) -> str:
    """Where each line starts, how high it gets, and where it ends."""
    told = []
    for name in samples[0].values:
        line = [sample.values[name] for sample in samples]
        told.append(
            f"{name}: {line[0]:g} at the start, at most {max(line):g}, {line[-1]:g} at the end."
        )
    return f"Measured for {samples[-1].seconds:.1f} seconds. {' '.join(told)}"


def _live_view() -> Callable[[list[Sample]], None]:
    import ipywidgets

    page = ipywidgets.HTML()
    show_widget(page)

    def show(samples: list[Sample]) -> None:
        page.value = bars(samples)

    return show


def bars(samples: list[Sample]) -> str:
    """The latest numbers, each with a bar as long as its share of the highest so far."""
    rows = []
    for name, value in samples[-1].values.items():
        highest = max(sample.values[name] for sample in samples) or 1
        bar = f'<meter min="0" max="{highest:g}" value="{value:g}" style="width:20em"></meter>'
        rows.append(f"<tr><th>{escape(name)}</th><td>{value:g}</td><td>{bar}</td></tr>")
    return f'<table aria-live="off">{"".join(rows)}</table>'
