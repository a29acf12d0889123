"""Exercises: what a learner fills in, how it is judged, and the answers the tests try.

One module a notebook, `nb11.py` and so on, holds `EXERCISES`, a tuple of `Exercise`. In the
notebook an exercise is four cells in a row: the task, the stub, the check, the folded hints
and solution. `cells` writes them; `tutorial refresh` keeps them the same as the module.
"""

from importlib import import_module
from importlib.util import find_spec

from tutorial_support.exercises.judge import Verdict, judge
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

__all__ = ["Exercise", "NotYet", "Verdict", "Wrong", "check_exercise", "exercises_of", "judge"]


async def check_exercise(exercise_id: str, answer: object, *given: object) -> None:
    """Judge an answer and print a tick, or *not yet* with what was seen and the hint that fits.

    `given` is what the check needs from the notebook, such as its database. Whatever the answer
    is or does, nothing is raised, and a hanging answer is stopped.
    """
    exercise = find_exercise(exercise_id)
    print((await judge(exercise, answer, *given)).text)


def find_exercise(exercise_id: str) -> Exercise:
    """The exercise "11.1". Raises LookupError for an id nobody wrote."""
    number, _, _ = exercise_id.partition(".")
    for exercise in exercises_of(int(number)):
        if exercise.id == exercise_id:
            return exercise
    raise LookupError(f"There is no exercise {exercise_id}.")


def exercises_of(number: int) -> tuple[Exercise, ...]:
    """The exercises of notebook `number`, in order; none if it has none yet."""
    name = f"{__name__}.nb{number:02}"
    if find_spec(name) is None:
        return ()
    found: tuple[Exercise, ...] = import_module(name).EXERCISES
    return found
