"""What the README promises: `make lab`, open a notebook from the index, run it."""

import asyncio

import pytest

from tests.browser.jupyterlab import NotebookPage, new_page
from tutorial_support.lab import eventually
from tutorial_support.notebooks import find

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

PICTURED, HEADING = "11-postgresql.ipynb", "Save and load an order"
AT_ONCE = 2


async def test_it_opens_on_the_index_and_the_index_opens_notebooks(
    tutorial_lab, url, browser, pictures
):
    page = await new_page(browser)
    await page.goto(url)
    index = page.locator(".jp-MarkdownViewer")
    await index.locator("h2:has-text('The course')").scroll_into_view_if_needed()
    await page.screenshot(path=pictures / "index.png")
    assert await page.locator(".Toastify__toast").count() == 0
    await index.locator("a:has-text('Using PostgreSQL Event Store')").click()
    notebook = await NotebookPage.in_front(page)

    cells = await notebook.cells()
    assert cells[0]["source"].startswith("# Tutorial 11")
    assert await page.inner_text(".jp-Toolbar-kernelName:visible") == "Python 3 (ipykernel)"
    await notebook.type_into(2, "import tutorial_support\nprint(tutorial_support.__file__)")
    assert str(tutorial_lab.folder) in await notebook.run(2)
    await notebook.close()


async def test_a_learner_runs_all_cells_of_every_notebook(url, browser, pictures):
    left, problems = iter(find()), []

    async def run_some() -> None:
        for path in left:
            notebook = await NotebookPage.of(browser, url, path.name)
            stored = [bool(cell["outputs"]) for cell in await notebook.code_cells()]
            await notebook.run_all()
            if path.name == PICTURED:
                await notebook.picture(pictures / "notebook-11.png", heading=HEADING)
            problems.extend(f"{path.name}: {error}" for error in await notebook.errors())
            if [bool(cell["outputs"]) for cell in await notebook.code_cells()] != stored:
                problems.append(f"{path.name}: other cells show something than in the file")
            await notebook.close()

    await asyncio.gather(*(run_some() for _ in range(AT_ONCE)))
    assert problems == []


async def test_ctrl_c_in_the_terminal_ends_every_process(tutorial_lab):
    """The last test of this file: the others need what it ends."""
    tutorial_lab.interrupt()
    await eventually(
        lambda: tutorial_lab.processes() == [], timeout_seconds=60, what="the end of every process"
    )
