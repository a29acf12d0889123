"""The environments that competitors run in: ours, and one for each peer from PyPI."""

import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.plan import EVENTSOURCE_PY, EVENTSOURCING, OURS
from tutorial_support.paths import cache_folder

PACKAGES = {
    EVENTSOURCE_PY: ("eventsource-py[postgresql]", "sqlalchemy[asyncio]"),
    EVENTSOURCING: ("eventsourcing[postgres]",),
}


def python_of(competitor: str) -> Path:
    """The interpreter that has the competitor installed; installs it on first use."""
    if competitor not in PACKAGES:
        return Path(sys.executable)
    folder = cache_folder() / "benchmarks" / competitor
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, *PACKAGES[competitor]], check=True, stdin=subprocess.DEVNULL)
        (folder / "installed").touch()
    return python


def version_of(competitor: str, python: Path) -> str:
    """The competitor's version as its environment tells it."""
    ours = "eventsource-tutorial" if competitor == OURS else "asyncpg"
    package = PACKAGES.get(competitor, (ours,))[0].partition("[")[0]
    program = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([python, "-c", program], check=True, capture_output=True, text=True)
    return done.stdout.strip()
