"""The exercises of tutorial 4."""

from tutorial_support.exercises.nb04.points import POINTS
from tutorial_support.exercises.nb04.retry import RETRY

EXERCISES = (RETRY, POINTS)
