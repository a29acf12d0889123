"""How long a learner waits for a verdict: each answer alone, in its real notebook."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tutorial_support.exercises import Exercise, exercises_of
from tutorial_support.notebooks import number_of
from tutorial_support.notebooks.durations import Verdicts
from tutorial_support.notebooks.learner import Learner, learner

ROUNDS = 3  #: of which the best counts: others use the machine
TARGET_SECONDS = 1.0


def measure_verdicts(paths: Sequence[Path], console: Console) -> dict[str, Verdicts]:
    """The slowest verdicts on each exercise, by its id; shown as a table."""
    measured: dict[str, Verdicts] = {}
    shown = Table("exercise", "", "stub", "right", "wrong", title="Slowest verdicts, in seconds")
    for path in track(paths, "Notebooks", console=console):
        with learner(path) as she:
            for exercise in exercises_of(number_of(path)):
                measured[exercise.id] = slowest = _slowest(she, exercise)
                shown.add_row(exercise.id, exercise.title, *map(_cell, slowest))
    console.print(shown)
    return measured


def _slowest(she: Learner, exercise: Exercise) -> Verdicts:
    def seconds(source: str) -> float:
        return min(she.answer(exercise, source).seconds for _ in range(ROUNDS))

    return Verdicts(
        stub=seconds(exercise.stub),
        right=max(map(seconds, exercise.solutions)),
        wrong=max(seconds(each.source) for each in exercise.wrong),
    )


def _cell(seconds: float) -> str:
    text = f"{seconds:.2f}"
    return f"[yellow]{text}[/]" if seconds > TARGET_SECONDS else text
