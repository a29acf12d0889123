"""The exercises of tutorial 21."""

from tutorial_support.exercises.nb21.address import ADDRESS
from tutorial_support.exercises.nb21.capstone import CAPSTONE
from tutorial_support.exercises.nb21.late_payment import LATE_PAYMENT

EXERCISES = (ADDRESS, LATE_PAYMENT, CAPSTONE)
