"""The exercises of tutorial 12."""

from tutorial_support.exercises.nb12.backup import BACKUP
from tutorial_support.exercises.nb12.port import PORT

EXERCISES = (PORT, BACKUP)
