"""Every notebook runs with other data, on another database, and leaves its folder as it was."""

import shutil
from pathlib import Path

import papermill
import pytest

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
