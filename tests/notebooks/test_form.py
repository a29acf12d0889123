"""Every notebook keeps to the course's form, and is stored as it runs."""

import ast
from collections import defaultdict
from inspect import signature
from pathlib import Path

import pytest

import tutorial_support.domain
from eventsource import PostgreSQLEventStore
from tutorial_support.notebooks import find, lint, read
from tutorial_support.notebooks.files import title
from tutorial_support.notebooks.navigation import linked_readme
from tutorial_support.notebooks.page import Page

ROOT = Path(__file__).resolve().parents[2]
DOMAIN = Path(tutorial_support.domain.__file__).parent


def test_there_are_notebooks() -> None:
    assert find()


def test_the_notebooks_keep_to_the_form() -> None:
    problems = lint(find())
    assert not problems, "\n".join(map(str, problems))


def test_the_readme_links_to_every_notebook() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert readme == linked_readme(readme, find()), "run `tutorial refresh`"
    rows = {path.name: f"[{title(path)}](notebooks/{path.name})" for path in find()}
    assert [name for name, row in rows.items() if row not in readme] == []


def test_tutorial_11_says_what_every_parameter_of_the_store_does() -> None:
    (path,) = find([11])
    prose = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    parameters = signature(PostgreSQLEventStore).parameters
    assert [name for name in parameters if f"\n| `{name}` |" not in prose] == []


def classes(*trees: ast.Module) -> dict[str, ast.ClassDef]:
    found = [node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]
    return {node.name: node for node in found}


@pytest.mark.parametrize("path", find(), ids=lambda path: path.stem)
def test_what_a_notebook_teaches_is_the_very_text_that_the_others_import(path: Path) -> None:
    modules = [ast.parse(module.read_text("utf-8")) for module in DOMAIN.glob("*.py")]
    shared = classes(*modules)
    own = classes(*(tree for _, tree in Page(path, read(path)).trees))
    assert [
        name for name in own.keys() & shared.keys() if ast.dump(own[name]) != ast.dump(shared[name])
    ] == [], "the notebook and tutorial_support/domain differ"


def test_no_class_is_defined_in_two_notebooks() -> None:
    homes = defaultdict(list)
    for path in find():
        for name in classes(*(tree for _, tree in Page(path, read(path)).trees)):
            homes[name].append(path.name)
    twice = {name: paths for name, paths in homes.items() if len(paths) > 1}
    assert twice == {}, "define it where it is taught, and import it from tutorial_support.domain"
