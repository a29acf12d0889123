"""Refreshing runs a notebook for real and writes back only what changed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tutorial_support.notebooks import files, read, refresh

SHOW_TABLE = """from tutorial_support.show import table
frame = table([{"n": 1}], caption="One row")
frame"""


@pytest.fixture
def notebook(tmp_path: Path) -> Callable[..., Path]:
    def make(*sources: str, tags: dict[int, list[str]] | None = None) -> Path:
        cells = [new_code_cell(source) for source in sources]
        for index, names in (tags or {}).items():
            cells[index].metadata["tags"] = names
        path = tmp_path / "90-sample.ipynb"
        path.write_text(files.text(new_notebook(cells=[new_markdown_cell("# Hello"), *cells])))
        return path

    return make


def code(path: Path) -> list[NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_outputs_are_stored_in_a_normal_form(notebook: Callable[..., Path]) -> None:
    path = notebook(
        "print('a')\nprint('b')", "from pathlib import Path\nPath.cwd().name", SHOW_TABLE
    )
    assert refresh([path]) == []
    printed, value, shown = code(path)
    assert [output.text for output in printed.outputs] == ["a\nb\n"]
    assert value.outputs[0].data["text/plain"] == repr(path.parent.name)
    assert [output.output_type for output in shown.outputs] == ["display_data"]
    assert "One row</caption>" in shown.outputs[0].data["text/html"]
    assert [cell.execution_count for cell in code(path)] == [1, 2, 3]
    assert all(not cell.metadata for cell in code(path))
    metadata = read(path).metadata
    assert metadata.language_info == {"name": "python"}
    assert metadata.kernelspec.name == "python3"


def test_an_unchanged_notebook_is_not_written_again(notebook: Callable[..., Path]) -> None:
    path = notebook("6 * 7")
    refresh([path])
    before = path.stat()
    assert refresh([path]) == []
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_an_unstable_output_is_kept_until_its_source_changes(notebook: Callable[..., Path]) -> None:
    path = notebook("import time\ntime.time_ns()", tags={0: ["nbval-ignore-output"]})
    refresh([path])
    first = code(path)[0].outputs
    refresh([path])
    assert code(path)[0].outputs == first

    changed = read(path)
    changed.cells[1].source += " + 0"
    path.write_text(files.text(changed))
    refresh([path])
    assert code(path)[0].outputs != first


def test_a_notebook_that_fails_is_left_as_it_was(notebook: Callable[..., Path]) -> None:
    path = notebook("1 + 1", "{}['missing']", "3")
    before = path.read_text()
    (problem,) = refresh([path])
    assert str(problem).startswith("90-sample.ipynb:cell 3: KeyError: 'missing'")
    assert path.read_text() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_kernel_that_dies_is_reported(notebook: Callable[..., Path]) -> None:
    path = notebook("import os\nos._exit(3)")
    (problem,) = refresh([path])
    assert "died" in problem.message.lower()


def test_one_broken_notebook_does_not_stop_the_next(
    notebook: Callable[..., Path], tmp_path: Path
) -> None:
    broken = tmp_path / "89-broken.ipynb"
    broken.write_text("not a notebook")
    path = notebook("'done'")
    (problem,) = refresh([broken, path])
    assert problem.notebook == "89-broken.ipynb"
    assert code(path)[0].outputs[0].data["text/plain"] == "'done'"


def test_a_figure_is_shown_once_and_with_words(notebook: Callable[..., Path]) -> None:
    path = notebook(
        "import matplotlib.pyplot as plt\n"
        "from tutorial_support.show import figure\n"
        "fig, axes = plt.subplots()\n"
        "axes.plot([1, 2])\n"
        'figure(fig, alt="A rising line.")'
    )
    refresh([path])
    (shown,) = code(path)[0].outputs
    assert set(shown.data) == {"text/html", "text/plain"}
    assert shown.data["text/plain"] == "[A rising line.]"
    first = path.read_bytes()
    refresh([path])
    assert path.read_bytes() == first


def test_notebooks_are_found_in_order_or_by_number(tmp_path: Path) -> None:
    for name in ("11-b.ipynb", "02-a.ipynb", "notes.ipynb", "12-c.md"):
        (tmp_path / name).touch()
    assert [path.name for path in files.find(folder=tmp_path)] == ["02-a.ipynb", "11-b.ipynb"]
    assert [path.name for path in files.find([11, 3], tmp_path)] == ["11-b.ipynb"]
