"""Checking that notebooks keep to the course's form; every finding says what to do."""

import re
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tutorial_support.notebooks import content, frame, reading
from tutorial_support.notebooks.files import number_of, read
from tutorial_support.notebooks.page import Page, links
from tutorial_support.notebooks.problems import Problem


def lint(paths: Sequence[Path]) -> list[Problem]:
    """What is wrong with these notebooks, in reading order; an empty list if nothing is."""
    problems, pages = [], []
    for path in paths:
        try:
            page = Page(path, read(path))
            _ = page.trees
        except (ValueError, SyntaxError) as error:
            problems.append(Problem(path.name, 0, f"cannot be read: {error}"))
            continue
        pages.append(page)
        for rule in (*frame.RULES, *content.RULES, *reading.RULES):
            problems.extend(Problem(path.name, *found) for found in rule(page))
    return sorted([*problems, *_cycles(pages)])


def _cycles(pages: list[Page]) -> list[Problem]:
    """Nobody has to read a notebook before itself."""
    needs = {page.path.name: _needed(page) for page in pages}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        circle = error.args[1]
        return [Problem(circle[0], 0, f"'What you need' goes in a circle: {' → '.join(circle)}")]
    return []


def _needed(page: Page) -> set[str]:
    section = page.section("What you need")
    found = links(section.text) if section else []
    return {
        name
        for name in found
        if re.fullmatch(r"\d\d-[\w-]+\.ipynb", name) and number_of(Path(name))
    }
