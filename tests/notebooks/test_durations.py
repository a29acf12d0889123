"""docs/durations.md says of every notebook what it promises; what was measured is in its budget."""

from pathlib import Path

import pytest

from tutorial_support.exercises import Exercise
from tutorial_support.notebooks import find, number_of
from tutorial_support.notebooks.durations import (
    TABLE,
    Verdicts,
    exercises,
    filled,
    filled_verdicts,
    measured,
    measured_verdicts,
)

PAGE = TABLE.read_text("utf-8")
WITH_BROKERS = {17, 18, 19}
CAPSTONE = "21.3"


def test_the_table_has_the_notebooks_with_the_minutes_they_promise() -> None:
    assert filled(PAGE, find(), measured(PAGE)) == PAGE, "run `tutorial refresh`"


@pytest.mark.parametrize("path", find(), ids=lambda path: path.stem)
def test_a_notebook_kept_its_budget_when_it_was_measured(path: Path) -> None:
    seconds = measured(PAGE).get(number_of(path), 0)
    assert seconds < (20 if number_of(path) in WITH_BROKERS else 10)


def test_the_second_table_has_all_exercises() -> None:
    again = filled_verdicts(PAGE, exercises(), measured_verdicts(PAGE))
    assert again == PAGE, "run `tutorial refresh`"


@pytest.mark.parametrize("exercise", exercises(), ids=lambda exercise: exercise.id)
def test_a_verdict_came_within_a_second_when_it_was_measured(exercise: Exercise) -> None:
    seconds = measured_verdicts(PAGE).get(exercise.id, Verdicts(0, 0, 0))
    assert max(seconds) <= (2 if exercise.id == CAPSTONE else 1)


def test_what_is_recorded_of_verdicts_is_read_again() -> None:
    exercise = exercises()[0]
    page = "| ---: | --- | ---: | ---: | ---: |\n| 99.1 | gone | 0 | 1 | 2 |\n\nMore.\n"
    seconds = {exercise.id: Verdicts(0.0, 0.25, 0.5)}
    assert measured_verdicts(filled_verdicts(page, [exercise], seconds)) == seconds
    assert filled_verdicts(page, [exercise], {}).endswith(" | - | - | - |\n\nMore.\n")
    assert filled(page, [], {}) == page


def test_a_row_is_filled_from_its_notebook() -> None:
    path = find()[0]
    page = "| | Notebook |\n| ---: | --- | ---: | ---: |\n| 99 | gone | 1 | 2.0 |\nMore.\n"
    (row,) = [line for line in filled(page, [path], {}).splitlines() if path.name in line]
    assert row.startswith(f"| {number_of(path)} | [")
    assert row.endswith("| - |")
    assert filled(page, [path], {}).endswith("|\nMore.\n")
    assert "gone" not in filled(page, [path], {})
