"""Mutation testing of what must not be wrong: `make mutants`, with SAMPLE=60 mutants a part.

Cosmic Ray changes one thing in a copy of the library, runs the tests of that part, and expects one
of them to fail. A mutant that survives is a line that no test would miss. It works in a clone, so
your files stay as they are, and in an environment of its own.
"""

import json
import os
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from tutorial_support.paths import cache_folder

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Part:
    """Modules to mutate, and the tests that should notice."""

    name: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]


PARTS = (
    Part(
        "stores",
        ("stores",),
        (
            "tests/contracts/test_streams.py",
            "tests/contracts/test_feeds.py",
            "tests/contracts/test_feed_gaps.py",
            "tests/contracts/test_statements.py",
            "tests/contracts/test_postgresql.py",
            "tests/contracts/test_sqlite.py",
            "tests/contracts/test_joined_appends.py",
            "tests/unit/test_values.py",
        ),
    ),
    Part(
        "outbox",
        ("outbox.py", "repositories/outbox.py"),
        ("tests/contracts/repositories", "tests/contracts/test_outbox_postgresql.py"),
    ),
    Part(
        "subscriptions",
        ("subscriptions",),
        ("tests/unit/test_subscriptions.py", "tests/contracts/subscriptions"),
    ),
)
#: Mutations that mean nothing here: `X | None` in an annotation is no calculation.
LEFT_OUT = ("core/ReplaceBinaryOperator_BitOr",)
TIMEOUT_SECONDS = 240

CONFIGURATION = """
[cosmic-ray]
module-path = {modules}
timeout = {timeout}.0
excluded-modules = []
test-command = {command}
[cosmic-ray.distributor]
name = "local"
"""

# Runs where Cosmic Ray is installed: keeps a random sample of the mutants in a session.
SAMPLE = """
import json, random, sys
from cosmic_ray.work_db import WorkDB, use_db
path, size, seed, left_out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4].split()
with use_db(path, WorkDB.Mode.open) as db:
    items = [
        item for item in db.work_items
        if not any(m.operator_name.startswith(tuple(left_out)) for m in item.mutations)
    ]
    chosen = random.Random(seed).sample(items, min(size, len(items)))
    db.clear()
    db.add_work_items(chosen)
    print(len(items))
"""

# And: what became of each mutant so far.
RESULTS = """
import json, sys
from cosmic_ray.work_db import WorkDB, use_db
with use_db(sys.argv[1], WorkDB.Mode.open) as db:
    where = {item.job_id: item.mutations[0] for item in db.work_items}
    print(json.dumps([
        [
            result.test_outcome.value if result.test_outcome else "",
            where[job].module_path.as_posix(), where[job].start_pos[0], where[job].operator_name,
        ]
        for job, result in db.results
    ]))
"""

console = Console()


def main(
    sample: Annotated[int, typer.Option(help="Mutants of each part, chosen at random.")] = 60,
    seed: Annotated[int, typer.Option(help="Another seed chooses others.")] = 1,
    part: Annotated[str, typer.Option(help="Only this part.")] = "",
) -> None:
    """Mutate stores, outbox and subscriptions, and tell which mutants survive."""
    programs = install()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        for each in PARTS:
            if part in ("", each.name):
                report(each, run(each, clone, programs, sample, seed))


def install() -> Path:
    """The folder of Cosmic Ray's programs; installs it on first use."""
    folder = cache_folder() / "mutants"
    if not (folder / "installed").exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-qq", "cosmic-ray"]
        subprocess.run(pip, check=True, stdin=subprocess.DEVNULL)
        (folder / "installed").touch()
    return folder / "bin"


def run(part: Part, clone: Path, programs: Path, sample: int, seed: int) -> list[list]:
    """The outcome of each mutant of the sample."""
    modules = [f"src/eventsource/{module}" for module in part.modules]
    command = f"{sys.executable} -m pytest -x -q -p no:cacheprovider {' '.join(part.tests)}"
    settings = clone.parent / f"{part.name}.toml"
    settings.write_text(
        CONFIGURATION.format(
            modules=json.dumps(modules), timeout=TIMEOUT_SECONDS, command=json.dumps(command)
        )
    )
    session = clone.parent / f"{part.name}.sqlite"
    environment = {**os.environ, "PYTHONPATH": str(clone / "src"), "PYTHONDONTWRITEBYTECODE": "1"}

    def call(*arguments: object) -> str:
        done = subprocess.run(
            [str(argument) for argument in arguments],
            cwd=clone,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    subprocess.run(command.split(), cwd=clone, env=environment, check=True, capture_output=True)
    call(programs / "cosmic-ray", "init", settings, session)
    call(programs / "python", "-c", SAMPLE, session, sample, seed, " ".join(LEFT_OUT))
    process = subprocess.Popen(
        [str(programs / "cosmic-ray"), "exec", str(settings), str(session)],
        cwd=clone,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(f"Mutants of {part.name}", total=sample)
        while process.poll() is None:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                results = json.loads(call(programs / "python", "-c", RESULTS, session))
                progress.update(task, completed=len(results))
    return json.loads(call(programs / "python", "-c", RESULTS, session))


def report(part: Part, results: list[list]) -> None:
    survived = [result for result in results if result[0] == "survived"]
    share = 1 - len(survived) / max(1, len(results))
    console.print(f"{part.name}: {len(results)} mutants, {share:.0%} killed")
    for _, path, line, operator in sorted(survived, key=lambda result: result[1:3]):
        console.print(f"  survived: {path}:{line} {operator}", highlight=False)


if __name__ == "__main__":
    typer.run(main)
