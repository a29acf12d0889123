"""The exercises of tutorial 5."""

from tutorial_support.exercises.nb05.emails import (
    EMAILS,
    EmailFreed,
    EmailReserved,
    EmailTakenError,
)
from tutorial_support.exercises.nb05.wishes import WISHES

EXERCISES = (WISHES, EMAILS)

__all__ = ["EXERCISES", "EmailFreed", "EmailReserved", "EmailTakenError"]
