"""`tutorial run`, `progress` and `reset` on notebooks of the test's own."""

import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tutorial_support import cli, progress
from tutorial_support.database import databases
from tutorial_support.database.server import find_server
from tutorial_support.database.urls import connection_to
from tutorial_support.exercises import exercises_of
from tutorial_support.notebooks import files, find, read
from tutorial_support.notebooks.refresh import kernel_client, sync_exercises
from tutorial_support.site import can_build

Tutorial = Callable[..., str]
SOLVE = """
from tutorial_support.database import open_database
async with await open_database("11-test") as db:
    await check_exercise("11.1", pool_settings, db)
"""


def notebook(number: int, *cells: str) -> NotebookNode:
    head = new_markdown_cell(f"# Tutorial {number}: A short one\n\nBeginner · 5 minutes")
    made: NotebookNode = new_notebook(cells=[head, *map(new_code_cell, cells)])
    files.normalise(made)
    return made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone's notebooks, of which the test writes each."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    monkeypatch.setattr(files, "notebooks_folder", lambda: folder)
    return folder


@pytest.fixture
def typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs the command in this process and returns what it prints."""

    def run(*arguments: str, exits: int = 0) -> str:
        monkeypatch.setattr("sys.argv", ["tutorial", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert (ended.value.code or 0) == exits, said
        return said.out + said.err

    return run


def save(folder: Path, name: str, content: NotebookNode) -> Path:
    path = folder / name
    path.write_text(files.text(content), "utf-8")
    return path


def test_run_leaves_the_notebook_and_writes_an_executed_copy(folder: Path, typed: Tutorial) -> None:
    path = save(folder, "01-fine.ipynb", notebook(1, "6 * 7", "from pathlib import Path"))
    before = path.read_text()
    said = typed("run", "1", "--into", str(folder / "out"))
    assert path.read_text() == before
    assert read(folder / "out" / path.name).cells[1].outputs[0].data["text/plain"] == "42"
    assert "01-fine" in said.replace("01-fine: done", "")
    assert "together" in said


def test_run_goes_on_behind_a_notebook_that_fails_and_exits_with_1(
    folder: Path, typed: Tutorial
) -> None:
    save(folder, "01-broken.ipynb", notebook(1, "x = 1", "{}['price']", "x = 2"))
    save(folder, "02-fine.ipynb", notebook(2, "6 * 7"))
    said = typed("run", "--into", str(folder / "out"), exits=1)
    assert "01-broken.ipynb:cell 3: KeyError: 'price'" in said
    assert (folder / "out" / "02-fine.ipynb").exists()


BROKEN = [b"{", b"\xff\xfe", b"[]", b'{"cells": [], "metadata": {}, "nbformat": 4}']


@pytest.mark.parametrize("content", BROKEN)
def test_a_file_that_is_no_notebook_is_named_and_the_others_go_on(
    folder: Path, typed: Tutorial, content: bytes
) -> None:
    path = folder / "01-broken.ipynb"
    path.write_bytes(content)
    save(folder, "02-fine.ipynb", notebook(2, "6 * 7"))
    complaint = "01-broken.ipynb is not a notebook: "
    into = folder.parent / "out"
    assert complaint in typed("run", "--into", str(into), exits=1)
    assert (into / "02-fine.ipynb").exists()
    assert complaint in typed("refresh", exits=1)
    assert complaint in typed("refresh", "2", exits=1)
    assert complaint in typed("lint", "1", exits=1)
    assert "01-broken" in typed("progress")
    if can_build():
        assert complaint in typed("html", "--into", str(into), exits=1)
    assert path.read_bytes() == content


def test_a_notebook_that_was_saved_with_another_kernel_runs(folder: Path, typed: Tutorial) -> None:
    made = notebook(1, "6 * 7")
    made.metadata.kernelspec = {"name": "conda-env-mine", "display_name": "", "language": "python"}
    save(folder, "01-fine.ipynb", made)
    typed("run", "1", "1", "--into", str(folder / "out"))


def test_a_folder_that_cannot_be_is_named(folder: Path, typed: Tutorial) -> None:
    into = save(folder, "01-fine.ipynb", notebook(1, "6 * 7"))
    assert f"{into} cannot be used: File exists" in typed("run", "--into", str(into), exits=1)


def test_run_solves_no_exercise_for_the_learner(folder: Path, typed: Tutorial) -> None:
    solution = exercises_of(11)[0].solutions[0]
    check = f"from tutorial_support.exercises import check_exercise\n{SOLVE}"
    before = progress.solved()
    save(folder, "11-solved.ipynb", notebook(11, solution, check))
    typed("run", "11", "--into", str(folder / "out"))
    printed = read(folder / "out" / "11-solved.ipynb").cells[2].outputs[0].text
    assert printed == "✓ Exercise 11.1, A pool for twenty workers: solved\n"
    assert progress.solved() == before


def test_a_person_who_solves_one_sees_how_many_she_has_solved(cache: Path) -> None:
    first, *others = exercises_of(11)
    client = kernel_client(notebook(11), cache.parent)
    check = f"from tutorial_support.exercises import check_exercise\n{SOLVE}"
    with client.setup_kernel(env=dict(os.environ)):
        client.kc.allow_stdin = True  # as JupyterLab says of a person
        for source in (first.solutions[0], check):
            client.nb.cells.append(new_code_cell(source))
            done = client.execute_cell(client.nb.cells[-1], len(client.nb.cells) - 1)
    assert done.outputs[0].text.splitlines() == [
        f"✓ Exercise 11.1, {first.title}: solved",
        f"  solved in this notebook: 1 of {1 + len(others)}",
    ]
    assert progress.solved() == {"11.1"}


@pytest.mark.parametrize("command", ["run", "reset"])
def test_a_notebook_that_does_not_exist_is_refused(tutorial: Tutorial, command: str) -> None:
    assert "There is no notebook 99. There are: " in tutorial(command, "99", exits=2)


@pytest.mark.usefixtures("empty_cache")
def test_progress_shows_what_is_solved_and_what_is_next(tutorial: Tutorial) -> None:
    exercises = exercises_of(11)
    assert "0 of" in tutorial("progress")
    for exercise in exercises:
        progress.record(exercise.id)
    said = tutorial("progress")
    assert f"{len(exercises)} of {len(exercises)}" in said
    progress.forget(exercises[1].id)
    assert "✓ ○" in tutorial("progress")


def test_where_nothing_can_be_written_nothing_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/nowhere")
    progress.record("11.1")
    assert progress.solved() == set()


def git(folder: Path, *arguments: str) -> None:
    author = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(folder), *author, *arguments], check=True, capture_output=True)


def with_answer(source: str) -> NotebookNode:
    made = notebook(11, "pass", "pass", 'await check_exercise("11.1", pool_settings, db)', "pass")
    sync_exercises(made, 11)
    made.cells[2].source = source
    return made


async def kept_databases() -> list[str]:
    server = await find_server()
    async with connection_to(server.url) as connection:
        return await databases.kept_by(server, connection, "11")


async def test_reset_brings_back_text_exercises_and_an_empty_database(
    folder: Path, typed: Tutorial, cache: Path
) -> None:
    stub = exercises_of(11)[0].stub_code
    path = save(folder, "11-postgresql.ipynb", with_answer(stub))
    git(folder, "init")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "As it came")
    before = path.read_text()
    mine = files.text(with_answer("pool_settings = dict"))
    path.write_text(mine)
    progress.record("11.1")
    progress.record("1.1")
    server = await find_server()
    await databases.create_kept(server, databases.name_for("11-postgresql"))
    await databases.create_kept(server, databases.name_for("01-introduction"))

    said = await asyncio.to_thread(typed, "reset", "11", "--yes")

    assert path.read_text() == before
    assert progress.solved() == {"1.1"}
    assert await kept_databases() == []
    assert "Gone: the database tutorial_11_postgresql." in said
    (aside,) = (cache / "set-aside").iterdir()
    assert aside.read_text() == mine


def test_reset_without_git_gives_back_the_stubs(
    folder: Path, typed: Tutorial, empty_cache: Path
) -> None:
    path = save(folder, "11-postgresql.ipynb", with_answer("pool_settings = dict"))
    typed("reset", "11", "--yes")
    assert read(path).cells[2].source == exercises_of(11)[0].stub_code


@pytest.mark.usefixtures("empty_cache")
@pytest.mark.parametrize("content", BROKEN)
def test_reset_helps_where_nothing_can_be_read(
    folder: Path, typed: Tutorial, content: bytes
) -> None:
    path = save(folder, "11-postgresql.ipynb", with_answer("pass"))
    before = path.read_text()
    path.write_bytes(content)
    said = typed("reset", "11", "--yes", exits=1)
    assert "11-postgresql.ipynb is not a notebook" in said
    assert "fetch it again" in said
    path.write_text(before)
    git(folder, "init")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "As it came")
    path.write_bytes(content)
    typed("reset", "11", "--yes")
    assert path.read_text() == before


@pytest.mark.usefixtures("empty_cache")
def test_what_was_not_noted_by_us_is_no_progress(folder: Path, typed: Tutorial) -> None:
    save(folder, "11-postgresql.ipynb", with_answer(exercises_of(11)[0].stub_code))
    for name in ("11.1", "11.2"):
        (progress._folder() / name).mkdir(parents=True)
    assert "0 of 2 solved" in typed("progress")
    typed("reset", "11", "--yes")


@pytest.mark.usefixtures("empty_cache")
def test_a_terminal_without_ticks_gets_question_marks(
    tutorial: Tutorial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    assert "? ?" in tutorial("progress")


@pytest.mark.usefixtures("empty_cache")
def test_reset_asks_first(tutorial: Tutorial) -> None:
    progress.record("11.1")
    path = find([11])[0]
    before = path.read_text()
    said = tutorial("reset", "11", exits=1, answer="n\n")
    assert "Start over with 11-postgresql.ipynb, 1 solved exercise " in said
    assert "Nothing was changed." in said
    assert progress.solved() == {"11.1"}
    assert path.read_text() == before
