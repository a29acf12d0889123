"""Executing notebooks and writing back what really changed."""

import os
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from traitlets.config import Config

from tutorial_support.exercises import exercises_of
from tutorial_support.notebooks.files import normalise, number_of, read, tags, write
from tutorial_support.notebooks.navigation import sync_navigation
from tutorial_support.notebooks.problems import Problem
from tutorial_support.paths import jupyter_environment

UNSTABLE = "nbval-ignore-output"
CELL_TIMEOUT_SECONDS = 120
COLUMNS = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()


def refresh(paths: Sequence[Path]) -> list[Problem]:
    """Execute notebooks in their folder and write back the outputs that changed.

    A cell tagged `nbval-ignore-output` keeps its outputs until its source changes. Exercise cells
    are brought up to date with their module first. A notebook that fails is left as it was and
    reported. Shows a progress bar.
    """
    problems = []
    with Progress(*COLUMNS) as progress:
        for path in paths:
            task = progress.add_task(path.stem)
            try:
                changed = _refresh(path, partial(_advance, progress, task))
                outcome = "written" if changed else "unchanged"
            except _Failed as failure:
                problems.append(Problem(path.name, *failure.args))
                outcome = "failed, left as it was"
            progress.update(task, description=f"{path.stem}: {outcome}")
    return problems


def _advance(progress: Progress, task: TaskID, done: int, total: int) -> None:
    progress.update(task, completed=done, total=total)


class _Failed(Exception):  # noqa: N818  (never leaves this module)
    """A notebook that cannot be refreshed: the cell and why."""


def _refresh(path: Path, advance: Callable[[int, int], None]) -> bool:
    try:
        notebook = read(path)
    except ValueError as error:
        raise _Failed(0, str(error)) from error
    sync_exercises(notebook, number_of(path))
    sync_navigation(notebook, path)
    kept = _kept_outputs(notebook)
    try:
        execute(notebook, path.parent, advance)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        last = max(
            (i for i, c in enumerate(notebook.cells, 1) if c.get("execution_count")), default=0
        )
        raise _Failed(last, f"{_reason(error)}; run it in `tutorial lab` and mend it") from error
    for cell in notebook.cells:
        if UNSTABLE in tags(cell):
            cell.outputs = kept.get(cell.id, cell.outputs)
            cell.metadata["executed_source"] = _fingerprint(cell)
    normalise(notebook)
    return write(path, notebook)


def _reason(error: Exception) -> str:
    if isinstance(error, CellExecutionError):
        return f"{error.ename}: {error.evalue}"
    return str(error).strip().splitlines()[0]


def execute(
    notebook: NotebookNode, folder: Path, advance: Callable[[int, int], None] | None = None
) -> NotebookNode:
    """Run all cells in a new kernel with `folder` as working directory; outputs go into the cells.

    Raises nbclient's CellExecutionError at the first cell that raises.
    """
    total = sum(cell.cell_type == "code" for cell in notebook.cells)
    done = 0

    def executed(**_: Any) -> None:
        nonlocal done
        done += 1
        if advance:
            advance(done, total)

    client = kernel_client(notebook, folder)
    client.on_cell_executed = executed
    return client.execute(env=dict(os.environ))


def kernel_client(notebook: NotebookNode, folder: Path) -> NotebookClient:
    """A client for this notebook, as the course runs all of them."""
    return NotebookClient(
        notebook,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        **kernel_settings(),
    )


def kernel_settings() -> dict[str, Any]:
    """What nbclient is told for every notebook; the files of Jupyter go to the cache folder."""
    environment = jupyter_environment()
    os.environ.update(environment)  # the connection file is written by this process
    Path(environment["IPYTHONDIR"]).mkdir(parents=True, exist_ok=True)  # or IPython warns
    return {
        "timeout": CELL_TIMEOUT_SECONDS,
        "coalesce_streams": True,
        "config": Config(KernelManager={"transport_encryption": "auto"}),
    }


def sync_exercises(notebook: NotebookNode, number: int) -> None:
    """Give each exercise's four cells the text of its module; the check cell marks the place."""
    cells = notebook.cells
    for exercise in exercises_of(number):
        for index in exercise_places(cells, exercise.id):
            for cell, (_, source) in zip(
                cells[index - 2 : index + 2], exercise.cells, strict=False
            ):
                cell.source = source


def exercise_places(cells: Sequence[NotebookNode], exercise_id: str) -> Iterable[int]:
    """Where the check cells of an exercise are."""
    call = f'check_exercise("{exercise_id}"'
    return [i for i, cell in enumerate(cells) if cell.cell_type == "code" and call in cell.source]


def _kept_outputs(notebook: NotebookNode) -> dict[str, list[NotebookNode]]:
    return {
        cell.id: deepcopy(cell.outputs)
        for cell in notebook.cells
        if UNSTABLE in tags(cell)
        and cell.outputs
        and cell.metadata.get("executed_source") == _fingerprint(cell)
    }


def _fingerprint(cell: NotebookNode) -> str:
    return sha256(cell.source.encode()).hexdigest()[:12]
