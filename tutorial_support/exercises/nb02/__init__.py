"""The exercises of tutorial 2."""

from tutorial_support.exercises.nb02.refunds import REFUNDS
from tutorial_support.exercises.nb02.returns import RETURNS

EXERCISES = (RETURNS, REFUNDS)
