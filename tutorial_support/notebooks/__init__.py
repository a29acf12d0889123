"""The notebooks as files: find, read, execute and refresh them, and check their form."""

from tutorial_support.notebooks.files import NotANotebookError, find, number_of, read, title
from tutorial_support.notebooks.lint import lint
from tutorial_support.notebooks.problems import Problem
from tutorial_support.notebooks.refresh import execute, refresh

__all__ = [
    "NotANotebookError",
    "Problem",
    "execute",
    "find",
    "lint",
    "number_of",
    "read",
    "refresh",
    "title",
]
