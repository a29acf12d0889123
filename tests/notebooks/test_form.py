"""Every notebook keeps to the course's form, and is stored as it runs."""

from tutorial_support.notebooks import find, lint


def test_there_are_notebooks() -> None:
    assert find()


def test_the_notebooks_keep_to_the_form() -> None:
    problems = lint(find())
    assert not problems, "\n".join(map(str, problems))
