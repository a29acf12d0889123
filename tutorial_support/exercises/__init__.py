"""Exercises: what a learner fills in, how it is judged, and the answers the tests try.

One module a notebook, `nb11.py` and so on, holds `EXERCISES`, a tuple of `Exercise`. In the
notebook an exercise is four cells in a row: the task, the stub, the check, the folded hints
and solution. `cells` writes them; `tutorial refresh` keeps them the same as the module.
"""

from importlib import import_module
from importlib.util import find_spec

from tutorial_support import progress
from tutorial_support.exercises.judge import Verdict, judge
from tutorial_support.exercises.model import Exercise, NotYet, Wrong

__all__ = ["Exercise", "NotYet", "Verdict", "Wrong", "check_exercise", "exercises_of", "judge"]


async def check_exercise(exercise_id: str, answer: object, *given: object) -> None:
    """Judge an answer and print a tick, or *not yet* with what was seen and the hint that fits.

    `given` is what the check needs from the notebook, such as its database. Whatever the answer
    is or does, nothing is raised, and a hanging answer is stopped. A person who solves it also sees
    how many of the notebook's exercises she has solved; `tutorial progress` shows all of them.
    """
    exercise = find_exercise(exercise_id)
    verdict = await judge(exercise, answer, *given)
    print(verdict.text)
    if verdict.passed and progress.somebody_is_there():
        progress.record(exercise_id)
        print(_tally(exercise))


def _tally(exercise: Exercise) -> str:
    ids = [each.id for each in exercises_of(exercise.notebook)]
    done = progress.solved() & set(ids)
    return f"  solved in this notebook: {len(done)} of {len(ids)}"


def find_exercise(exercise_id: str) -> Exercise:
    """The exercise "11.1". Raises LookupError for an id nobody wrote."""
    for exercise in exercises_of(int(exercise_id.partition(".")[0])):
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
