"""The exercises of tutorial 8."""

from tutorial_support.exercises.nb08.law import LAW
from tutorial_support.exercises.nb08.mutant import MUTANT

EXERCISES = (MUTANT, LAW)
