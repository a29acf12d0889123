"""Children of a notebook: they speak, fail, and end when they must."""

import asyncio
import sys
import textwrap

import psutil
import pytest

from tutorial_support.lab import eventually
from tutorial_support.processes import start_child


async def counting(start: str) -> None:
    import asyncio

    for number in range(int(start), 10**9):
        print(number, {"braces": "stay"}["braces"], flush=True)
        await asyncio.sleep(0.01)


async def failing() -> None:
    raise LookupError("nothing there")


async def ending() -> None:
    print("done", flush=True)


async def test_it_speaks_until_it_is_killed() -> None:
    async with await start_child(counting, "7") as child:
        assert await child.says() == "7 stay"
        assert await child.says() == "8 stay"
        await child.kill()
        assert await child.wait() == -9


async def test_it_ends_by_itself() -> None:
    async with await start_child(ending) as child:
        assert await child.says() == "done"
        assert await child.wait() == 0


@pytest.mark.parametrize("question", ["says", "wait"])
async def test_its_error_is_told(question: str) -> None:
    async with await start_child(failing) as child:
        with pytest.raises(RuntimeError, match="LookupError: nothing there"):
            await getattr(child, question)()


async def test_it_ends_when_its_notebook_is_killed() -> None:
    code = """
        import asyncio
        from tests.classroom.test_processes import counting
        from tutorial_support.processes import start_child

        async def main():
            child = await start_child(counting, "1")
            await child.says()
            print(child._process.pid, flush=True)
            await asyncio.sleep(600)

        asyncio.run(main())
    """
    notebook = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(code), stdout=asyncio.subprocess.PIPE
    )
    child = int(await notebook.stdout.readline())
    notebook.kill()
    await notebook.communicate()
    await eventually(lambda: not psutil.pid_exists(child), timeout_seconds=30)
