"""Reading and writing notebooks in one normal form, so that a diff shows only what changed."""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from tutorial_support.paths import notebooks_folder

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
KEPT_METADATA = {"tags", "jupyter", "executed_source"}


class NotANotebookError(ValueError):
    """A file of the course that cannot be read as a notebook."""


def find(numbers: Iterable[int] = (), folder: Path | None = None) -> list[Path]:
    """The course's notebooks in order, or those with these numbers."""
    wanted = set(numbers)
    paths = sorted((folder or notebooks_folder()).glob("[0-9][0-9]-*.ipynb"))
    return [path for path in paths if not wanted or number_of(path) in wanted]


def number_of(path: Path) -> int:
    """The number a notebook's file name begins with, 0 without one."""
    match = re.match(r"\d+", path.name)
    return int(match[0]) if match else 0


def read(path: Path) -> NotebookNode:
    """The notebook in the current format. Raises NotANotebookError for a file that is not one."""
    try:
        notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except (ValueError, AttributeError, nbformat.ValidationError) as error:
        told = f"{path.name} is not a notebook: {error}"
        raise NotANotebookError(told) from error
    if not notebook.cells:
        raise NotANotebookError(f"{path.name} is not a notebook: it has no cells")
    for index, cell in enumerate(notebook.cells, 1):
        cell.setdefault("id", f"cell-{index:02}")
    return notebook


def title(path: Path) -> str:
    """The notebook's title without its number; the file's name if it has none, or is none."""
    with suppress(NotANotebookError):
        found = re.match(r"# Tutorial \d+: (.+)", read(path).cells[0].source)
        if found:
            return found[1].strip()
    return path.stem


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell."""
    return list(cell.metadata.get("tags", []))


def parameters_cell(notebook: NotebookNode) -> NotebookNode | None:
    """The cell papermill puts other values behind."""
    return next((cell for cell in notebook.cells if "parameters" in tags(cell)), None)


def normalise(notebook: NotebookNode) -> None:
    """Counts from 1, no times, no versions of the kernel, nothing that only a viewer needs."""
    notebook.metadata = _node({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    count = 0
    for index, cell in enumerate(notebook.cells, 1):
        cell.setdefault("id", f"cell-{index:02}")
        kept = {name: value for name, value in cell.metadata.items() if name in KEPT_METADATA}
        cell.metadata = _node(kept)
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            for output in cell.outputs:
                _normalise_output(output, count)


def _normalise_output(output: NotebookNode, count: int) -> None:
    output.pop("transient", None)
    if "metadata" in output:
        output.metadata = _node({})
    if output.output_type == "execute_result":
        output.execution_count = count


def _node(values: dict[str, Any]) -> NotebookNode:
    node: NotebookNode = nbformat.from_dict(values)  # type: ignore[no-untyped-call]
    return node


def text(notebook: NotebookNode) -> str:
    """The file's text; keys are sorted and every line of a source is a line."""
    written: str = nbformat.writes(notebook, version=4)  # type: ignore[no-untyped-call]
    return written if written.endswith("\n") else written + "\n"


def write(path: Path, notebook: NotebookNode) -> bool:
    """Replace the file if its text changes, all of it or nothing; tells whether it did."""
    new = text(notebook)
    if path.read_text("utf-8") == new:
        return False
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(new, "utf-8")
    os.replace(temporary, path)
    return True
