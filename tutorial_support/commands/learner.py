"""`tutorial progress` and `reset`: what a learner has solved, and starting a notebook over."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from .. import console, progress
from .notebooks import choose

if TYPE_CHECKING:
    from ..exercises import Exercise

app = typer.Typer()


@app.command("progress")
def show_progress() -> None:
    """Show which exercises you have solved. They are noted in your cache folder, and only there."""
    from ..exercises import exercises_of
    from ..notebooks import number_of, title

    solved = progress.solved()
    table = Table("", "notebook", "exercises", "solved", box=None)
    left: list[Exercise] = []
    total = 0
    for path in choose(None):
        exercises = exercises_of(number_of(path))
        open_ones = [each for each in exercises if each.id not in solved]
        marks = " ".join("○" if each in open_ones else "[green]✓[/]" for each in exercises)
        done = f"{len(exercises) - len(open_ones)} of {len(exercises)}"
        table.add_row(str(number_of(path)), title(path), marks, done)
        left += open_ones
        total += len(exercises)
    console.out.print(table)
    console.out.print(f"{total - len(left)} of {total} solved.")
    if left:
        console.out.print(f"Next: exercise {left[0].id}, {left[0].title}:", markup=False)
        console.out.print(f"    tutorial lab {left[0].notebook}")


@app.command()
def reset(
    number: Annotated[int, typer.Argument(help="The notebook's number.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Start a notebook over: its text, your answers, its kept databases.

    What you wrote is set aside in the cache folder.
    """
    from ..notebooks import NotANotebookError, number_of
    from ..notebooks.restore import restore

    path = choose([number])[0]
    mine = sorted(each for each in progress.solved() if each.startswith(f"{number}."))
    exercises = "1 solved exercise" if len(mine) == 1 else f"{len(mine)} solved exercises"
    what = f"{path.name}, {exercises} and the notebook's kept databases"
    if not yes and not typer.confirm(f"Start over with {what}?"):
        console.fail("Nothing was changed.")
    try:
        how, aside = restore(path)
    except NotANotebookError as error:
        console.fail(f"{error}\nWithout git, fetch it again from where you have the course.")
    console.out.print(how, markup=False)
    if aside:
        console.out.print(f"What you had is in {aside}", markup=False)
        console.out.print("If it is open in JupyterLab: File → Reload Notebook from Disk")
    for each in mine:
        progress.forget(each)
    for name in asyncio.run(_drop_kept(number_of(path))):
        console.out.print(f"Gone: the database {name}.")


async def _drop_kept(number: int) -> list[str]:
    """Drop what `open_database(..., keep=True)` made for a notebook, where there is a server."""
    from ..database.databases import drop_kept, kept_by
    from ..database.server import find_server, shared_server
    from ..database.urls import connection_to

    ours = shared_server()
    if ours is not None and not ours.folder.exists():
        return []
    server = await find_server()
    async with connection_to(server.url) as connection:
        names = await kept_by(server, connection, f"{number:02}")
        return [name for name in names if await drop_kept(connection, name)]
