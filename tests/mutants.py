"""Mutation testing of what must not be wrong: `make mutants`, and of how many with SAMPLE=60.

Cosmic Ray changes one thing in a store, the outbox or the subscriptions, runs the tests of that
module, and expects one of them to fail. A mutant that survives is a line that no test would miss.
It works on a clone of the last commit in `build/mutants`, with an environment of its own. Interrupt
it when you like: the same command goes on. When it was at its end, survivors alone are tried again,
against the tests of the newest commit.
"""

import asyncio
import hashlib
import json
import os
import random
import shlex
import sqlite3
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from tutorial_support.database.server import find_server
from tutorial_support.paths import cache_folder

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = "src/eventsource/"
MODULES = (
    "stores",
    "subscriptions",
    "outbox.py",
    "repositories/outbox.py",
    "repositories/outbox_statements.py",
)

STORES = "tests/contracts/test_streams.py tests/contracts/test_feeds.py"
#: The first entry that a module's name begins with tells the tests that should notice a change.
TESTS = {
    "stores/in_memory": f"tests/unit/test_values.py {STORES} tests/contracts/test_exactness.py "
    "-k 'memory or test_values'",
    "stores/sqlite": f"{STORES} tests/contracts/test_sqlite.py -k sqlite",
    "stores/postgresql": f"tests/contracts/test_postgresql.py tests/contracts/test_statements.py "
    f"{STORES} tests/contracts/test_feed_gaps.py tests/contracts/test_feed_missing.py "
    "tests/contracts/test_joined_appends.py -k postgresql",
    "stores/append_counter": "tests/contracts/test_monitoring.py",
    "stores/wrapper": "tests/contracts/test_tenants.py tests/contracts/test_projections_inline.py "
    "tests/contracts/test_privacy.py",
    "stores/paging": f"{STORES} tests/contracts/test_projections.py "
    "tests/contracts/subscriptions/test_failures.py -k 'sqlite or in-memory'",
    "stores/": f"tests/unit/test_values.py {STORES} tests/contracts/test_exactness.py "
    "-k 'not postgresql'",
    "outbox": "tests/contracts/repositories/test_outbox_publisher.py "
    "tests/contracts/test_outbox_postgresql.py -k 'in-memory or outbox_postgresql'",
    "repositories/outbox": "tests/contracts/repositories/test_outbox.py "
    "tests/contracts/repositories/test_outbox_publisher.py "
    "tests/contracts/repositories/test_bad_input.py tests/contracts/test_outbox_postgresql.py",
    "subscriptions": "tests/unit/test_subscriptions.py tests/contracts/subscriptions "
    "-k 'in-memory or on_postgresql or unit'",
}
#: Mutations that mean nothing here: `X | None` in an annotation is no calculation.
LEFT_OUT = "core/ReplaceBinaryOperator_BitOr%"
#: Said of a mutant that is no program, such as one with another sign for the `*` among parameters.
NO_PROGRAM = "This is no program."
TEST_SECONDS = 30  # a test that hangs has noticed
MUTANT_SECONDS = 300

CONFIGURATION = """
[cosmic-ray]
module-path = {modules}
timeout = {timeout}.0
excluded-modules = []
test-command = {command}
[cosmic-ray.distributor]
name = "local"
"""

console = Console(highlight=False)


@dataclass(frozen=True)
class Mutant:
    """What was changed, and what came of it: "KILLED" or "SURVIVED"."""

    place: str
    outcome: str
    diff: str


def main(
    sample: Annotated[int, typer.Option(help="How many mutants, chosen at random.")] = 60,
    seed: Annotated[int, typer.Option(help="Another seed chooses others.")] = 1,
) -> None:
    """Mutate stores, outbox and subscriptions, and tell which mutants survive."""
    asyncio.run(find_server())  # used by this process too, it stays while the tests come and go
    program = install()
    folder = ROOT / "build" / "mutants" / f"{sample}-{seed}-{fingerprint()}"
    clone, session = folder / "clone", folder / "session.sqlite"
    update(clone)
    settings = folder / "settings.toml"
    settings.write_text(
        CONFIGURATION.format(
            modules=json.dumps([LIBRARY + module for module in MODULES]),
            timeout=MUTANT_SECONDS,
            command=json.dumps(f"{sys.executable} -m tests.mutants --changed"),
        )
    )
    if not session.exists():
        begin(program, settings, session, sample, seed)
    with closing(sqlite3.connect(session)) as database:
        follow(program, settings, session, database)
        report(list(mutants(database)), seed)


def fingerprint() -> str:
    """Changes with what is mutated, and not with the tests."""
    folders = [LIBRARY + module for module in MODULES]
    listed = subprocess.check_output(["git", "ls-tree", "-r", "HEAD", *folders], cwd=ROOT)
    return hashlib.sha256(listed).hexdigest()[:12]


def install() -> Path:
    """Cosmic Ray's program; installs it on first use."""
    folder = cache_folder() / "mutants"
    if not (folder / "installed").exists():
        console.print("Installing Cosmic Ray ...")
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-qq", "cosmic-ray~=8.7"]
        subprocess.run(pip, check=True, stdin=subprocess.DEVNULL)
        (folder / "installed").touch()
    return folder / "bin" / "cosmic-ray"


def update(clone: Path) -> None:
    """The last commit, whatever mutant an interrupted run has left there."""
    if not clone.exists():
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    for words in (["fetch", "--quiet", str(ROOT), "HEAD"], ["reset", "--hard", "FETCH_HEAD"]):
        subprocess.run(["git", *words], cwd=clone, check=True, stdout=subprocess.DEVNULL)


