"""Exercises of notebook 18, Kafka."""

from tutorial_support.exercises.nb18.keys import KEYS
from tutorial_support.exercises.nb18.read_model import READ_MODEL

EXERCISES = (KEYS, READ_MODEL)
