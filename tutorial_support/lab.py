"""The experiments: prove a claim, expect a failure, race sessions, wait for an effect."""

import asyncio
import inspect
import re
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import ValidationError

from eventsource.testing import eventually as eventually  # noqa: PLC0414  # also of the lab
from tutorial_support.processes import start_child

T = TypeVar("T")
_LONG_UUID = re.compile(r"\b([0-9a-f]{8})(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


def check(claim: str, ok: object) -> None:
    """Print the claim with a tick, or raise AssertionError that names it."""
    if inspect.isawaitable(ok) or inspect.isroutine(ok):
        raise TypeError(
            f"check({claim!r}, ...) needs a value: await the coroutine, call the function."
        )
    if not ok:
        raise AssertionError(f"Not so: {claim}")
    print(f"✓ {claim}")


class expect:  # noqa: N801  (reads as a word: with expect(OptimisticLockError):)
    """Let the block raise `error`, print it in one line, and fail when it does not.

    Works in `with` and `async with`. `match` is a regular expression searched in the message.
    The error is kept as `.error`. Anything else, or nothing, becomes an AssertionError.
    """

    def __init__(
        self, error: type[Exception] | tuple[type[Exception], ...], match: str | None = None
    ) -> None:
        self.expected = error if isinstance(error, tuple) else (error,)
        self.match = match
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        names = " or ".join(each.__name__ for each in self.expected)
        if error is None:
            raise AssertionError(f"Expected {names}, but nothing was raised.")
        if not isinstance(error, Exception):
            return False  # an interrupt or a cancellation is not an answer
        if not isinstance(error, self.expected):
            raise AssertionError(f"Expected {names}, but got {one_line(error)}") from error
        if self.match and not re.search(self.match, str(error)):
            raise AssertionError(
                f"Expected a message matching {self.match!r}, but got {one_line(error)}"
            ) from error
        self.error = error
        print(textwrap.fill(one_line(error), 96, subsequent_indent="    ", break_on_hyphens=False))
        return True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        return self.__exit__(kind, error, trace)


def one_line(error: BaseException) -> str:
    """An error's type and the first line of its message, UUIDs shortened.

    Pydantic's first line tells how many problems there are; here it is which.
    """
    message = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, ValidationError):
        told = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        message = f"{error.title}: {'; '.join(told)}"
    short = _LONG_UUID.sub(r"\1", message)
    return f"{type(error).__name__}: {short}" if short else type(error).__name__


@dataclass(frozen=True)
class Step:
    """One thing a session did; `began` and `ended` count what all sessions did, in order."""

    session: str
    label: str
    began: int
    ended: int
    error: str = ""


@dataclass
class Steps:
    """A record of what several sessions did, in the order it happened; `timeline` draws it."""

    done: list[Step] = field(default_factory=list)
    _ticks: int = 0

    def session(self, name: str) -> "Session":
        """The recorder of one session."""
        return Session(name, self)

    def __iter__(self) -> Iterator[Step]:
        return iter(sorted(self.done, key=lambda step: step.began))

    def tick(self) -> int:
        self._ticks += 1
        return self._ticks


@dataclass(frozen=True)
class Session:
    """Records the steps of one session."""

    name: str
    steps: Steps

    def mark(self, label: str) -> None:
        """Record something that happened at once."""
        now = self.steps.tick()
        self.steps.done.append(Step(self.name, label, now, now))

    @contextmanager
    def during(self, label: str) -> Iterator[None]:
        """Record a step with its start, its end and the error it ended with, if any."""
        began, error = self.steps.tick(), ""
        try:
            yield
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            self.steps.done.append(Step(self.name, label, began, self.steps.tick(), error))


@dataclass
class Race(Generic[T]):
    """How a race ended: results and errors by name, in the order of finishing."""

    won: dict[str, T] = field(default_factory=dict)
    lost: dict[str, Exception] = field(default_factory=dict)
    steps: Steps = field(default_factory=Steps)


async def race(
    sessions: Mapping[str, Coroutine[Any, Any, T]],
    *,
    loses_with: type[Exception] | tuple[type[Exception], ...] = (),
) -> Race[T]:
    """Run named coroutines at once and tell who won and who lost.

    A session loses when it raises `loses_with`; any other error stops all and is raised.
    `steps` of the result can be given to `timeline`.
    """
    result: Race[T] = Race()

    async def run(name: str, work: Coroutine[Any, Any, T]) -> None:
        try:
            with result.steps.session(name).during("runs"):
                result.won[name] = await work
        except loses_with as error:
            result.lost[name] = error

    try:
        async with asyncio.TaskGroup() as group:
            for name, work in sessions.items():
                group.create_task(run(name, work))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return result


@asynccontextmanager
async def background(*work: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    """Let coroutines run beside the block, and cancel them at its end.

    One that has failed by then raises its error there.
    """
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


async def in_a_process(function: Callable[..., Awaitable[object]], *values: str) -> int:
    """Run an async function of the notebook in a Python process of its own, and return its exit
    code: 0 at its end, -9 after SIGKILL. RuntimeError if it raises.

    The process gets the function's source and nothing else, so the function must import what it
    uses. The values reach it by standard input, where no list of processes shows a password.
    """
    async with await start_child(function, *values) as child:
        return await child.wait()


class Ids:
    """Ids that are the same on every run: `ids()` gives the next UUID (version 5) of a seed."""

    def __init__(self, seed: int) -> None:
        self.seed, self.count = seed, 0

    def __call__(self) -> UUID:
        self.count += 1
        return uuid5(NAMESPACE_URL, f"eventsource-tutorial/{self.seed}/{self.count}")


class Clock:
    """A UTC clock that is the same on every run: each `clock()` is one `tick` later."""

    def __init__(
        self,
        start: datetime = datetime(2026, 1, 5, 9, 0, tzinfo=UTC),
        tick: timedelta = timedelta(minutes=1),
    ) -> None:
        self.now, self.tick = start.astimezone(UTC) - tick, tick

    def __call__(self) -> datetime:
        self.now += self.tick
        return self.now
