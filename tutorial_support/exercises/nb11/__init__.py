"""The exercises of tutorial 11."""

from tutorial_support.exercises.nb11.months import MONTHS
from tutorial_support.exercises.nb11.pool import POOL

EXERCISES = (POOL, MONTHS)
