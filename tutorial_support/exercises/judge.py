"""Judging an answer: nothing it is or does reaches the learner as an error."""

import ast
import asyncio
import inspect
import linecache
import textwrap
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import CodeType

from tutorial_support.exercises.guard import Blocked, contained, interrupt_when_blocked, quiet
from tutorial_support.exercises.model import Exercise, NotYet, parse

LONGEST_STANDSTILL_SECONDS = 3.0
CLEAN_UP_SECONDS = 1.0
MOST_LETTERS = 600  #: of what was seen: an answer may be as long as it likes


@dataclass(frozen=True)
class Verdict:
    """What the learner is told; `hint` is the number of the hint, 0 for a solved exercise."""

    passed: bool
    text: str
    hint: int = 0


async def judge(exercise: Exercise, answer: object, *given: object) -> Verdict:
    """The verdict on an answer. Never raises; an answer that hangs is stopped.

    An answer that waits is cancelled. One that computes for ever is interrupted by a timer signal,
    which Windows does not have: there, interrupt the kernel.
    """
    limit = exercise.time_limit_seconds
    attempt = asyncio.ensure_future(_attempt(exercise, answer, given))
    try:
        with quiet("eventsource"), contained(), interrupt_when_blocked(_standstill(exercise)):
            await asyncio.wait({attempt}, timeout=limit)
            if attempt.done():
                return attempt.result()
            attempt.cancel()
            await asyncio.wait({attempt}, timeout=CLEAN_UP_SECONDS)
        return _too_slow(exercise, limit)
    finally:
        attempt.cancel()


async def _attempt(exercise: Exercise, answer: object, given: tuple[object, ...]) -> Verdict:
    try:
        if _untouched(exercise, answer):
            return _not_yet(exercise, "the stub as it was", "your own answer in its place", 1)
        asked_for = _asked_for(exercise)
        if inspect.iscoroutinefunction(answer) and asked_for in {"def", "class"}:
            seen = f"`async def {exercise.answer}`, which nobody awaits here"
            return _not_yet(exercise, seen, f"`{asked_for}`, as in the stub", 1)
        await exercise.check(answer, *given)
    except NotYet as verdict:
        return _not_yet(exercise, verdict.seen, verdict.expected, verdict.hint)
    except Blocked:
        return _too_slow(exercise, _standstill(exercise))
    except BaseException as error:  # noqa: BLE001  (an answer may raise anything, SystemExit included)
        seen = f"your answer raised {_describe(error)}{_where(error)}"
        return _not_yet(exercise, seen, _instead_of(error, exercise, answer), 1)
    return Verdict(True, f"✓ Exercise {exercise.id}, {exercise.title}: solved")


def _asked_for(exercise: Exercise) -> str:
    """What kind of answer the stub is."""
    kinds = {ast.AsyncFunctionDef: "async def", ast.FunctionDef: "def", ast.ClassDef: "class"}
    for statement in parse(exercise.stub).body:
        if getattr(statement, "name", None) == exercise.answer:
            return kinds[type(statement)]
    return "value"


def _instead_of(error: BaseException, exercise: Exercise, answer: object) -> str:
    """What is expected of an answer that raised: often it is of another kind than the stub."""
    asked_for = _asked_for(exercise)
    is_function = callable(answer) and not inspect.isclass(answer)
    cannot_be_awaited = isinstance(error, TypeError) and not inspect.iscoroutinefunction(answer)
    fits = {
        "async def": is_function and not (inspect.isfunction(answer) and cannot_be_awaited),
        "def": is_function,
        "class": callable(answer),
        "value": not callable(answer),
    }
    if fits[asked_for]:
        return "no error"
    name = "a value" if asked_for == "value" else f"`{asked_for} {exercise.answer}`"
    return f"{name}, as in the stub"


def _not_yet(exercise: Exercise, seen: str, expected: str, hint: int) -> Verdict:
    hint = min(max(hint, 1), len(exercise.hints))
    if len(seen) > MOST_LETTERS:
        seen = f"{seen[:MOST_LETTERS]} …"
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
    except BaseException:  # noqa: BLE001  (the learner's own error class may be broken too)
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _where(error: BaseException) -> str:
    """The line of the notebook that raised it; nothing if that was no code of the notebook."""
    for frame, line in reversed([*traceback.walk_tb(error.__traceback__)]):
        if frame.f_globals.get("__name__") == "__main__":
            code = linecache.getline(frame.f_code.co_filename, line).strip()
            return f", in line {line}: {code}" if code else f", in line {line}"
    return ""


def _untouched(exercise: Exercise, answer: object) -> bool:
    """Whether the answer is still the stub, or as empty as a stub."""
    if answer is None or answer is Ellipsis:
        return True
    if inspect.isclass(answer) and not _has_the_parents_of_the_stub(exercise, answer):
        return False
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


def _has_the_parents_of_the_stub(exercise: Exercise, answer: type) -> bool:
    """Otherwise the answer may be in a parent, and the class itself may say nothing."""
    parents = [parent.__name__ for parent in answer.__bases__ if parent is not object]
    return not parents or any(
        parents == [ast.unparse(base) for base in statement.bases]
        for statement in parse(exercise.stub).body
        if isinstance(statement, ast.ClassDef)
    )


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
