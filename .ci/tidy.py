"""tidy.py note|check FILE: did what ran in between leave a process or change the checkout?"""

import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# a server that nobody uses stops by itself, a little later
PATIENCE_SECONDS = 60
OURS = (str(ROOT), os.environ["WORK"], "eventsource-tutorial", "postgres", "chrom", "dockerd")


def read(path: pathlib.Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def link(path: pathlib.Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def processes() -> dict[str, str]:
    """Process id and start time of every process -> its command line, kernel threads left out."""
    found = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        command, stat = read(folder / "cmdline"), read(folder / "stat").rpartition(")")[2].split()
        if command and stat:
            found[f"{folder.name}/{stat[19]}"] = command
    return found


def is_ours(pid: str) -> bool:
    folder = pathlib.Path("/proc") / pid
    seen = f"{read(folder / 'cmdline')} {read(folder / 'environ')} {link(folder / 'cwd')}"
    return any(mark in seen for mark in OURS)


def ancestors() -> set[str]:
    pid, found = str(os.getpid()), set()
    while pid != "0":
        found.add(pid)
        pid = read(pathlib.Path("/proc") / pid / "stat").rpartition(")")[2].split()[1]
    return found


def left_over(before: dict[str, str]) -> dict[str, str]:
    us = ancestors()
    now = processes()
    new = {key: now[key] for key in now.keys() - before.keys()}
    return {key: new[key] for key in new if (pid := key.split("/")[0]) not in us and is_ours(pid)}


def changes() -> str:
    status = ["git", "-C", str(ROOT), "status", "--porcelain"]
    return subprocess.run(status, check=True, capture_output=True, text=True).stdout


def note() -> dict[str, object]:
    return {"processes": processes(), "changes": changes()}


def check(before: dict) -> list[str]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (left := left_over(before["processes"])) and time.monotonic() < deadline:
        time.sleep(1)
    problems = [f"still running: {key.split('/')[0]} {left[key]:.150}" for key in left]
    if changes() != before["changes"]:
        problems.append(f"the checkout has changed:\n{changes()}")
    return problems


action, file = sys.argv[1], pathlib.Path(sys.argv[2])
if action == "note":
    file.write_text(json.dumps(note()))
else:
    if problems := check(json.loads(file.read_text())):
        sys.exit("\n".join(problems))
    print("no process and no change is left")
