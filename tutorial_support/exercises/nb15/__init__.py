"""The exercises of tutorial 15."""

from tutorial_support.exercises.nb15.alert import ALERT
from tutorial_support.exercises.nb15.stuck import STUCK

EXERCISES = (ALERT, STUCK)
