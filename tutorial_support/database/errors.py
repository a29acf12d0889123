"""The one error a learner sees when there is no server, and what to do about it."""

from pathlib import Path

NO_ROOM = ("No space left on device", "Disk quota exceeded", "Check free disk space")
NO_FOLDER = (
    "Permission denied",
    "Operation not permitted",
    "Read-only file system",
    "Not a directory",
    "File exists",
)


class ServerUnavailable(Exception):  # noqa: N818  (a state of the world, not a bug)
    """A server cannot be had; the message says why and what to type.

    IPython shows the message alone, with no traceback.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class DatabaseUnavailable(ServerUnavailable):
    """No database can be had."""


def explain_failed_start(said: str, folder: Path) -> DatabaseUnavailable:
    """One clear message out of what a program or the operating system said."""
    lines = said_lines(said)
    if any(sign in said for sign in NO_ROOM):
        return DatabaseUnavailable(
            f"The disk is full: there is no room for the database in {folder}.\n"
            "Make some room (a new server takes 80 MB) and try again."
        )
    if any(sign in said for sign in NO_FOLDER):
        return DatabaseUnavailable(
            f"The course cannot use its folder {folder}:\n{indented(lines[-2:])}\n"
            "Let it use another one:  export XDG_CACHE_HOME=/a/folder/of/yours"
        )
    return DatabaseUnavailable(
        f"PostgreSQL did not start. It said:\n{indented(lines[-8:])}\n"
        "If its data is damaged, start over with an empty server:  tutorial db reset"
    )


def said_lines(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.strip()]


def indented(lines: list[str]) -> str:
    return "\n".join(f"    {line}" for line in lines) or "    (nothing)"
