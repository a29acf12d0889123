"""Links that follow from which notebooks there are: between neighbours, and from the README."""

import re
from collections.abc import Iterable
from pathlib import Path

from nbformat import NotebookNode

from tutorial_support.notebooks import durations
from tutorial_support.notebooks.files import find, normalise, number_of, read, write
from tutorial_support.paths import notebooks_folder

_LINE = re.compile(
    r"Previous: (?:\[[^\]]*\]\([^)]*\)|[^·\n]*) · (\[Index\]\([^)]*\)) · "
    r"Next: (?:\[[^\]]*\]\([^)]*\)|[^·\n]*[^·\s])"
)
_ROW = re.compile(r"^(\| +(\d+) \| )(?:\[([^\]]*)\]\([^)]*\)|([^|]*?))(?= +\|)", re.MULTILINE)
_BINDER = re.compile(r"(?<!!)\[(?:Run|Open) (?:on|in) Binder\](?=\(https://mybinder)")
BADGE = "[![Run on Binder](../docs/images/binder.svg)]"
LAST = 21


def sync_navigation(notebook: NotebookNode, path: Path) -> None:
    """Let the lines 'Previous · Index · Next' at both ends link to the neighbours that exist.

    The link to Binder becomes a badge, whose picture is ours: reading asks no other site.
    """
    names = {number_of(each): each.name for each in find(folder=path.parent)}
    number = number_of(path)
    before = _link(number - 1, names) if number > 1 else "this is the first"
    after = _link(number + 1, names) if number < LAST else "this is the last"
    notebook.cells[0].source = _BINDER.sub(BADGE, notebook.cells[0].source)
    for cell in (notebook.cells[0], notebook.cells[-1]):
        cell.source = _LINE.sub(rf"Previous: {before} · \1 · Next: {after}", cell.source)


def linked_readme(readme: str, paths: Iterable[Path]) -> str:
    """The README's text with a link in each row of the course table whose notebook exists."""
    names = {number_of(path): path.name for path in paths}

    def row(match: re.Match[str]) -> str:
        start, number, title = match[1], int(match[2]), match[3] or match[4]
        return start + (f"[{title}](notebooks/{names[number]})" if number in names else title)

    return _ROW.sub(row, readme)


def sync_all() -> None:
    """Bring the links of all notebooks, the README and docs/durations.md up to date."""
    for path in find():
        notebook = read(path)
        sync_navigation(notebook, path)
        normalise(notebook)
        write(path, notebook)
    readme = notebooks_folder().parent / "README.md"
    readme.write_text(linked_readme(readme.read_text("utf-8"), find()), "utf-8")
    durations.record({})


def _link(number: int, names: dict[int, str]) -> str:
    title = f"Tutorial {number}"
    return f"[{title}]({names[number]})" if number in names else title
