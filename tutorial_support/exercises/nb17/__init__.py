"""Exercises of notebook 17, Redis."""

from tutorial_support.exercises.nb17.once import ONCE
from tutorial_support.exercises.nb17.park import PARK

EXERCISES = (ONCE, PARK)
