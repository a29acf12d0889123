"""Gathering the site's pages in one folder, where links lead to pages and not to files."""

import posixpath
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from tutorial_support.notebooks.files import find, read, text
from tutorial_support.paths import docs_folder
from tutorial_support.site import reference

REPOSITORY = "https://github.com/eventsource-tutorial/eventsource-tutorial"
_LINK = re.compile(r"(\]\()([^)\s:#]+)((?:#[^)\s]*)?\))")
_FENCE = re.compile(r"(^```.*?^```|`[^`\n]*`)", re.DOTALL | re.MULTILINE)
_COURSE = re.compile(r"^## The course\n+(\|.*?\n)\n", re.DOTALL | re.MULTILINE)
FROM_ROOT = {"ARCHITECTURE.md": "architecture.md", "CONTRIBUTING.md": "contributing.md"}


def gather(executed: Path, into: Path) -> None:
    """Copy and write every page of the site into the new folder `into`.

    Notebooks that are not in the folder `executed` are taken as they are stored.
    """
    docs = docs_folder()
    ignored = shutil.ignore_patterns("conf.py", "__pycache__", "_static")
    shutil.copytree(docs, into, ignore=ignored)
    for name, page in FROM_ROOT.items():
        shutil.copy(docs.parent / name, into / page)
    reference.write(into / "api")
    places = _places(into, find())
    _write_pages(into, places)
    _write_notebooks(executed, into / "notebooks", places)


def _write_pages(into: Path, places: dict[str, str]) -> None:
    for path in into.glob("*.md"):
        origin = next((old for old, new in FROM_ROOT.items() if new == path.name), "")
        page = path.read_text("utf-8").replace("<!-- the course -->", _course())
        page = relinked(page, origin or f"docs/{path.name}", path.name, places)
        path.write_text(page.replace("<!-- chapters -->", _chapters()), "utf-8")


def _write_notebooks(executed: Path, into: Path, places: dict[str, str]) -> None:
    into.mkdir()
    for path in find():
        copy = executed / path.name
        notebook = read(copy if copy.exists() else path)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                here = f"notebooks/{path.name}"
                cell.source = relinked(cell.source, here, here, places)
        (into / path.name).write_text(text(notebook), "utf-8")


def relinked(page: str, origin: str, here: str, places: dict[str, str]) -> str:
    """The page with its relative links, written for its place in the repository, led elsewhere.

    They go to the page that a file has become, and to the repository's web site for other files.
    """

    def link(match: re.Match[str]) -> str:
        before, target, after = match.groups()
        file = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        if file not in places:
            return f"{before}{REPOSITORY}/blob/HEAD/{file}{after}"
        page = posixpath.relpath(places[file], posixpath.dirname(here) or ".")
        after = ")" if file == "README.md" else after  # its headings are other ones
        return f"{before}{page}{after}"

    parts = _FENCE.split(page)  # every second one is code
    return "".join(part if index % 2 else _LINK.sub(link, part) for index, part in enumerate(parts))


def _places(into: Path, notebooks: list[Path]) -> dict[str, str]:
    """Where each file of the repository that the site shows is in the site."""
    shown = [path.relative_to(into).as_posix() for path in into.rglob("*") if path.is_file()]
    return (
        {f"docs/{path}": path for path in shown}
        | {f"notebooks/{path.name}": f"notebooks/{path.name}" for path in notebooks}
        | FROM_ROOT
        | {"README.md": "index.md"}
    )


def _course() -> str:
    """The table of the course, which the README has."""
    found = _COURSE.search((docs_folder().parent / "README.md").read_text("utf-8"))
    if not found:
        raise ValueError("README.md has no table under '## The course'.")
    return found[1].replace("](notebooks/", "](../notebooks/")


def _chapters() -> str:
    """One table of contents for each phase of the course, as the README's table has them."""
    return "\n\n".join(_toctree(phase, names) for phase, names in _phases())


def _phases() -> Iterator[tuple[str, list[str]]]:
    for phase in re.split(r"^\| +\| \*\*", _course(), flags=re.MULTILINE)[1:]:
        names = re.findall(r"\(\.\./notebooks/([\w-]+)\.ipynb\)", phase)
        if names:
            yield phase.partition("**")[0], [f"notebooks/{name}" for name in names]


def _toctree(caption: str, names: list[str]) -> str:
    entries = "\n".join(names)
    return f"```{{toctree}}\n:hidden:\n:caption: '{caption}'\n\n{entries}\n```"
