"""The exercises of tutorial 13."""

from tutorial_support.exercises.nb13.filters import FILTERS
from tutorial_support.exercises.nb13.slow import SLOW

EXERCISES = (FILTERS, SLOW)
