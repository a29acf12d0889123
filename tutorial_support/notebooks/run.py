"""Running notebooks from top to bottom with papermill: executed copies, and how long each took."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from rich.progress import Progress, TaskID

from tutorial_support.notebooks.files import KERNEL, NotANotebookError, read
from tutorial_support.notebooks.problems import Problem
from tutorial_support.notebooks.refresh import COLUMNS, kernel_settings


@dataclass(frozen=True)
class Run:
    """How the run of one notebook ended; `seconds` counts the start of its kernel too."""

    path: Path
    cells: int
    seconds: float
    problem: Problem | None = None


def run_all(paths: Sequence[Path], into: Path) -> list[Run]:
    """Run notebooks one after the other, in their folder, and write executed copies to `into`.

    A notebook that fails ends there, and the others go on. Shows a progress bar.
    """
    into.mkdir(parents=True, exist_ok=True)
    runs = []
    with Progress(*COLUMNS) as progress:
        for path in paths:
            task = progress.add_task(path.stem, total=None)
            try:
                progress.update(task, total=len(read(path).cells))
                runs.append(_run(path, into / path.name, partial(_advance, progress, task)))
            except NotANotebookError as error:
                runs.append(Run(path, 0, 0.0, Problem(path.name, 0, str(error))))
            outcome = "failed" if runs[-1].problem else "done"
            progress.update(task, description=f"{path.stem}: {outcome}")
    return runs


def _advance(progress: Progress, task: TaskID, cells: int) -> None:
    progress.update(task, advance=cells)


def _run(path: Path, copy: Path, advance: Callable[[int], None]) -> Run:
    problem, began = None, time.monotonic()
    try:
        papermill.execute_notebook(
            path,
            copy,
            cwd=path.parent,
            engine_name=_Engine.name,
            kernel_name=KERNEL["name"],
            language=KERNEL["language"],
            progress_bar=False,
            advance=advance,
        )
    except PapermillExecutionError as error:
        problem = Problem(path.name, error.cell_index + 1, f"{error.ename}: {error.evalue}")
    except (CellTimeoutError, DeadKernelError) as error:
        problem = Problem(path.name, 0, str(error).strip().splitlines()[0])
    seconds = time.monotonic() - began
    cells = sum(cell.cell_type == "code" for cell in read(path).cells)
    return Run(path, cells, seconds, problem)


class _Engine(NBClientEngine):  # type: ignore[misc]  # papermill has no types
    """Papermill's own engine, which tells of each executed cell and runs kernels as we do."""

    name = "tutorial"

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, advance: Callable[[int], None], **options: Any
    ) -> None:
        nb_man.pbar = _Bar(advance)
        super().execute_managed_notebook(nb_man, kernel_name, **options | kernel_settings())


class _Bar:
    """What papermill asks of a progress bar."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self.update = advance
        self.n = 0

    def refresh(self) -> None: ...

    def close(self) -> None: ...


papermill_engines.register(_Engine.name, _Engine)
