"""Whatever a learner hands in, the answer is a verdict and a hint, never an error."""

import asyncio
import linecache
from typing import Any

import pytest

from tests.classroom.doubling import STUB, exercise, raising
from tutorial_support.database import open_database
from tutorial_support.exercises import NotYet, Wrong, check_exercise, judge
from tutorial_support.exercises import find_exercise as find


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


async def test_an_error_is_told_with_its_line_in_the_notebook() -> None:
    source = "def double(number):\n    return number['twice']\n"
    linecache.cache["<cell>"] = len(source), None, source.splitlines(keepends=True), "<cell>"
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, "<cell>", "exec"), names)
    verdict = await judge(exercise(), names["double"])
    told = "TypeError: 'int' object is not subscriptable, in line 2: return number['twice']"
    assert told in " ".join(verdict.text.split())


async def test_an_answer_as_long_as_a_book_is_cut() -> None:
    verdict = await judge(exercise(), lambda number: "word " * 10_000)
    assert len(verdict.text) < 1000


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
