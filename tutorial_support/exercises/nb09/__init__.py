"""The exercises of tutorial 9."""

from tutorial_support.exercises.nb09.delay import DELAY
from tutorial_support.exercises.nb09.parking import PARKING

EXERCISES = (DELAY, PARKING)
