"""What the README promises: `make lab`, open the notebook, run it."""

import pytest

from tutorial_support.lab import eventually

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

PICTURED = "Save and load an order"


async def test_a_learner_runs_all_cells_and_leaves(tutorial_lab, open_notebook, pictures):
    url = await eventually(tutorial_lab.url, timeout_seconds=60, what="JupyterLab's address")
    notebook = await open_notebook(url, "11-postgresql.ipynb")

    stored = [bool(cell["outputs"]) for cell in await notebook.code_cells()]
    await notebook.menu("Edit", "Clear Outputs of All Cells")
    assert not any(cell["execution_count"] for cell in await notebook.code_cells())
    await notebook.menu("Run", "Run All Cells")
    await eventually(notebook.has_run, timeout_seconds=120, what="the end of the notebook")
    await notebook.picture(pictures / "notebook-11.png", heading=PICTURED)

    assert await notebook.errors() == []
    assert [bool(cell["outputs"]) for cell in await notebook.code_cells()] == stored

    tutorial_lab.interrupt()
    await eventually(
        lambda: tutorial_lab.processes() == [], timeout_seconds=60, what="the end of every process"
    )
