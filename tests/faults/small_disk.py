"""A disk of a few megabytes, which a test can fill."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pytest

UNMOUNT_SECONDS = 30.0
SUDO = [] if os.geteuid() == 0 else ["sudo", "-n"]


def may_mount() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    with suppress(FileNotFoundError):
        return subprocess.run([*SUDO, "true"], capture_output=True, check=False).returncode == 0
    return False


class SmallDisk:
    """Mounted at a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def resize(self, size: str) -> None:
        _as_root("mount", "-o", f"remount,size={size}", str(self.folder))

    def fill(self) -> None:
        """Until nothing more fits."""
        with self._ballast.open("wb") as file, pytest.raises(OSError, match="No space left"):
            _write_for_ever(file)

    def make_room(self) -> None:
        self._ballast.unlink()


@contextmanager
def small_disk_at(folder: Path, size: str) -> Iterator[SmallDisk]:
    """Skips the test where nothing can be mounted."""
    if not may_mount():
        pytest.skip("a small disk needs Linux, and root or sudo without a password")
    folder.mkdir()
    options = f"size={size},mode=755,uid={os.geteuid()}"
    _as_root("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder))
    try:
        yield SmallDisk(folder)
    finally:
        _unmount(folder)


def _unmount(folder: Path) -> None:
    """The supervisor of a server that has stopped works in there for a moment longer."""
    deadline = time.monotonic() + UNMOUNT_SECONDS
    while time.monotonic() < deadline:
        with suppress(subprocess.CalledProcessError):
            return _as_root("umount", str(folder))
        time.sleep(0.1)
    raise TimeoutError(f"somebody keeps {folder} busy")


def _as_root(*command: str) -> None:
    subprocess.run([*SUDO, *command], check=True)


def _write_for_ever(file: BinaryIO) -> None:
    while True:
        file.write(bytes(100_000))
        file.flush()
