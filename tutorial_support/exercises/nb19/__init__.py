"""Exercises of notebook 19, RabbitMQ."""

from tutorial_support.exercises.nb19.later import LATER
from tutorial_support.exercises.nb19.routes import ROUTES

EXERCISES = (ROUTES, LATER)
