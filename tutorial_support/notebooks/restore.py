"""A notebook as it came, after a learner has worked in it."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

from tutorial_support.notebooks.files import number_of, read, text
from tutorial_support.notebooks.refresh import sync_exercises
from tutorial_support.paths import cache_folder


def restore(path: Path) -> tuple[str, Path | None]:
    """Give the notebook the text it has in git; without git, its exercises the text they came with.

    Says what was done, and where the text from before is now, None if nothing changed.
    """
    before = path.read_text("utf-8", errors="surrogateescape")
    committed = _committed(path)
    if committed is not None:
        now, done = committed, f"{path.name} is as in git."
    else:
        notebook = read(path)
        sync_exercises(notebook, number_of(path))
        now, done = text(notebook), f"The exercises of {path.name} are as they came."
    if now == before:
        return done, None
    aside = _set_aside(path.stem, before)
    path.write_text(now, "utf-8")
    return done, aside


def _committed(path: Path) -> str | None:
    show = ["git", "-C", str(path.parent), "show", f"HEAD:./{path.name}"]
    try:
        done = subprocess.run(show, capture_output=True, check=False)
    except OSError:
        return None
    return done.stdout.decode() if done.returncode == 0 else None


def _set_aside(stem: str, before: str) -> Path:
    folder = cache_folder() / "set-aside"
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f"{stem}-{datetime.now(UTC):%Y%m%d-%H%M%S}.ipynb"
    aside.write_text(before, "utf-8", errors="surrogateescape")
    return aside
