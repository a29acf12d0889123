"""Every notebook runs with other data, on another database, and leaves its folder as it was."""

import shutil
from pathlib import Path

import papermill
import pytest
from papermill.exceptions import PapermillExecutionError

from tutorial_support.notebooks import find, read
from tutorial_support.notebooks.files import parameters_cell
from tutorial_support.notebooks.frame import parameter_values


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


def test_a_database_that_is_not_there_is_said_in_the_first_cell_that_needs_it(
    tmp_path: Path,
) -> None:
    (path,) = find([11])
    with pytest.raises(PapermillExecutionError) as failed:
        papermill.execute_notebook(
            path,
            tmp_path / "executed.ipynb",
            parameters={"database_url": "postgresql://me:Geheim-7@localhost:1/db"},
            cwd=path.parent,
            kernel_name="python3",
            progress_bar=False,
        )
    assert failed.value.ename == "DatabaseUnavailable"
    said = "\n".join(failed.value.traceback)
    assert "No PostgreSQL server answers at localhost:1" in said
    assert "unset TUTORIAL_DATABASE_URL" in said
    assert "Traceback" not in said
    assert "Geheim-7" not in said


def test_papermill_warns_of_a_parameter_that_a_notebook_does_not_have(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = find([11])[0]
    target = tmp_path / "prepared.ipynb"
    papermill.execute_notebook(path, target, parameters={"sise": 5}, prepare_only=True)
    assert "Passed unknown parameter: sise" in caplog.text
