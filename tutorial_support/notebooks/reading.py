"""How a notebook, and every other page of ours, reads: the rules of prose, and terms explained."""

import re
from collections.abc import Iterator
from pathlib import Path

from tutorial_support.notebooks import prose
from tutorial_support.notebooks.glossary import taught_in, uses
from tutorial_support.notebooks.page import Found, Page, without_code
from tutorial_support.notebooks.problems import Problem
from tutorial_support.paths import docs_folder

_PARAGRAPH = re.compile(r"\n\s*\n|\n(?=[-*] )")
_QUOTED = re.compile(r"`[^`]*`|(?<=\])\([^)]*\)")
_POINTER = re.compile(r"\btutorials? \d", re.IGNORECASE)
_NO_PROSE = ("|", "<", "#")
NO_LESSON = ("What you will do", "What you will learn", "Further reading")


def words(page: Page) -> Found:
    """No word tells the reader that something is easy; all are in the dictionary; none rambles."""
    for n, source in page.markdown:
        for message in prose.wording(source):
            yield n, message


def headings(page: Page) -> Found:
    """Headings are in order through all cells."""
    for message in prose.headings("\n\n".join(source for _, source in page.markdown)):
        yield 0, message


def terms(page: Page) -> Found:
    """A term that a later notebook teaches is explained where it first comes up.

    So its paragraph sets it in italics or bold, or says which tutorial teaches it.
    """
    paragraphs = list(_paragraphs(page))
    for term, teacher in taught_in().items():
        if teacher <= page.number:
            continue
        use = uses(term)
        first = next(((n, text) for n, text in paragraphs if use.search(text)), None)
        if first and not _explains(first[1], use):
            yield first[0], f"'{term}' is taught in tutorial {teacher}: explain it, or say so"


def _paragraphs(page: Page) -> Iterator[tuple[int, str]]:
    for n, source in page.markdown:
        section = ""
        for paragraph in _PARAGRAPH.split(_QUOTED.sub("", without_code(source))):
            if heading := re.match(r"#+ +(.+)", paragraph):
                section = heading[1]
            if section not in NO_LESSON and not paragraph.lstrip().startswith(_NO_PROSE):
                yield n, paragraph


def _explains(paragraph: str, use: re.Pattern[str]) -> bool:
    marked = re.findall(r"\*[^*\n]+\*", paragraph)
    return bool(_POINTER.search(paragraph)) or any(use.search(each) for each in marked)


def pages() -> list[Path]:
    """The pages that are no notebooks."""
    root = docs_folder().parent
    folders = ("*.md", "docs/*.md", ".github/**/*.md")
    return sorted(path for folder in folders for path in root.glob(folder))


def lint_pages() -> list[Problem]:
    """What is wrong with how they read."""
    problems = []
    for path in pages():
        text = re.sub(r"\A---\n.*?\n---\n", "", path.read_text("utf-8"), flags=re.DOTALL)
        name = path.relative_to(docs_folder().parent).as_posix()
        found = [*prose.wording(text), *prose.headings(text)]
        problems += [Problem(name, 0, message) for message in found]
    return problems


RULES = (words, headings, terms)
