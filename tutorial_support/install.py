"""Make `.venv` and install the project into it, once, and again when its dependencies change.

Run as a script by any Python, however old: it looks for a newer one before it gives up, so only
syntax that an old Python can read is used here, and nothing but the standard library.
"""

import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
BIN = os.path.join(VENV, "Scripts" if os.name == "nt" else "bin")
PYTHON = os.path.join(BIN, "python.exe" if os.name == "nt" else "python")
PINS = os.path.join(ROOT, "tutorial_support", "pins.txt")
STAMP = os.path.join(VENV, "installed")
NEEDED = (3, 11)


def stop(message):
    sys.stderr.write(message.strip() + "\n")
    sys.exit(1)


def use_new_enough_python():
    """Go on in a Python that is new enough, or say what to install."""
    if sys.version_info >= NEEDED:
        return
    for minor in range(20, NEEDED[1] - 1, -1):
        newer = shutil.which("python3.%d" % minor)
        if newer:
            os.execv(newer, [newer] + sys.argv)
    stop(
        "This is Python %d.%d, and the course needs Python 3.11 or newer.\n" % sys.version_info[:2]
        + "Install one (https://www.python.org/downloads/) and try again, or name one you have:\n"
        + "    make lab PYTHON=/path/to/python3.12"
    )


def fingerprint():
    """Changes whenever the environment has to be made again."""
    seen = hashlib.sha256(ROOT.encode())
    for path in (os.path.join(ROOT, "pyproject.toml"), PINS):
        with open(path, "rb") as file:
            seen.update(file.read())
    return seen.hexdigest()


def installed():
    try:
        with open(STAMP) as file:
            return file.read() == fingerprint() and os.path.exists(PYTHON)
    except OSError:
        return False


def run(step, command):
    sys.stdout.write(step + "\n")
    sys.stdout.flush()
    result = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if result.returncode:
        said = result.stdout.decode("utf-8", "replace").strip().splitlines()[-15:]
        hint = advice("\n".join(said))
        stop("\n".join(said) + "\n\nThat did not work. " + hint)


def advice(output):
    if "ensurepip" in output or "No module named venv" in output:
        return "This Python has no venv: on Debian and Ubuntu, `apt-get install python3-venv`."
    if "No space left" in output:
        return "The disk is full: the environment needs about 800 MB."
    if "externally-managed" in output or "Permission denied" in output:
        return "You may not write to " + ROOT + ": clone the project into a folder of your own."
    if "Connection" in output or "Temporary failure" in output or "Max retries" in output:
        return "The package index cannot be reached: check the network or pip's proxy settings."
    return "Run the command again; if it fails again, `make clean` starts over."


def main():
    use_new_enough_python()
    if installed():
        return
    started = "Installing into .venv (about a minute, once)"
    run(started, [sys.executable, "-m", "venv", "--clear", VENV])
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    run("  pip", pip + ["--upgrade", "pip>=25.1"])
    run("  packages", pip + ["--constraint", PINS, "--editable", ".[all]", "--group", "check"])
    with open(STAMP, "w") as file:
        file.write(fingerprint())
    sys.stdout.write("  done\n")


if __name__ == "__main__":
    main()
