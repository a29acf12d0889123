"""A learner in a real notebook: it has run to its last exercise, and she fills in and checks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from tutorial_support.exercises import Exercise
from tutorial_support.notebooks.files import read
from tutorial_support.notebooks.refresh import kernel_client


@dataclass(frozen=True)
class Told:
    """What a check said, and after how many seconds in the kernel."""

    text: str
    seconds: float


@dataclass(frozen=True)
class Learner:
    client: NotebookClient

    def answer(self, exercise: Exercise, source: str) -> Told:
        """Run a cell with this answer, and then the check cell."""
        self._run(source)
        done = self._run(exercise.check_code)
        text = _printed(done)
        times = done.metadata["execution"]
        began, ended = (
            datetime.fromisoformat(times[of])
            for of in ("iopub.execute_input", "shell.execute_reply")
        )
        return Told(text, (ended - began).total_seconds())

    def run(self, source: str) -> str:
        """Run a cell of her own; what it prints."""
        return _printed(self._run(source))

    def _run(self, source: str) -> NotebookNode:
        cells = self.client.nb.cells
        cells.append(new_code_cell(source))  # type: ignore[no-untyped-call]
        return self.client.execute_cell(cells[-1], len(cells) - 1)


def _printed(cell: NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


@contextmanager
def learner(path: Path) -> Iterator[Learner]:
    """Her kernel ends with the block."""
    client = kernel_client(read(path), path.parent)
    with client.setup_kernel(env=dict(os.environ)):
        checks = [i for i, cell in enumerate(client.nb.cells) if "check_exercise(" in cell.source]
        for index, cell in enumerate(client.nb.cells[: checks[-1] + 1]):
            client.execute_cell(cell, index)
        yield Learner(client)
