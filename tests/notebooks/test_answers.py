"""A learner in the real notebook: each stub, solution and typical mistake gets its verdict."""

import ast
from collections.abc import Iterator

import pytest

from tutorial_support.exercises import Exercise, exercises_of
from tutorial_support.notebooks import find, number_of
from tutorial_support.notebooks.learner import Learner, learner


@pytest.fixture(scope="module")
def she(request: pytest.FixtureRequest) -> Iterator[Learner]:
    with learner(request.param) as one:
        yield one


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
        ("she", "exercise", "source", "hint"), cases, indirect=["she"], scope="module"
    )


@for_each("stub", "wrong")
def test_it_is_not_yet_and_gets_the_hint_that_fits(
    she: Learner, exercise: Exercise, source: str, hint: int
) -> None:
    told = she.answer(exercise, source).text
    assert told.startswith(f"○ Exercise {exercise.id}, {exercise.title}: not yet"), told
    assert "seen:" in told
    assert "expected:" in told
    assert f"hint {hint}:" in told, told
    assert "an answer that ends" not in told  # she would have waited until patience ran out
    if source == exercise.stub and is_class(exercise):
        assert "the stub as it was" in told  # though a notebook's class has no file to read


def is_class(exercise: Exercise) -> bool:
    """Whether the answer is one."""
    statements = {getattr(each, "name", ""): each for each in ast.parse(exercise.stub).body}
    return isinstance(statements.get(exercise.answer), ast.ClassDef)


@for_each("solution")
def test_a_solution_is_accepted(she: Learner, exercise: Exercise, source: str, hint: int) -> None:
    told = she.answer(exercise, source).text
    assert told == f"✓ Exercise {exercise.id}, {exercise.title}: solved\n"
