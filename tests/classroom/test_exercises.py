"""Whatever a learner hands in, the answer is a verdict and a hint, never an error."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from tutorial_support.database import open_database
from tutorial_support.exercises import Exercise, NotYet, Wrong, check_exercise, judge
from tutorial_support.exercises import find_exercise as find

STUB = '''def double(number):
    """Return twice the number."""
    ...
'''


async def check_double(double: Callable[[int], Any]) -> None:
    if (seen := double(4)) != 8:
        raise NotYet(seen=f"double(4) is {seen!r}", expected="8", hint=2)
    await asyncio.sleep(0)


def exercise(**changes: Any) -> Exercise:
    parts: dict[str, Any] = {
        "id": "90.1",
        "title": "Double it",
        "task": "Fill in `double`.",
        "answer": "double",
        "stub": STUB,
        "hints": ("Two times.", "Use `*`."),
        "solutions": ("def double(n):\n    return n * 2", "def double(n):\n    return n + n"),
        "wrong": tuple(
            Wrong(f"def double(n):\n    return {each}", 2) for each in ("n", "n**2", "0")
        ),
        "check": check_double,
        "time_limit_seconds": 0.2,
    }
    return Exercise(**parts | changes)


def double(number):  # type: ignore[no-untyped-def]
    """Another text here."""


def untouched_words(number):  # type: ignore[no-untyped-def]
    pass


class Empty:
    """Nothing yet."""


@pytest.mark.parametrize("answer", [None, ..., double, untouched_words, Empty])
async def test_an_untouched_stub_is_not_yet(answer: object) -> None:
    async def accept_anything(answer: object) -> None:
        pass

    verdict = await judge(exercise(check=accept_anything), answer)
    assert not verdict.passed
    assert "the stub as it was" in verdict.text


class Mixin:
    def __call__(self) -> int:
        return 8


class Mixed(Mixin, Empty):
    pass


class Child(Empty):
    pass


@pytest.mark.parametrize(("answer", "passes"), [(Mixed, True), (Child, False)])
async def test_a_class_may_have_its_answer_from_a_parent_that_the_stub_has_not(
    answer: object, passes: bool
) -> None:
    async def accept_anything(answer: object) -> None:
        pass

    asked_for = exercise(stub="class double(Empty): ...", check=accept_anything)
    assert (await judge(asked_for, answer)).passed is passes


async def test_a_value_left_as_in_the_stub_is_not_yet() -> None:
    async def accept_anything(answer: object) -> None:
        pass

    given = exercise(stub='schema = """\n-- your SQL\n"""', check=accept_anything)
    assert not (await judge(given, "\n-- your SQL\n")).passed
    assert (await judge(given, "CREATE TABLE t ()")).passed


async def test_a_right_answer_gets_a_tick(capsys: pytest.CaptureFixture[str]) -> None:
    verdict = await judge(exercise(), lambda number: number * 2)
    assert verdict.passed
    assert verdict.text == "✓ Exercise 90.1, Double it: solved"


async def test_a_wrong_answer_is_told_what_was_seen_expected_and_the_hint_that_fits() -> None:
    verdict = await judge(exercise(), lambda number: number)
    assert verdict.hint == 2
    assert verdict.text.splitlines() == [
        "○ Exercise 90.1, Double it: not yet",
        "  seen:     double(4) is 4",
        "  expected: 8",
        "  hint 2:   Use `*`.",
    ]


class BrokenError(Exception):
    def __str__(self) -> str:
        raise ValueError


class RudeError(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


class Unequal:
    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError

    __hash__ = None  # type: ignore[assignment]


def raising(error: BaseException) -> Callable[[int], Any]:
    def answer(number: int) -> Any:
        raise error

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        7,
        "double",
        [],
        Unequal(),
        lambda: 8,
        lambda number: Unequal(),
        raising(SystemExit(1)),
        raising(KeyboardInterrupt()),
        raising(asyncio.CancelledError()),
        raising(GeneratorExit()),
        raising(BrokenError()),
        raising(RudeError()),
        raising(RecursionError()),
    ],
)
async def test_nonsense_is_answered_and_never_raises(answer: object) -> None:
    verdict = await judge(exercise(), answer)
    assert not verdict.passed
    assert "your answer raised" in verdict.text or "double(4) is" in verdict.text


@pytest.mark.parametrize(
    ("stub", "answer", "expected"),
    [
        ("def double(number): ...", 7, "`def double`"),
        ("def double(number): ...", BrokenError, "`def double`"),
        ("async def double(number): ...", 7, "`async def double`"),
        ("async def double(number): ...", lambda number: number, "`async def double`"),
        ("class double: ...", 7, "`class double`"),
        ("double = 1", lambda number: number, "a value"),
    ],
)
async def test_an_answer_of_another_kind_is_told_the_kind(
    stub: str, answer: object, expected: str
) -> None:
    async def check_kind(answer: Any) -> None:
        await answer(4) if "async" in stub else answer.denominator if "=" in stub else answer(4).x

    verdict = await judge(exercise(stub=stub, check=check_kind), answer)
    assert f"expected: {expected}, as in the stub" in verdict.text


async def test_an_answer_that_nobody_awaits_is_told_so(recwarn: pytest.WarningsRecorder) -> None:
    async def double(number: int) -> int:
        return number * 2

    verdict = await judge(exercise(), double)
    assert "seen:     `async def double`, which nobody awaits here" in verdict.text
    assert not recwarn.list


async def test_an_answer_as_long_as_a_book_is_cut() -> None:
    verdict = await judge(exercise(), lambda number: "word " * 10_000)
    assert len(verdict.text) < 1000


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()])
async def test_a_task_of_the_check_does_not_end_the_kernel(error: BaseException) -> None:
    async def check_beside(answer: Callable[[int], Any]) -> None:
        async def ask() -> None:
            answer(4)

        await asyncio.gather(ask(), ask())

    verdict = await judge(exercise(check=check_beside), raising(error))
    assert f"your answer raised RuntimeError: {error!r}" in verdict.text
    assert asyncio.get_running_loop().get_task_factory() is None


async def test_what_a_check_made_is_gone_when_a_slow_answer_gets_its_verdict() -> None:
    made = ["a database"]

    async def check_waiting(answer: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            made.clear()

    assert "no answer within 0.2 s" in (await judge(exercise(check=check_waiting), 7)).text
    assert not made


async def test_what_the_library_says_of_an_answer_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = logging.getLogger("eventsource.subscriptions")

    async def check_and_log(answer: object) -> None:
        log.error("Subscription has stopped")

    await judge(exercise(check=check_and_log), 7)
    assert not caplog.records
    log.error("This is not about an answer")
    assert len(caplog.records) == 1


async def test_an_answer_that_waits_for_ever_is_stopped() -> None:
    stopped = asyncio.Event()

    async def check_waiting(wait: Callable[[], Any]) -> None:
        await wait()

    async def wait_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    asked_for = exercise(stub="async def double(number): ...", check=check_waiting)
    verdict = await judge(asked_for, wait_for_ever)
    assert "no answer within 0.2 s" in verdict.text
    await asyncio.wait_for(stopped.wait(), 1)


async def test_an_answer_that_refuses_to_be_cancelled_does_not_hold_up_the_verdict() -> None:
    free = asyncio.Event()

    async def check_stubborn(answer: Callable[[], Any]) -> None:
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue

    verdict = await judge(exercise(check=check_stubborn), 7)
    assert "no answer within" in verdict.text
    free.set()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no timer signal")
@pytest.mark.parametrize("hang", [lambda number: time.sleep(60), lambda number: spin()])
async def test_an_answer_that_blocks_the_event_loop_is_interrupted(hang: object) -> None:
    timer, handler = signal.getitimer(signal.ITIMER_REAL), signal.getsignal(signal.SIGALRM)
    verdict = await judge(exercise(), hang)
    assert "no answer within 0.2 s" in verdict.text
    assert signal.getsignal(signal.SIGALRM) is handler
    assert bool(signal.getitimer(signal.ITIMER_REAL)[0]) == bool(timer[0])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no timer signal")
async def test_an_exercise_that_may_take_long_may_not_block_the_loop_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(judge.__globals__, "LONGEST_STANDSTILL_SECONDS", 0.2)
    verdict = await judge(exercise(time_limit_seconds=600), lambda number: spin())
    assert "no answer within 0.2 s" in verdict.text


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no timer signal")
async def test_an_answer_that_blocks_later_is_interrupted_as_soon() -> None:
    async def check_later(answer: Callable[[int], Any]) -> None:
        await asyncio.sleep(0.1)
        answer(4)

    began = time.monotonic()
    verdict = await judge(exercise(check=check_later, time_limit_seconds=1), lambda n: spin())
    assert "no answer within 1 s" in verdict.text
    assert time.monotonic() - began < 1.8


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no timer signal")
async def test_a_computer_that_slept_is_not_the_answers_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(judge.__globals__, "LONGEST_STANDSTILL_SECONDS", 0.2)

    async def check_over_night(answer: object) -> None:
        mine = os.getpid()
        night = f"kill -STOP {mine}; sleep 0.5; kill -CONT {mine}"
        for _ in range(3):
            await (await asyncio.create_subprocess_shell(night)).wait()

    assert (await judge(exercise(check=check_over_night, time_limit_seconds=60), 7)).passed


def spin() -> None:
    while True:
        try:
            sum(range(1000))
        except Exception:  # noqa: BLE001  (what a careless learner writes)
            continue


async def test_interrupting_the_cell_still_stops_it() -> None:
    async def check_waiting(answer: object) -> None:
        await asyncio.Event().wait()

    running = asyncio.ensure_future(judge(exercise(check=check_waiting, time_limit_seconds=60), 7))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_check_gets_what_it_needs_from_the_notebook() -> None:
    async def check_with(answer: object, database: object) -> None:
        if database != "the database":
            raise NotYet(seen=str(database), expected="the database", hint=1)

    assert (await judge(exercise(check=check_with, given=("db",)), 7, "the database")).passed


async def test_sql_without_the_table_is_told_so(database_url: str) -> None:
    async with await open_database("months", url=database_url) as db:
        verdict = await judge(find("11.2"), "SELECT 1", db)
    assert "seen:     SQL that makes no table `events`" in verdict.text


def test_an_exercise_reads_as_four_cells() -> None:
    task, stub, check, details = exercise(given=("db",)).cells
    assert task == ("markdown", "### Exercise 1: Double it\n\nFill in `double`.")
    assert stub == ("code", STUB.strip())
    assert check == ("code", 'await check_exercise("90.1", double, db)')
    assert details[1].count("<details>") == details[1].count("</details>") == 3
    assert "```python\ndef double(n):\n    return n * 2\n```" in details[1]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"solutions": ("def double(n): return n * 2",)}, "two solutions and three wrong"),
        ({"wrong": ()}, "two solutions and three wrong"),
        ({"wrong": (Wrong("double = 1", 3),) * 3}, "a hint that is not there"),
        ({"stub": "def double(:"}, "invalid syntax"),
    ],
)
def test_an_unfinished_exercise_is_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises((ValueError, SyntaxError), match=complaint):
        exercise(**change)


async def test_an_unknown_exercise_is_the_authors_mistake() -> None:
    with pytest.raises(LookupError, match=r"no exercise 90\.1"):
        await check_exercise("90.1", 7)
    with pytest.raises(LookupError):
        find("11.99")
