"""The exercises of tutorial 6."""

from tutorial_support.exercises.nb06.order import ORDER
from tutorial_support.exercises.nb06.times import TIMES

EXERCISES = (ORDER, TIMES)
