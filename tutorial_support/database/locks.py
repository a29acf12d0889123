"""File locks that the operating system drops however their holder dies."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

POLL_SECONDS = 0.02
_FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0)


def hold(path: Path, *, shared: bool = False) -> int | None:
    """Lock `path`, creating it, and return the descriptor that holds the lock; `os.close` unlocks.

    Returns None when somebody else holds it. Windows knows no shared locks: they exclude there too.
    """
    return _lock(os.open(path, _FLAGS | os.O_CREAT, 0o600), shared=shared)


def is_held(path: Path) -> bool:
    """Whether some process holds `path` exclusively."""
    try:
        # Without creating it: somebody may be removing its folder.
        descriptor = _lock(os.open(path, _FLAGS), shared=True)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


def _lock(descriptor: int, *, shared: bool) -> int | None:
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


async def wait_for(path: Path, *, seconds: float, shared: bool = False) -> int:
    """Lock `path` as soon as nobody is in the way. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while (lock := hold(path, shared=shared)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} is still locked after {seconds:.0f} s")
        await asyncio.sleep(POLL_SECONDS)
    return lock


@asynccontextmanager
async def exclusive(path: Path, *, seconds: float = 60) -> AsyncIterator[None]:
    """Be the only one to do something. Raises TimeoutError."""
    lock = await wait_for(path, seconds=seconds)
    try:
        yield
    finally:
        os.close(lock)
