"""A notebook as its reader sees it: cells, sections, lists and links."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from nbformat import NotebookNode

from tutorial_support.exercises.model import parse
from tutorial_support.notebooks.files import number_of

Found = Iterator[tuple[int, str]]  # what a rule yields: a cell, counted from 1, and a message
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_IMAGE = r"!\[[^\]]*\]\(([^)\s]+)\)"
_LINK = re.compile(rf"(?<!!)\[(?:{_IMAGE}|[^\]])*\]\(([^)\s]+)\)|{_IMAGE}")


@dataclass
class Section:
    """What stands under one heading of the second level."""

    title: str
    cell: int
    text: str = ""
    code: list[str] = field(default_factory=list)

    @property
    def items(self) -> list[str]:
        return re.findall(r"^(?:[-*]|\d+\.) +(.+)", self.text, re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """One notebook, with what the rules ask about it."""

    path: Path
    notebook: NotebookNode

    @property
    def number(self) -> int:
        return number_of(self.path)

    @cached_property
    def cells(self) -> list[tuple[int, NotebookNode]]:
        return list(enumerate(self.notebook.cells, 1))

    @cached_property
    def markdown(self) -> list[tuple[int, str]]:
        return [(n, cell.source) for n, cell in self.cells if cell.cell_type == "markdown"]

    @cached_property
    def code(self) -> list[tuple[int, NotebookNode]]:
        return [(n, cell) for n, cell in self.cells if cell.cell_type == "code"]

    @cached_property
    def trees(self) -> list[tuple[int, ast.Module]]:
        return [(n, parse(cell.source)) for n, cell in self.code]

    @cached_property
    def sections(self) -> list[Section]:
        found = [Section("", 1)]
        for n, cell in self.cells:
            if cell.cell_type == "code":
                found[-1].code.append(cell.source)
                continue
            before, *parts = re.split(r"^## +(.+)$", without_code(cell.source), flags=re.MULTILINE)
            found[-1].text += f"\n{before}"
            for title, text in zip(parts[::2], parts[1::2], strict=True):
                found.append(Section(title.strip(), n, text))
        return found[1:]

    def section(self, title: str) -> Section | None:
        return next((each for each in self.sections if each.title == title), None)


def without_code(source: str) -> str:
    """Markdown without its fenced blocks."""
    return _FENCE.sub("", source)


def links(source: str) -> list[str]:
    """The targets of the links and images in Markdown, those of images in links too."""
    found = _LINK.findall(without_code(source))
    return [target for targets in found for target in targets if target]


def output_texts(cell: NotebookNode) -> Iterator[str]:
    """Everything in the outputs of a cell that is text."""
    for output in cell.outputs:
        if output.output_type == "stream":
            yield output.text
        for content in output.get("data", {}).values():
            if isinstance(content, str):
                yield content
