"""File locks that the operating system drops however their holder dies."""

import os
import sys
import time
from pathlib import Path

from .errors import DatabaseUnavailable

if sys.platform != "win32":
    import fcntl


def hold(path: Path, *, shared: bool = False, wait_seconds: float = 0) -> int | None:
    """Lock `path`, creating it, and return the descriptor that holds the lock.

    Returns None when somebody else still holds it after `wait_seconds`. `os.close` unlocks.
    """
    if sys.platform == "win32":
        raise DatabaseUnavailable("On Windows the course cannot run a server of its own.")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(0.02)
        except BaseException:
            os.close(descriptor)
            raise
        else:
            return descriptor


def is_held(path: Path) -> bool:
    """Whether some process holds `path` exclusively."""
    if not path.exists():
        return False
    descriptor = hold(path, shared=True)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False
