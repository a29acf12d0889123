"""The exercises of tutorial 1."""

from tutorial_support.exercises.nb01.kinds import KINDS
from tutorial_support.exercises.nb01.lowest import LOWEST

EXERCISES = (LOWEST, KINDS)
