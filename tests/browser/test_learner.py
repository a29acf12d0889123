"""A learner in JupyterLab: leaves a stub, is wrong, is right, interrupts, restarts and goes on."""

import pytest

from tests.browser.jupyterlab import NotebookPage
from tutorial_support.exercises import exercises_of
from tutorial_support.lab import eventually
from tutorial_support.notebooks import find

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
FOR_EVER = "print('on it', flush=True)\nwhile True:\n    pass"


@pytest.mark.parametrize("number", [1, 4, 11])
async def test_a_learner_solves_an_exercise_and_survives_a_restart(
    tutorial_lab, url, browser, number
):
    exercise, *others = exercises_of(number)
    (path,) = find([number])
    notebook = await NotebookPage.of(browser, url, path.name)
    sources = [cell["source"] for cell in await notebook.cells()]
    stub, check = sources.index(exercise.stub_code), sources.index(exercise.check_code)

    await notebook.run_above(check)
    assert "not yet" in await notebook.run(check)

    wrong = exercise.wrong[0]
    await notebook.type_into(stub, wrong.source.strip())
    await notebook.run(stub)
    told = await notebook.run(check)
    assert f"hint {wrong.hint}: " in told
    assert exercise.id not in tutorial_lab.solved()

    await notebook.type_into(stub, exercise.solutions[0].strip())
    await notebook.run(stub)
    assert (await notebook.run(check)).splitlines() == [
        f"✓ Exercise {exercise.id}, {exercise.title}: solved",
        f"  solved in this notebook: 1 of {1 + len(others)}",
    ]
    assert exercise.id in tutorial_lab.solved()

    await notebook.type_into(check, FOR_EVER)
    await notebook.start(check)
    await eventually(lambda: notebook.printed(check), timeout_seconds=30)
    await notebook.menu("Kernel", "Interrupt Kernel")
    await eventually(notebook.is_idle, timeout_seconds=30, what="the end of the loop")
    assert "KeyboardInterrupt" in await notebook.printed(check)

    await notebook.type_into(check, exercise.check_code)
    assert "✓" in await notebook.run(check)
    await notebook.restart_kernel()
    await notebook.run_above(check)
    assert "✓" in await notebook.run(check)
    await notebook.close()
