"""The exercises of tutorial 16."""

from tutorial_support.exercises.nb16.invoices import INVOICES
from tutorial_support.exercises.nb16.offboarding import OFFBOARDING

EXERCISES = (INVOICES, OFFBOARDING)
