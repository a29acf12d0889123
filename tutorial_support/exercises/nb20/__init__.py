"""The exercises of tutorial 20."""

from tutorial_support.exercises.nb20.partner import PARTNER
from tutorial_support.exercises.nb20.stuck import STUCK

EXERCISES = (STUCK, PARTNER)
