"""The exercises of tutorial 14."""

from tutorial_support.exercises.nb14.closing import CLOSING
from tutorial_support.exercises.nb14.lies import LIES

EXERCISES = (LIES, CLOSING)
