"""The exercises of tutorial 10."""

from tutorial_support.exercises.nb10.both import BOTH
from tutorial_support.exercises.nb10.restored import RESTORED

EXERCISES = (BOTH, RESTORED)
