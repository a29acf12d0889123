"""The exercises of tutorial 7."""

from tutorial_support.exercises.nb07.audit import AUDIT
from tutorial_support.exercises.nb07.letters import LETTERS

EXERCISES = (AUDIT, LETTERS)
