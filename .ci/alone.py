"""alone.py OPTION...: the files in which a test has failed, once more, one after the other.

On two busy cores a test may run out of time. What fails here again is broken; what passes is named,
so that somebody makes it steadier. Many failures are no accident, and are not tried again.
"""

import json
import pathlib
import subprocess
import sys

FAILED = pathlib.Path(".pytest_cache/v/cache/lastfailed")
MOST_FILES = 4


def main(options: list[str]) -> int:
    failed = json.loads(FAILED.read_text()) if FAILED.exists() else {}
    files = sorted({test.partition("::")[0] for test in failed})
    if not 0 < len(files) <= MOST_FILES:
        return 1
    print("These failed beside others, and run once more alone:", *failed, sep="\n  ", flush=True)
    FAILED.unlink()
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *files], check=False
    ).returncode


sys.exit(main(sys.argv[1:]))
