"""Every notebook runs with other data, on another database, and leaves its folder as it was."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import papermill
import pytest
from hypothesis import given
from hypothesis import strategies as st
from papermill.exceptions import PapermillExecutionError

from tests.fuzzing import HOSTILE, fuzz
from tutorial_support.database import open_database
from tutorial_support.notebooks import find, read
from tutorial_support.notebooks.files import parameters_cell
from tutorial_support.parameters import WrongParameter, compare, parameter_values


def others(path: Path, database_url: str) -> dict[str, object]:
    """Another seed, another size and a database by its URL, by the names the notebook uses."""
    cell = parameters_cell(read(path))
    assert cell is not None
    defaults = parameter_values(cell.source)
    seed, size = defaults["seed"], defaults["size"]
    assert isinstance(seed, int)
    assert isinstance(size, int)
    return {"seed": seed + 1, "size": size // 2 + 1, "database_url": database_url}


@pytest.mark.parametrize("path", find(), ids=lambda path: path.stem)
def test_it_runs_with_other_parameters_on_another_database(
    path: Path, database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "notebooks"
    shutil.copytree(path.parent, folder, ignore=shutil.ignore_patterns(".*"))
    before = sorted(folder.rglob("*"))
    executed = papermill.execute_notebook(
        folder / path.name,
        tmp_path / "executed.ipynb",
        parameters=others(path, database_url),
        cwd=folder,
        kernel_name="python3",
        progress_bar=False,
    )
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert outputs
    assert [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"] == []
    assert sorted(folder.rglob("*")) == before


def run_11(parameters: dict[str, object], into: Path) -> None:
    (path,) = find([11])
    papermill.execute_notebook(
        *(path, into),
        parameters=parameters,
        cwd=path.parent,
        kernel_name="python3",
        progress_bar=False,
    )


def test_a_database_that_is_not_there_is_said_in_the_first_cell_that_needs_it(
    tmp_path: Path,
) -> None:
    url = "postgresql://me:Geheim-7@localhost:1/db"
    with pytest.raises(PapermillExecutionError) as failed:
        run_11({"database_url": url}, tmp_path / "executed.ipynb")
    assert failed.value.ename == "DatabaseUnavailable"
    said = "\n".join(failed.value.traceback)
    assert "No PostgreSQL server answers at localhost:1" in said
    assert "unset TUTORIAL_DATABASE_URL" in said
    assert "Traceback" not in said
    assert "Geheim-7" not in said


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"seed": 7, "sed": 7}, "has no parameter sed. Did you mean seed?"),
        ({"seed": "seven"}, "The parameter seed is 'seven'."),
    ],
)
def test_a_parameter_that_does_not_fit_is_an_error_before_anything_is_done(
    parameters: dict[str, object], said: str, tmp_path: Path
) -> None:
    into = tmp_path / "executed.ipynb"
    with pytest.raises(PapermillExecutionError) as failed:
        run_11(parameters, into)
    assert failed.value.ename == "WrongParameter"
    (shown,) = failed.value.traceback
    assert said in shown
    assert "seed = 11" in shown
    executed = [cell for cell in read(into).cells if cell.get("outputs")]
    assert [cell.outputs[-1].output_type for cell in executed] == ["error"]


def test_papermill_itself_says_it(tmp_path: Path) -> None:
    (path,) = find([11])
    command = [sys.executable, "-m", "papermill", "--cwd", path.parent, "-k", "python3"]
    done = subprocess.run(
        [*command, path, tmp_path / "executed.ipynb", "-p", "sise", "7"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "WrongParameter: This notebook has no parameter sise. Did you mean size?" in done.stderr
    assert "It has: seed = 11, size = 300, database_url = None." in done.stderr
    assert "papermill -p seed 7" in done.stderr


@pytest.mark.parametrize("path", find(), ids=lambda path: path.stem)
def test_its_parameters_are_compared_before_its_database_is_opened(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells as papermill runs them, up to the set-up cell, in a shell of the test's own."""
    first, set_up = [cell.source for cell in read(path).cells if cell.cell_type == "code"][:2]
    injected = "# Parameters\nnone_such = 1\n"
    shell = SimpleNamespace(user_ns={"In": ["", first, injected, set_up], "none_such": 1})
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    with pytest.raises(WrongParameter, match="has no parameter none_such"):
        asyncio.run(open_database(path.stem))


DEFAULTS = {"seed": 11, "size": 300, "keep": False, "database_url": None}
values = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(HOSTILE)


@fuzz
@given(given=st.dictionaries(st.sampled_from(list(DEFAULTS)) | st.text(max_size=5), values))
def test_parameters_of_any_kind_are_taken_or_refused(given: dict[str, object]) -> None:
    kinds = {"seed": (int,), "size": (int,), "keep": (bool,), "database_url": (str, type(None))}
    fit = all(type(value) in kinds.get(name, ()) for name, value in given.items())
    fit = fit and int(str(given.get("size", 1))) > 0
    if fit:
        compare(DEFAULTS, given)
    else:
        with pytest.raises(WrongParameter, match=r"has no parameter|The parameter"):
            compare(DEFAULTS, given)
