"""`tutorial run`, `refresh`, `lint`: notebooks as a whole, without a browser."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from .. import console
from ..paths import notebooks_folder

if TYPE_CHECKING:
    from ..notebooks import Problem
    from ..notebooks.run import Run

app = typer.Typer()
NOTEBOOKS = notebooks_folder()
EXECUTED = NOTEBOOKS.parent / "build" / "executed"
SITE = NOTEBOOKS.parent / "build" / "site"

Numbers = Annotated[
    list[int] | None, typer.Argument(help="Notebook numbers; all without.", show_default=False)
]


def choose(numbers: list[int] | None) -> list[Path]:
    """All notebooks, or those with these numbers. Fails for a number that has none."""
    from ..notebooks import find, number_of

    there = {number_of(path): path for path in find()}
    for number in numbers or ():
        if number not in there:
            known = ", ".join(map(str, there)) or "none yet"
            console.fail(f"There is no notebook {number}. There are: {known}.", code=2)
    return [there[number] for number in dict.fromkeys(numbers or there)]


@contextmanager
def _fails_where_is_no_notebook() -> Iterator[None]:
    from ..notebooks import NotANotebookError

    try:
        yield
    except NotANotebookError as error:
        console.fail(error)


@app.command()
def run(
    numbers: Numbers = None,
    into: Annotated[Path, typer.Option(help="The folder of the executed copies.")] = EXECUTED,
    record: Annotated[
        bool, typer.Option("--record", help="Write the seconds into docs/durations.md.")
    ] = False,
) -> None:
    """Run notebooks from top to bottom, copy them with their outputs, and show how long each took.

    The notebooks stay as they are. Exit code 1 when a cell of one of them raises an error.
    """
    from ..notebooks.run import run_all

    began = time.monotonic()
    runs = run_all(choose(numbers), into)
    console.out.print(_durations(runs, time.monotonic() - began))
    if record:
        _record(runs)
    problems = [each.problem for each in runs if each.problem]
    console.out.print(f"Executed copies: {into}", style="dim", markup=False)
    _report(problems)


def _durations(runs: "list[Run]", total: float) -> Table:
    table = Table("notebook", box=None, show_footer=True)
    table.columns[0].footer = "together"
    table.add_column("cells", justify="right")
    table.add_column("seconds", f"{total:.1f}", justify="right")
    table.add_column("")
    for each in runs:
        outcome = "[red]failed[/]" if each.problem else "[green]✓[/]"
        table.add_row(each.path.stem, str(each.cells), f"{each.seconds:.1f}", outcome)
    return table


def _record(runs: "list[Run]") -> None:
    from ..notebooks.durations import record

    record({each.path: each.seconds for each in runs if not each.problem})


@app.command()
def html(
    executed: Annotated[
        Path, typer.Option(help="A folder of notebooks; those of `tutorial run`, say.")
    ] = NOTEBOOKS,
    into: Annotated[Path, typer.Option(help="The folder of the site.")] = SITE,
) -> None:
    """Build the course as a web site that needs no network. A warning is an error."""
    from ..site import build, can_build

    if not os.path.isdir(executed):  # which knows names too long for a file
        console.fail(f"There is no folder {executed}. Make it:  tutorial run", code=2)
    if not can_build():
        console.fail("The site needs Sphinx:  pip install --group docs", code=2)
    into.mkdir(parents=True, exist_ok=True)
    with _fails_where_is_no_notebook():
        is_built = build(executed, into)
    if not is_built:
        console.fail("Mend what Sphinx says above.")
    console.out.print(f"Open {into / 'index.html'}", markup=False)


@app.command()
def refresh(numbers: Numbers = None) -> None:
    """Execute notebooks again and write back the outputs that really changed."""
    from ..notebooks import refresh
    from ..notebooks.navigation import sync_all

    _report(refresh(choose(numbers)))
    with _fails_where_is_no_notebook():
        sync_all()


@app.command()
def lint(numbers: Numbers = None) -> None:
    """Check that notebooks keep to the course's form, and without numbers how other pages read."""
    from ..notebooks import lint
    from ..notebooks.reading import lint_pages

    _report([*lint(choose(numbers)), *([] if numbers else lint_pages())])


def _report(problems: "list[Problem]") -> None:
    for problem in problems:
        console.out.print(str(problem), markup=False)
    if problems:
        sys.exit(1)
