"""From what PostgreSQL says to what a learner can do about it."""

from pathlib import Path


def explain_log(said: str, folder: Path) -> str:
    """One clear message out of the output of a program that failed to start."""
    lines = [line for line in said.strip().splitlines() if line.strip()]
    if any("No space left on device" in line for line in lines):
        return (
            f"The disk is full: there is no room for the database in {folder}.\n"
            "Free some space (a new database needs about 100 MB) and try again."
        )
    if any("Address already in use" in line for line in lines):
        return "The port is taken by another program."
    told = "\n".join(f"    {line}" for line in lines[-8:]) or "    (it said nothing)"
    return (
        f"PostgreSQL did not start. It said:\n{told}\n"
        "If the data is damaged, start over with an empty database:  tutorial db reset"
    )
