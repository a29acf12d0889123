"""Each rule of the course's form finds the notebook that breaks it and passes one that does not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tutorial_support.exercises import Exercise, Wrong
from tutorial_support.notebooks import content, files, frame, lint, reading
from tutorial_support.notebooks.page import Page

NAVIGATION = "Previous: [1](01-before.ipynb) · [Index](../README.md) · Next: 3"
HEAD = f"""# Tutorial 2: Your first event

Beginner · 20 minutes · Phase 1: Foundations · 2 of 21

{NAVIGATION}

[![Run on Binder](../docs/images/binder.svg)](https://mybinder.org/v2/gh/a/b/HEAD?urlpath=lab/tree/notebooks/02-sample.ipynb)
"""
LISTS = """## What you will do

- Store one event.

## What you will learn

- Name events in the past tense.
- Store what happened.

## What you need

- The ideas of [Tutorial 1](01-before.ipynb).
"""
PARAMETERS = "seed = 2\nsize = 10\ndatabase_url = None"
SET_UP = """from tutorial_support.lab import check, expect

db = await open_database("02", url=database_url)"""
QUESTIONS = "\n\n".join(
    f"<details>\n<summary>Question {n}?</summary>\n\nAnswer {n}.\n\n</details>" for n in (1, 2, 3)
)
END = f"""## Recap

- You named an event in the past tense.
- You stored what happened.

## Further reading

- Vaughn Vernon, *Implementing Domain-Driven Design*.

{NAVIGATION}
"""


async def accept(answer: object) -> None: ...


def an_exercise(number: int) -> Exercise:
    return Exercise(
        id=f"2.{number}",
        title=f"Name an event, {number}",
        task="Find a name.",
        answer="name",
        stub="name = None",
        hints=("What happened?",),
        solutions=('name = "OrderPlaced"', 'name = "OrderShipped"'),
        wrong=tuple(Wrong(f'name = "{each}"', 1) for each in ("PlaceOrder", "order", "Order")),
        check=accept,
    )


EXERCISES = (an_exercise(1), an_exercise(2))


def printed(text: str) -> list[NotebookNode]:
    return [new_output("stream", name="stdout", text=text)]


def sample() -> NotebookNode:
    """A short notebook with nothing to complain about."""
    cells = [
        new_markdown_cell(HEAD),
        new_markdown_cell(LISTS),
        new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        new_code_cell(SET_UP),
        new_markdown_cell("## Store an event\n\nAn event says what happened."),
        new_code_cell('check("it is stored", True)', outputs=printed("✓ it is stored\n")),
        new_markdown_cell("## Break it: two writers"),
        new_code_cell(
            "with expect(ValueError):\n    int('x')", outputs=printed("ValueError: invalid\n")
        ),
        new_markdown_cell("## In practice\n\nName events after what users say."),
        new_markdown_cell("## On your own"),
        *[
            new_markdown_cell(source)
            if kind == "markdown"
            else new_code_cell(source, outputs=printed("○\n") if "check" in source else [])
            for exercise in EXERCISES
            for kind, source in exercise.cells
        ],
        new_markdown_cell(f"## Check yourself\n\n{QUESTIONS}"),
        new_markdown_cell(END),
    ]
    notebook: NotebookNode = new_notebook(cells=cells)
    for index, cell in enumerate(cells):
        cell.id = f"c{index}"
    files.normalise(notebook)
    return notebook


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(frame, "exercises_of", lambda number: EXERCISES if number == 2 else ())
    (tmp_path / "README.md").touch()
    (tmp_path / "docs/images").mkdir(parents=True)
    (tmp_path / "docs/images/binder.svg").touch()
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    (notebooks / "01-before.ipynb").touch()
    return notebooks


def save(folder: Path, notebook: NotebookNode, name: str = "02-sample.ipynb") -> Path:
    path = folder / name
    path.write_text(files.text(notebook), "utf-8")
    return path


def test_a_notebook_that_keeps_to_the_form_has_no_problems(folder: Path) -> None:
    assert lint([save(folder, sample())]) == []


Change = Callable[[NotebookNode], object]


def replaced(old: str, new: str) -> Change:
    """Replace text wherever it stands in a source."""

    def change(notebook: NotebookNode) -> None:
        found = [cell for cell in notebook.cells if old in cell.source]
        assert found, old
        for cell in found:
            cell.source = cell.source.replace(old, new)

    return change


def tagged(*tags: str, cell: int = 5) -> Change:
    return lambda notebook: notebook.cells[cell].metadata.update(tags=list(tags))


def showing(cell: int = 5, **data: str) -> Change:
    """Give a cell an output; underscores stand for the slash of a MIME type."""
    bundle = {kind.replace("_", "/").replace("/xml", "+xml"): text for kind, text in data.items()}
    return lambda notebook: notebook.cells[cell].update(
        outputs=[new_output("display_data", bundle)]
    )


def printing(text: str, **changes: str) -> Change:
    return lambda notebook: notebook.cells[5].update(
        outputs=[new_output("stream", **{"name": "stdout", "text": text} | changes)]
    )


def failing(notebook: NotebookNode) -> None:
    error: Any = new_output("error", ename="KeyError", evalue="'x'", traceback=[])
    notebook.cells[5].outputs = [error]


def with_lines(count: int, cells: int = 1) -> Change:
    def change(notebook: NotebookNode) -> None:
        for _ in range(cells):
            notebook.cells.insert(6, new_code_cell("x = 1\n" * count))

    return change


BROKEN: dict[Any, list[tuple[Change, str]]] = {
    frame.head: [
        (replaced("# Tutorial 2:", "# Tutorial 3:"), "'# Tutorial 2: Title'"),
        (replaced("Beginner ·", "Fine ·"), "beginner, intermediate"),
        (replaced("20 minutes", "a while"), "minutes it takes"),
        (replaced("Phase 1", "Part 1"), "the phase"),
        (replaced("2 of 21", "2nd"), "'2 of 21'"),
        (replaced("mybinder.org", "example.org"), "no Binder link"),
        (replaced("![Run on Binder](../docs/images/binder.svg)", "Binder"), "no Binder badge"),
        (replaced("## Store", "# Store"), "only the title"),
    ],
    frame.navigation: [
        (replaced("· Next: 3", ""), "is missing"),
        (replaced("Previous: [1](01-before.ipynb)", "Previous: 1"), "must link to 01-before.ipynb"),
    ],
    frame.lists: [
        (replaced("- Store one event.", "Store one event."), "'What you will do' needs a list"),
        (replaced("- You stored what happened.\n", ""), "2 things to learn, 1 in the recap"),
        (replaced("You stored what happened", "You had fun"), "does not take up"),
    ],
    frame.parameters: [
        (tagged(cell=2), "no cell tagged 'parameters'"),
        (lambda nb: nb.cells.insert(2, new_code_cell("x = 1")), "must be the first code cell"),
        (replaced("seed = 2", ""), "does not set seed"),
        (replaced("seed = 2", "sede = 2"), "unknown parameters: sede"),
        (replaced("database_url = None", 'database_url = "x"'), "must be None"),
        (replaced("open_database(", "open_("), "import and open the database"),
    ],
    frame.order: [
        (replaced("## What you need", "## Use"), "the first sections must be"),
        (replaced("## Check yourself", "## Check it"), "the last sections must be"),
        (replaced("## Break it", "## Look"), "no section 'Break it"),
        (replaced("with expect(ValueError):\n    int('x')", "x = 1"), "must prove what breaks"),
        (replaced("## Store an event", "## Events"), "must start with a verb"),
    ],
    frame.exercises: [
        (replaced('check_exercise("2.1"', 'checked("2.1"'), "checked in exactly one cell"),
        (replaced("name = None", 'name = "OrderPlaced"'), "differs from exercise 2.1"),
        (replaced("What happened?", "What happens?"), "differs from exercise 2.2"),
    ],
    frame.questions: [
        (replaced(QUESTIONS, "Well?"), "not 0"),
    ],
    content.budgets: [
        (with_lines(1, cells=30), "code cells; at most 30"),
        (with_lines(30, cells=10), "lines of code; at most 300"),
        (with_lines(31), "31 lines of code; at most 30"),
        (replaced("An event says", "An event says " + "so " * 220), "a paragraph of 7 lines"),
    ],
    reading.words: [
        (replaced("An event says", "An event simply says"), "'simply' helps nobody"),
        (replaced("An event says", "An evnet says"), "'evnet' is not in the dictionary"),
        (replaced("An event says", "A red color says"), "the American way"),
        (replaced("An event says", "An event says " + "so " * 40), "has 45 words; at most 35"),
    ],
    reading.headings: [
        (replaced("## Store an event", "## Store an event\n\n#### Deep"), "leaves a level out"),
        (replaced("## Store an event", "# Store an event"), "is a second title"),
    ],
    reading.terms: [
        (replaced("An event says", "The outbox says"), "'outbox' is taught in tutorial 15"),
        (replaced("An event says", "Many read models say"), "'read model' is taught in tutorial 6"),
    ],
    content.tagging: [
        (tagged("raises-exception"), "no raises-exception"),
        (tagged("nbval-ignore-outputs"), "unknown tags: nbval-ignore-outputs"),
        (tagged("nbval-skip"), "give both"),
        (tagged("hide-input"), "give both"),
    ],
    content.targets: [
        (replaced("Name events after", "[See](99-no.ipynb)"), "leads nowhere"),
        (replaced("Name events after", "![a](https://x.org/a.png)"), "from another site"),
    ],
    content.pictures: [
        (replaced("Name events after", "![](../README.md)"), "without alternative text"),
        (replaced("Name events after", '<img src="a.png">'), "without alternative text"),
        (showing(image_png="aGk="), "show it with figure"),
        (showing(text_html='<svg role="img" viewBox="0 0 1 1"></svg>'), "show it with figure"),
    ],
    content.outputs: [
        (lambda nb: nb.cells[5].update(outputs=[]), "nothing is stored"),
        (failing, "KeyError: 'x'"),
        (printing("a.py:1: UserWarning: old", name="stderr"), "UserWarning: old"),
        (printing("stored in /home/ann/data"), "a path of one machine"),
        (printing("stored in C:\\Users\\ann"), "a path of one machine"),
        (printing("postgresql://ann:secret@localhost/x"), "a password"),
        (showing(text_plain="<object object at 0x7f00aa11>"), "memory address"),
    ],
    content.imports: [
        (
            replaced("import check", "import check\nfrom eventsource._core import x"),
            "eventsource._core.x is private",
        ),
        (
            replaced("import check", "import check\nfrom eventsource.stores import _guard"),
            "_guard is private",
        ),
        (replaced("import check", "import check\nimport eventsource._core"), "_core is private"),
    ],
    content.normal_form: [
        (lambda nb: nb.cells[5].update(execution_count=9), "tutorial refresh"),
        (lambda nb: nb.cells[5].metadata.update(collapsed=True), "tutorial refresh"),
    ],
}


@pytest.mark.parametrize(
    ("rule", "change", "message"),
    [
        pytest.param(rule, change, message, id=f"{rule.__name__}: {message}")
        for rule, cases in BROKEN.items()
        for change, message in cases
    ],
)
def test_a_broken_notebook_is_told_what_to_mend(
    rule: Any, change: Change, message: str, folder: Path
) -> None:
    notebook = sample()
    change(notebook)
    path = save(folder, notebook)
    found = [text for _, text in rule(Page(path, files.read(path)))]
    assert any(message in text for text in found), found
    assert [str(each) for each in lint([path]) if message in each.message]


def test_every_rule_is_broken_here() -> None:
    assert BROKEN.keys() == {*frame.RULES, *content.RULES, *reading.RULES}


@pytest.mark.parametrize(
    "change",
    [
        replaced("An event says", "An event `simply` says"),
        replaced("An event says", "An *outbox* is a table. Another outbox says"),
        replaced("An event says", "**The outbox.** It says"),
        replaced("An event says", "The outbox (tutorial 15) says"),
        replaced("An event says", "As in `outbox.evnet()`, Mr Evnet says"),
        replaced("An event says", "See <https://x.org> and [that](https://x.org/a.png): it says"),
        replaced(
            "An event says", "```python\n# just a comment\n## no heading\n```\n\nAn event says"
        ),
        printing("postgresql://ann:***@localhost/x, https://x.org/home/ann"),
        tagged("nbval-skip", "skip-execution"),
        showing(text_html='<img alt="A chart" src="data:image/png;base64,aGk=">'),
    ],
)
def test_what_looks_like_a_breach_and_is_none(change: Change, folder: Path) -> None:
    notebook = sample()
    change(notebook)
    assert lint([save(folder, notebook)]) == []


def test_a_problem_names_its_notebook_and_cell(folder: Path) -> None:
    notebook = sample()
    printing("/tmp/x")(notebook)
    (problem,) = lint([save(folder, notebook)])
    assert str(problem) == "02-sample.ipynb:cell 6: the output shows a path of one machine"


def test_two_notebooks_that_need_each_other_are_a_circle(folder: Path) -> None:
    before, sample_ = sample(), sample()
    replaced("01-before.ipynb", "02-sample.ipynb")(before)
    paths = [save(folder, before, "01-before.ipynb"), save(folder, sample_)]
    assert any("goes in a circle" in problem.message for problem in lint(paths))


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"nbformat": 4}'])
def test_a_file_that_is_no_notebook_is_one_problem(text: str, folder: Path) -> None:
    path = folder / "02-sample.ipynb"
    path.write_text(text)
    (problem,) = lint([path])
    assert "is not a notebook" in problem.message


def test_a_cell_that_is_no_python_is_one_problem(folder: Path) -> None:
    notebook = sample()
    replaced('check("it is stored", True)', "check(")(notebook)
    (problem,) = lint([save(folder, notebook)])
    assert "cannot be read" in problem.message
