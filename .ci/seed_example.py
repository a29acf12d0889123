"""Run the seed tutorial's example by the script given, on an empty database and on the schema."""

import asyncio
import subprocess
import sys

from tutorial_support.database import open_database


async def run_example(script: str, *, empty: bool) -> None:
    print(f"-- on {'an empty database' if empty else 'the shipped schema'}", flush=True)
    async with await open_database("seed-example", empty=empty) as database:
        await asyncio.to_thread(
            subprocess.run,
            [script, sys.executable, database.url],
            check=True,
            stdin=subprocess.DEVNULL,
        )


async def main(script: str) -> None:
    for empty in (True, False):
        await run_example(script, empty=empty)


asyncio.run(main(sys.argv[1]))
