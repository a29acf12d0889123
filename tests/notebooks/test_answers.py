"""A learner in the real notebook: each stub, solution and typical mistake gets its verdict."""

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from tutorial_support.exercises import Exercise, exercises_of
from tutorial_support.notebooks import find, number_of, read
from tutorial_support.notebooks.refresh import kernel_client


@dataclass
class Learner:
    """Has run the notebook to its last exercise, and now fills in the stubs and runs the checks."""

    client: NotebookClient

    def run(self, cell: NotebookNode) -> str:
        self.client.nb.cells.append(cell)
        done = self.client.execute_cell(cell, len(self.client.nb.cells) - 1)
        return "".join(output.get("text", "") for output in done.outputs)

    def answer(self, exercise: Exercise, source: str) -> str:
        self.run(new_code_cell(source))
        return self.run(new_code_cell(exercise.check_code))


@pytest.fixture(scope="module")
def learner(request: pytest.FixtureRequest) -> Iterator[Learner]:
    path: Path = request.param
    client = kernel_client(read(path), path.parent)
    with client.setup_kernel(env=dict(os.environ)):
        checks = [i for i, cell in enumerate(client.nb.cells) if "check_exercise(" in cell.source]
        for index, cell in enumerate(client.nb.cells[: checks[-1] + 1]):
            client.execute_cell(cell, index)
        yield Learner(client)


NOTEBOOKS = find()


def for_each(*sources: str) -> pytest.MarkDecorator:
    """Every answer of these kinds in every notebook; those of one notebook share its kernel."""
    cases = []
    for path in NOTEBOOKS:
        for exercise in exercises_of(number_of(path)):
            answers = {
                "stub": [(exercise.stub, 1)],
                "solution": [(source, 0) for source in exercise.solutions],
                "wrong": [(wrong.source, wrong.hint) for wrong in exercise.wrong],
            }
            for kind in sources:
                for number, (source, hint) in enumerate(answers[kind], 1):
                    name = f"{exercise.id}-{kind}-{number}"
                    cases.append(pytest.param(path, exercise, source, hint, id=name))
    return pytest.mark.parametrize(
        ("learner", "exercise", "source", "hint"), cases, indirect=["learner"], scope="module"
    )


@for_each("stub", "wrong")
def test_it_is_not_yet_and_gets_the_hint_that_fits(
    learner: Learner, exercise: Exercise, source: str, hint: int
) -> None:
    told = learner.answer(exercise, source)
    assert told.startswith(f"○ Exercise {exercise.id}, {exercise.title}: not yet"), told
    assert "seen:" in told
    assert "expected:" in told
    assert f"hint {hint}:" in told, told
    if source == exercise.stub and is_class(exercise):
        assert "the stub as it was" in told  # though a notebook's class has no file to read


def is_class(exercise: Exercise) -> bool:
    """Whether the answer is one."""
    statements = {getattr(each, "name", ""): each for each in ast.parse(exercise.stub).body}
    return isinstance(statements.get(exercise.answer), ast.ClassDef)


@for_each("solution")
def test_a_solution_is_accepted(
    learner: Learner, exercise: Exercise, source: str, hint: int
) -> None:
    told = learner.answer(exercise, source)
    assert told == f"✓ Exercise {exercise.id}, {exercise.title}: solved\n"
