"""Locks that processes ask about while others remove them."""

import threading
from pathlib import Path

from tutorial_support.database import locks


def test_to_ask_whether_a_lock_is_held_never_makes_it(tmp_path: Path) -> None:
    """Or a folder that is being removed would keep the file, and whoever waits for its end would
    wait for ever."""
    lock, is_over = tmp_path / "supervisor", threading.Event()
    answers: set[bool] = set()

    def ask() -> None:
        while not is_over.is_set():
            answers.add(locks.is_held(lock))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(3000):
            lock.touch()
            lock.unlink()
            assert not lock.exists()
    finally:
        is_over.set()
        asking.join()
    assert not lock.exists()
    assert answers == {False}
