"""Which exercises a learner has solved: an empty file each in the cache folder, sent nowhere."""

import re
from contextlib import suppress
from pathlib import Path

from IPython.core.getipython import get_ipython

from tutorial_support.paths import cache_folder

_ID = re.compile(r"\d+\.\d+")


def _folder() -> Path:
    return cache_folder() / "solved"


def somebody_is_there() -> bool:
    """Whether a person runs this cell: JupyterLab lets a cell ask her, nbval and papermill do not.

    So neither tests nor `tutorial run` solve anything for a learner.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    request = kernel.get_parent("shell") if kernel else {}
    return bool(request.get("content", {}).get("allow_stdin"))


def record(exercise_id: str) -> None:
    """Note that an exercise is solved. Where nothing can be written, nothing is noted."""
    with suppress(OSError):
        _folder().mkdir(parents=True, exist_ok=True)
        (_folder() / exercise_id).touch()


def solved() -> set[str]:
    """The ids of the solved exercises, such as "11.1"."""
    with suppress(OSError):
        files = (file for file in _folder().iterdir() if file.is_file())
        return {file.name for file in files if _ID.fullmatch(file.name)}
    return set()


def forget(exercise_id: str) -> None:
    """Let an exercise be unsolved again."""
    (_folder() / exercise_id).unlink(missing_ok=True)
