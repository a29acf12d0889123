"""Keeping the kernel alive and responsive whatever an answer does."""

import asyncio
import logging
import signal
import threading
from asyncio import events
from collections.abc import Coroutine, Generator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Blocked(BaseException):
    """The answer kept the event loop busy. `except Exception` in the answer lets it pass."""


class _Contained(Coroutine[Any, Any, Any]):
    """A coroutine that ends with an ordinary error where it would end the program."""

    def __init__(self, inner: Coroutine[Any, Any, Any]) -> None:
        self._inner = inner
        self.__qualname__ = getattr(inner, "__qualname__", type(inner).__qualname__)

    def send(self, value: Any) -> Any:
        with _ordinary_errors():
            return self._inner.send(value)

    def throw(self, *error: Any) -> Any:
        with _ordinary_errors():
            return self._inner.throw(*error)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        raise NotImplementedError("only a task runs it")


@contextmanager
def _ordinary_errors() -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as error:
        raise RuntimeError(repr(error)) from error


@contextmanager
def contained() -> Iterator[None]:
    """Let no task that is started meanwhile end the event loop, and with it the kernel.

    asyncio does so when a task raises KeyboardInterrupt or SystemExit, as an answer may that a
    check runs beside itself.
    """
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    loop.set_task_factory(
        lambda loop, inner, **options: asyncio.Task(_Contained(inner), loop=loop, **options)
    )
    try:
        yield
    finally:
        loop.set_task_factory(before)


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Log nothing of what a check breaks on purpose, and of what an answer does wrong."""
    log = logging.getLogger(name)
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)


LOOKS = 5  #: in the time after which a loop that stands still is interrupted


class _Heartbeat:
    """Interrupts what runs when the event loop has not moved for so many looks."""

    def __init__(self, every_seconds: float) -> None:
        self._loop, self._every = asyncio.get_running_loop(), every_seconds
        self._beats = self._seen = self._idle_looks = 0
        self._next: asyncio.Handle = self._loop.call_soon(self._beat)

    def _beat(self) -> None:
        self._beats += 1
        self._next = self._loop.call_later(self._every, self._beat)

    def look(self, _signal: int, frame: FrameType | None) -> None:
        stands_still, self._seen = self._beats == self._seen, self._beats
        self._idle_looks = self._idle_looks + 1 if stands_still else 0
        if self._idle_looks >= LOOKS and _is_in_a_callback(frame):
            raise Blocked

    def stop(self) -> None:
        self._next.cancel()


def _is_in_a_callback(frame: FrameType | None) -> bool:
    """Whether a task or callback is running, and no other reason to stand still.

    A computer that slept wakes up in the event loop itself, which would not survive an error.
    """
    while frame is not None:
        if frame.f_code is events.Handle._run.__code__:
            return True
        frame = frame.f_back
    return False


@contextmanager
def interrupt_when_blocked(seconds: float) -> Iterator[None]:
    """Raise `Blocked` in the main thread whenever the event loop stands still for so long."""
    in_main = threading.current_thread() is threading.main_thread()
    if not (in_main and hasattr(signal, "setitimer")):
        yield
        return
    pause = seconds / LOOKS
    heart = _Heartbeat(pause / 5)
    handler = signal.signal(signal.SIGALRM, heart.look)
    timer = signal.setitimer(signal.ITIMER_REAL, pause, pause)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)
        heart.stop()
