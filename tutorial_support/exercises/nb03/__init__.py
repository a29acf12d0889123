"""The exercises of tutorial 3."""

from tutorial_support.exercises.nb03.cancellation import CANCELLATION
from tutorial_support.exercises.nb03.holding import HOLDING

EXERCISES = (HOLDING, CANCELLATION)
