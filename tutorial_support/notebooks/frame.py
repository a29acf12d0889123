"""The frame every notebook has: its head, its fixed sections in order, its exercises, its end."""

import re
from pathlib import Path

from tutorial_support.exercises import exercises_of
from tutorial_support.notebooks.files import find, number_of, parameters_cell
from tutorial_support.notebooks.navigation import BADGE
from tutorial_support.notebooks.page import Found, Page, links, without_code
from tutorial_support.notebooks.refresh import exercise_places
from tutorial_support.parameters import parameter_values

PARAMETERS = {"seed", "size", "database_url"}
OPTIONAL_PARAMETERS = {"keep"}
OPENING = ["What you will do", "What you will learn", "What you need"]
CLOSING = ["In practice", "On your own", "Check yourself", "Recap", "Further reading"]
VERBS = set(Path(__file__).with_name("verbs.txt").read_text("utf-8").split())


def head(page: Page) -> Found:
    """The title, the facts line and the Binder link are in the first cell."""
    _, first = page.markdown[0] if page.markdown and page.markdown[0][0] == 1 else (1, "")
    if not re.match(rf"# Tutorial {page.number}: \S", first):
        yield 1, f"the first line must be '# Tutorial {page.number}: Title', as the file's number"
    for what, pattern in {
        "beginner, intermediate or advanced": r"(?i)\b(beginner|intermediate|advanced)\b",
        "the minutes it takes ('30 minutes')": r"\b\d+ minutes\b",
        "the phase ('Phase 1')": r"\bPhase [1-4]\b",
        f"'{page.number} of 21'": rf"\b{page.number} of 21\b",
    }.items():
        if not any(re.search(pattern, line) and "·" in line for line in first.splitlines()):
            yield 1, f"the line under the title does not say {what}; separate its parts by ' · '"
    if BADGE not in first:
        yield (
            1,
            "there is no Binder badge: write '[Run on Binder](...)', and run `tutorial refresh`",
        )
    if not any("mybinder.org" in link and page.path.name in link for link in links(first)):
        yield 1, f"there is no Binder link that opens {page.path.name}"
    for cell, source in page.markdown[1:]:
        if re.search(r"^# ", without_code(source), re.MULTILINE):
            yield cell, "only the title is a heading of the first level; use ##"


def navigation(page: Page) -> Found:
    """Previous · Index · Next stand at the top and at the end, with links to what exists."""
    near = {number_of(p): p.name for p in find(folder=page.path.parent)}
    neighbours = [near[n] for n in (page.number - 1, page.number + 1) if n in near]
    for cell in (1, len(page.cells)):
        source = page.notebook.cells[cell - 1].source
        line = next((each for each in source.splitlines() if "Previous" in each), "")
        if not ("Index" in line and "Next" in line and line.count("·") >= 2 and links(line)):
            yield cell, "a line 'Previous: ... · [Index](...) · Next: ...' is missing"
        for name in neighbours:
            if name not in links(line):
                yield cell, f"the previous/next line must link to {name}, which exists"


def lists(page: Page) -> Found:
    """Do, learn and need are lists; the recap answers the learn list item by item."""
    for title in [*OPENING, "Recap", "Further reading"]:
        section = page.section(title)
        if section and not section.items:
            yield section.cell, f"'{title}' needs a list"
    learn, recap = page.section("What you will learn"), page.section("Recap")
    if learn and recap:
        if len(learn.items) != len(recap.items):
            told = f"{len(learn.items)} things to learn, {len(recap.items)} in the recap"
            yield recap.cell, f"the recap must mirror 'What you will learn' item by item: {told}"
        for promised, told in zip(learn.items, recap.items, strict=False):
            if not _words(promised) & _words(told):
                yield recap.cell, f"'{told}' does not take up '{promised}'"


def parameters(page: Page) -> Found:
    """One parameters cell of plain values, and right after it the set-up cell."""
    cell = parameters_cell(page.notebook)
    if cell is None:
        yield 0, "there is no cell tagged 'parameters' with seed, size and database_url = None"
        return
    codes = [each for _, each in page.code]
    where = page.notebook.cells.index(cell) + 1
    if codes[0] is not cell:
        yield where, "the parameters cell must be the first code cell"
    values = parameter_values(cell.source)
    if missing := PARAMETERS - values.keys():
        yield where, f"the parameters cell does not set {', '.join(sorted(missing))}"
    if unknown := values.keys() - PARAMETERS - OPTIONAL_PARAMETERS:
        names = ", ".join(sorted(unknown))
        yield where, f"unknown parameters: {names}"
    if values.get("database_url") is not None:
        yield where, "database_url must be None: the course finds or starts the database"
    set_up = codes[1].source if len(codes) > 1 else ""
    if not ("import " in set_up and "open_database(" in set_up):
        yield where, "the code cell after the parameters must import and open the database"


def order(page: Page) -> Found:
    """The fixed sections are there in their order, and the others start with a verb."""
    titles = [section.title for section in page.sections]
    if titles[:3] != OPENING:
        yield 2, f"the first sections must be {', '.join(map(repr, OPENING))}"
    if titles[-5:] != CLOSING:
        yield len(page.cells), f"the last sections must be {', '.join(map(repr, CLOSING))}"
    if not any(title.startswith("Break it") for title in titles):
        yield 0, "there is no section 'Break it: ...' in which something really fails"
    for section in page.sections:
        if section.title.startswith("Break it"):
            if not re.search(r"\b(expect|check)\(", "\n".join(section.code)):
                yield section.cell, "'Break it' must prove what breaks with expect() or check()"
        elif section.title not in OPENING + CLOSING:
            verb = section.title.split()[0].lower().strip(":,")
            if verb not in VERBS:
                yield (
                    section.cell,
                    f"'{section.title}' must start with a verb (add it to verbs.txt)",
                )


def exercises(page: Page) -> Found:
    """Two or three exercises, each the four cells its module says."""
    own, known = page.section("On your own"), exercises_of(page.number)
    if not 2 <= len(known) <= 3:
        yield own.cell if own else 0, f"there must be two or three exercises, not {len(known)}"
    for exercise in known:
        places = list(exercise_places(page.notebook.cells, exercise.id))
        if len(places) != 1:
            yield (
                own.cell if own else 0,
                f"exercise {exercise.id} must be checked in exactly one cell",
            )
            continue
        cells = page.notebook.cells[places[0] - 2 : places[0] + 2]
        for number, (cell, wanted) in enumerate(
            zip(cells, exercise.cells, strict=False), places[0] - 1
        ):
            if (cell.cell_type, cell.source) != wanted:
                yield (
                    number,
                    f"differs from exercise {exercise.id} in its module: run `tutorial refresh`",
                )


def questions(page: Page) -> Found:
    """Three to five questions whose answers are folded."""
    section = page.section("Check yourself")
    if section:
        folded = re.findall(
            r"<details>\s*<summary>.+?</summary>.+?</details>", section.text, re.DOTALL
        )
        if not 3 <= len(folded) <= 5:
            yield section.cell, f"three to five questions with folded answers, not {len(folded)}"


def _words(sentence: str) -> set[str]:
    return {word[:5] for word in re.findall(r"\w{5,}", sentence.lower())}


RULES = (head, navigation, lists, parameters, order, exercises, questions)
