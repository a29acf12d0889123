"""docs/durations.md says of every notebook what it promises; what was measured is in its budget."""

from pathlib import Path

import pytest

from tutorial_support.notebooks import find, number_of
from tutorial_support.notebooks.durations import TABLE, filled, measured

PAGE = TABLE.read_text("utf-8")
WITH_BROKERS = {17, 18, 19}


def test_the_table_has_the_notebooks_with_the_minutes_they_promise() -> None:
    assert filled(PAGE, find(), measured(PAGE)) == PAGE, "run `tutorial refresh`"


@pytest.mark.parametrize("path", find(), ids=lambda path: path.stem)
def test_a_notebook_kept_its_budget_when_it_was_measured(path: Path) -> None:
    seconds = measured(PAGE).get(number_of(path), 0)
    assert seconds < (20 if number_of(path) in WITH_BROKERS else 10)


def test_a_row_is_filled_from_its_notebook() -> None:
    path = find()[0]
    page = "| | Notebook |\n| ---: | --- | ---: | ---: |\n| 99 | gone | 1 | 2.0 |\nMore.\n"
    (row,) = [line for line in filled(page, [path], {}).splitlines() if path.name in line]
    assert row.startswith(f"| {number_of(path)} | [")
    assert row.endswith("| - |")
    assert filled(page, [path], {}).endswith("|\nMore.\n")
    assert "gone" not in filled(page, [path], {})
