"""Judging an answer: nothing it is or does reaches the learner as an error."""

import ast
import asyncio
import inspect
import linecache
import signal
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import CodeType, FrameType

from tutorial_support.exercises.model import Exercise, NotYet, parse

LONGEST_STANDSTILL_SECONDS = 3.0


@dataclass(frozen=True)
class Verdict:
    """What the learner is told; `hint` is the number of the hint, 0 for a solved exercise."""

    passed: bool
    text: str
    hint: int = 0


class _Blocked(BaseException):
    """The answer kept the event loop busy. `except Exception` in the answer lets it pass."""


async def judge(exercise: Exercise, answer: object, *given: object) -> Verdict:
    """The verdict on an answer. Never raises; an answer that hangs is stopped.

    An answer that waits is cancelled. One that computes for ever is interrupted by a timer signal,
    which Windows does not have: there, interrupt the kernel.
    """
    limit = exercise.time_limit_seconds
    attempt = asyncio.ensure_future(_attempt(exercise, answer, given))
    try:
        with _interrupt_when_blocked(_standstill(exercise)):
            await asyncio.wait({attempt}, timeout=limit)
        if attempt.done():
            return attempt.result()
        return _too_slow(exercise, limit)
    finally:
        attempt.cancel()


async def _attempt(exercise: Exercise, answer: object, given: tuple[object, ...]) -> Verdict:
    try:
        if _untouched(exercise, answer):
            return _not_yet(exercise, "the stub as it was", "your own answer in its place", 1)
        await exercise.check(answer, *given)
    except NotYet as verdict:
        return _not_yet(exercise, verdict.seen, verdict.expected, verdict.hint)
    except _Blocked:
        return _too_slow(exercise, _standstill(exercise))
    except BaseException as error:  # noqa: BLE001  (an answer may raise anything, SystemExit included)
        return _not_yet(exercise, f"your answer raised {_describe(error)}", "no error", 1)
    return Verdict(True, f"✓ Exercise {exercise.id}, {exercise.title}: solved")


def _not_yet(exercise: Exercise, seen: str, expected: str, hint: int) -> Verdict:
    hint = min(max(hint, 1), len(exercise.hints))
    told = {"seen": seen, "expected": expected, f"hint {hint}": exercise.hints[hint - 1].strip()}
    lines = [f"○ Exercise {exercise.id}, {exercise.title}: not yet"]
    for name, words in told.items():
        start = f"  {name + ':':<10}"
        lines.append(textwrap.fill(words, 96, initial_indent=start, subsequent_indent=" " * 12))
    return Verdict(False, "\n".join(lines), hint)


def _standstill(exercise: Exercise) -> float:
    """How many seconds an answer may keep everything else waiting."""
    return min(exercise.time_limit_seconds, LONGEST_STANDSTILL_SECONDS)


def _too_slow(exercise: Exercise, seconds: float) -> Verdict:
    return _not_yet(exercise, f"no answer within {seconds:g} s", "an answer that ends", 1)


def _describe(error: BaseException) -> str:
    try:
        text = next(iter(str(error).splitlines()), "")
    except Exception:  # noqa: BLE001  (the learner's own error class may be broken too)
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _untouched(exercise: Exercise, answer: object) -> bool:
    """Whether the answer is still the stub, or as empty as a stub."""
    if answer is None or answer is Ellipsis:
        return True
    definition = _definition(answer)
    if definition is None:
        return _is_empty_class(answer) or any(
            type(answer) is type(value) and answer == value for value in _values(exercise)
        )
    stubs = map(ast.dump, parse(exercise.stub).body)
    return _is_empty(definition) or ast.dump(definition) in stubs


def _definition(answer: object) -> ast.stmt | None:
    """The statement that defined a function or class; None for a value, and without source."""
    if not (inspect.isfunction(answer) or inspect.isclass(answer)):
        return None
    try:
        statement = parse(textwrap.dedent(inspect.getsource(answer))).body[0]
    except (OSError, TypeError, SyntaxError):
        return _class_statement(answer) if inspect.isclass(answer) else None
    return statement if hasattr(statement, "body") else None


def _class_statement(answer: type) -> ast.stmt | None:
    """The same for a class of a notebook, which has no file: from the cell of its first method."""
    for method in _methods(answer):
        cell, line = "".join(linecache.getlines(method.co_filename)), method.co_firstlineno
        with suppress(SyntaxError):
            for statement in parse(cell).body:
                named = isinstance(statement, ast.ClassDef) and statement.name == answer.__name__
                if named and statement.lineno <= line <= (statement.end_lineno or 0):
                    return statement
    return None


def _methods(answer: type) -> list[CodeType]:
    """The code of the functions in the class statement, not of those that others put there."""
    functions = (inspect.unwrap(value) for value in vars(answer).values() if callable(value))
    return [
        function.__code__
        for function in functions
        if inspect.isfunction(function) and function.__qualname__.startswith(answer.__qualname__)
    ]


def _is_empty_class(answer: object) -> bool:
    """Whether the class says nothing of its own; its parents may, and pydantic adds to it."""
    if not inspect.isclass(answer) or inspect.get_annotations(answer) or _methods(answer):
        return False
    return all(name.startswith(("_", "model_")) for name in vars(answer))


def _is_empty(definition: ast.stmt) -> bool:
    body: list[ast.stmt] = getattr(definition, "body", [])
    return all(
        isinstance(statement, ast.Pass)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for statement in body
    )


def _values(exercise: Exercise) -> Iterator[object]:
    """The plain values the stub assigns."""
    for statement in parse(exercise.stub).body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value:
            with suppress(ValueError):
                yield ast.literal_eval(statement.value)


class _Heartbeat:
    """Tells whether the running event loop moved since the last look."""

    def __init__(self, every_seconds: float) -> None:
        self._loop, self._every = asyncio.get_running_loop(), every_seconds
        self._beats = self._seen = 0
        self._next: asyncio.Handle = self._loop.call_soon(self._beat)

    def _beat(self) -> None:
        self._beats += 1
        self._next = self._loop.call_later(self._every, self._beat)

    def look(self, _signal: int, _frame: FrameType | None) -> None:
        if self._beats == self._seen:
            raise _Blocked
        self._seen = self._beats

    def stop(self) -> None:
        self._next.cancel()


@contextmanager
def _interrupt_when_blocked(seconds: float) -> Iterator[None]:
    """Raise `_Blocked` in the main thread whenever the event loop stands still for so long."""
    in_main = threading.current_thread() is threading.main_thread()
    if not (in_main and hasattr(signal, "setitimer")):
        yield
        return
    heart = _Heartbeat(seconds / 20)
    handler = signal.signal(signal.SIGALRM, heart.look)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)
        heart.stop()
