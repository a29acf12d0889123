"""Make `.venv` and install the project into it, once, and again when its dependencies change.

Run as a script by any Python, however old: it looks for a newer one before it gives up, so it uses
only syntax that an old Python can read, and nothing but the standard library.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from typing import IO, List

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))
PROJECT = os.path.join(ROOT, "pyproject.toml")
PINS = os.path.join(ROOT, "tutorial_support", "pins.txt")
STAMP = os.path.join(VENV, "installed")
NEEDED = (3, 11)


def main() -> None:
    use_new_enough_python()
    with open(PROJECT) as project:
        take_turns(project)
        if read(STAMP) == wanted():
            return
        say("Installing into .venv: about a minute, once.")
        if read(STAMP).split("\n")[0] != ROOT:
            run([sys.executable, "-m", "venv", "--clear", VENV])
        pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "--progress-bar=off"]
        run([*pip, "--quiet", "--upgrade", "pip>=25.1"])
        run([*pip, "-c", PINS, "--editable", ".[all]", "--group", "check"])
        with open(STAMP, "w") as stamp:
            stamp.write(wanted())


def use_new_enough_python() -> None:
    """Go on in a Python that is new enough, or say what to install."""
    if sys.version_info >= NEEDED:
        return
    for minor in range(20, NEEDED[1] - 1, -1):
        newer = shutil.which("python3.%d" % minor)
        if newer:
            os.execv(newer, [newer, *sys.argv])
    stop(
        "This is Python %d.%d, and the course needs Python 3.11 or newer.\n" % sys.version_info[:2]
        + "Install one from https://www.python.org/downloads/, or name one you have:\n"
        + "    make lab PYTHON=/path/to/python3.12"
    )


def take_turns(file: IO[str]) -> None:
    """Wait until no other `make` is installing: two at once would undo each other's work."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    fcntl.flock(file, fcntl.LOCK_EX)


def wanted() -> str:
    """Where the environment stands and what it was made from; anything else is made anew."""
    return ROOT + "\n" + hashlib.sha256((read(PROJECT) + read(PINS)).encode()).hexdigest()


def read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def run(command: List[str]) -> None:
    """Run a step, tell how far pip has come, and explain a failure."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )
    lines: List[str] = []
    collected = 0
    for line in process.stdout or ():
        lines.append(line.rstrip())
        if line.startswith("Collecting "):
            collected += 1
            if collected % 20 == 0:
                say("  %d packages" % collected)
        elif line.startswith("Installing collected packages"):
            say("  unpacking")
    if process.wait():
        stop("\n".join(lines[-15:]) + "\n\nThat did not work. " + advice("\n".join(lines)))


def advice(output: str) -> str:
    if "ensurepip" in output or "No module named venv" in output:
        return "This Python has no venv: on Debian and Ubuntu, `apt-get install python3-venv`."
    if "No space left" in output:
        return "The disk is full: the environment needs about 800 MB."
    if "Permission denied" in output:
        return "You may not write to " + ROOT + ": clone the project into a folder of your own."
    if "Failed to establish" in output or "name resolution" in output:
        return "The package index cannot be reached: check the network, or pip's proxy settings."
    return "Try once more; if it fails again, start over with `make clean`."


def say(message: str) -> None:
    sys.stdout.write(message + "\n")
    sys.stdout.flush()


def stop(message: str) -> None:
    sys.stderr.write(message.strip() + "\n")
    sys.exit(1)


if __name__ == "__main__":
    main()
