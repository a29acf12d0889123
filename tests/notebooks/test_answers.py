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


def for_each(*sources: str, only: str = "") -> pytest.MarkDecorator:
    """Every answer of these kinds in every notebook; those of one notebook share its kernel."""
    cases = []
    for path in NOTEBOOKS:
        for exercise in exercises_of(number_of(path)):
            if only not in {"", exercise.id}:
                continue
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


HOSTILE = (
    "{} = 7",
    "from unittest.mock import MagicMock\n{} = MagicMock()",
    "class {}:\n    def __init__(self, *given):\n        raise SystemExit(1)",
    "def {}(*given, **named):\n    raise KeyboardInterrupt",
    "def {}(*given, **named):\n    return given",
    "async def {}(*given, **named):\n    raise SystemExit(1)",
)
METHODS = """
{source}

def interrupt(*given, **named):
    raise KeyboardInterrupt

for each in [each for each in vars({name}) if not each.startswith("__")]:
    if callable(vars({name})[each]):
        setattr({name}, each, interrupt)
"""


@for_each("stub")
def test_no_answer_makes_a_check_raise(
    she: Learner, exercise: Exercise, source: str, hint: int
) -> None:
    answers = [each.format(exercise.answer) for each in HOSTILE]
    if is_class(exercise) and "def " in exercise.solutions[0]:
        answers.append(METHODS.format(source=exercise.solutions[0], name=exercise.answer))
    for answer in answers:
        told = she.answer(exercise, answer).text
        assert told.startswith(f"○ Exercise {exercise.id}, {exercise.title}: not yet"), answer
        assert "Traceback" not in told
        assert "Warning" not in told


TASKS = "import asyncio\nprint(len([task for task in asyncio.all_tasks() if not task.done()]))"
FOR_EVER = """
import asyncio

async def {}(*given, **named):
    await asyncio.Event().wait()
"""


@for_each("stub", only="19.2")  # a driver runs it, which no check can cancel
def test_an_answer_that_waits_for_ever_leaves_no_task(
    she: Learner, exercise: Exercise, source: str, hint: int
) -> None:
    before = she.run(TASKS)
    assert "○" in she.answer(exercise, FOR_EVER.format(exercise.answer)).text
    assert she.run(TASKS) == before


@for_each("solution")
def test_a_solution_is_accepted(she: Learner, exercise: Exercise, source: str, hint: int) -> None:
    told = she.answer(exercise, source).text
    assert told == f"✓ Exercise {exercise.id}, {exercise.title}: solved\n"