def begin(program: Path, settings: Path, session: Path, sample: int, seed: int) -> None:
    """Check that all tests pass without a mutant, then draw the sample."""
    whole = session.with_suffix(".new")
    for module, tests in TESTS.items():
        console.print(f"Without a mutant: the tests of {module}")
        if subprocess.run(command(tests), **inside(settings), check=False).returncode:
            raise SystemExit(f"These fail without any mutant: {tests}")
    whole.unlink(missing_ok=True)
    subprocess.run([program, "init", settings, whole], **inside(settings), check=True)
    with closing(sqlite3.connect(whole)) as database, database:
        rows = database.execute(
            "SELECT job_id FROM mutation_specs WHERE operator_name NOT LIKE ? "
            "ORDER BY module_path, operator_name, operator_args, occurrence",
            [LEFT_OUT],
        ).fetchall()
        chosen = random.Random(seed).sample(rows, min(sample, len(rows)))
        database.execute("CREATE TEMPORARY TABLE chosen (job_id)")
        database.executemany("INSERT INTO chosen VALUES (?)", chosen)
        for table in ("mutation_specs", "work_items"):
            database.execute(f"DELETE FROM {table} WHERE job_id NOT IN (SELECT * FROM chosen)")
    whole.rename(session)
    console.print(f"{len(chosen)} of {len(rows)} mutants")


def inside(settings: Path) -> dict:
    """How a program is run in the clone, with the clone's library."""
    clone = settings.parent / "clone"
    # Half of pytest's start are plug-ins for other tests.
    own = {"PYTHONPATH": str(clone / "src"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return {"cwd": clone, "env": os.environ | own, "stdout": subprocess.DEVNULL}


def command(tests: str) -> list[str]:
    options = (
        "-x -q -o addopts=--import-mode=importlib -p no:cacheprovider -p pytest_asyncio.plugin "
        f"-p pytest_timeout --timeout={TEST_SECONDS}"
    )
    return [sys.executable, "-m", "pytest", *shlex.split(f"{options} {tests}")]


def run_tests_of_change() -> int:
    """What Cosmic Ray runs in the clone: the tests of the module that differs from the commit."""
    changed = subprocess.check_output(["git", "diff", "--name-only"], text=True).split()
    try:
        compile(Path(changed[0]).read_text("utf-8"), changed[0], "exec")
    except SyntaxError:
        print(NO_PROGRAM)
        return 1
    name = changed[0].removeprefix(LIBRARY)
    tests = next(tests for module, tests in TESTS.items() if name.startswith(module))
    return subprocess.run(command(tests), check=False).returncode


def follow(program: Path, settings: Path, session: Path, database: sqlite3.Connection) -> None:
    """Run what has no result yet, or the survivors, and name survivors as they are found."""
    (total,) = database.execute("SELECT count(*) FROM work_items").fetchone()
    (tried,) = database.execute("SELECT count(*) FROM work_results").fetchone()
    if tried == total:
        with database:
            database.execute("DELETE FROM work_results WHERE test_outcome <> 'KILLED'")
    known = set(mutants(database))
    process = subprocess.Popen(
        [program, "exec", settings, session], **inside(settings), stderr=subprocess.DEVNULL
    )
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    try:
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("Mutants", total=total, completed=len(known))
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(2)
                for mutant in set(mutants(database)) - known:
                    known.add(mutant)
                    if mutant.outcome != "KILLED":
                        progress.console.print(
                            f"{mutant.outcome.lower()}: {mutant.place}", soft_wrap=True
                        )
                progress.update(task, completed=len(known))
    except KeyboardInterrupt:
        console.print("Interrupted. The same command goes on.")
    finally:
        with suppress(psutil.NoSuchProcess):
            tests = psutil.Process(process.pid).children(recursive=True)
            process.kill()  # first, or it would take the end of the tests for a mutant's
            for one in tests:
                one.kill()
        process.wait()


def mutants(database: sqlite3.Connection) -> Iterator[Mutant]:
    """Those that have been tried, and are programs."""
    for path, line, operator, outcome, diff in database.execute(
        "SELECT module_path, start_pos_row, operator_name, "
        "coalesce(test_outcome, worker_outcome), coalesce(diff, '') "
        "FROM work_results JOIN mutation_specs USING (job_id) "
        "WHERE trim(coalesce(output, ''), char(10)) <> ? ORDER BY 1, 2, 3, occurrence",
        [NO_PROGRAM],
    ):
        yield Mutant(f"{path}:{line} {operator.removeprefix('core/')}", outcome, diff)


def report(tried: list[Mutant], seed: int) -> None:
    killed = sum(mutant.outcome == "KILLED" for mutant in tried)
    survivors = [mutant for mutant in tried if mutant.outcome != "KILLED"]
    for mutant in survivors:
        lines = [line for line in mutant.diff.splitlines() if line.startswith(("-", "+"))]
        changed = [line for line in lines if not line.startswith(("---", "+++"))]
        print(f"\n{mutant.outcome.lower()}: {mutant.place}", *changed, sep="\n")
    share = f"{killed / len(tried):.0%}" if tried else "none"
    console.print(f"\n{len(tried)} mutants, {killed} killed: {share} (seed {seed})")


if __name__ == "__main__":
    if sys.argv[1:] == ["--changed"]:
        sys.exit(run_tests_of_change())
    typer.run(main)
