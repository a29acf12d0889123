"""The experiments of a notebook fail when what they claim is not so."""

import asyncio
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import BaseModel, ValidationError

from tutorial_support.lab import (
    Clock,
    Ids,
    Steps,
    background,
    check,
    eventually,
    expect,
    in_a_process,
    race,
)


def test_a_true_claim_is_printed_with_a_tick(capsys: pytest.CaptureFixture[str]) -> None:
    check("every event is stored", [1] == [1])
    assert capsys.readouterr().out == "✓ every event is stored\n"


def test_a_false_claim_fails_by_its_name() -> None:
    with pytest.raises(AssertionError, match="every event is stored"):
        check("every event is stored", [])


@pytest.mark.parametrize("forgotten", [lambda: True, str.isalpha])
def test_a_claim_that_was_never_evaluated_is_refused(forgotten: object) -> None:
    with pytest.raises(TypeError, match="needs a value"):
        check("the function was called", forgotten)


async def test_a_claim_that_was_never_awaited_is_refused() -> None:
    async def stored() -> bool:
        return False

    forgotten = stored()
    with pytest.raises(TypeError, match="await the coroutine"):
        check("the event is stored", forgotten)
    forgotten.close()


def test_an_expected_error_is_one_stable_line(capsys: pytest.CaptureFixture[str]) -> None:
    with expect(ValueError, match="version") as caught:
        raise ValueError(f"version 3 of {UUID(int=5)}\nBackground: none")
    assert capsys.readouterr().out == "ValueError: version 3 of 00000000\n"
    assert isinstance(caught.error, ValueError)


def test_a_refused_model_says_which_fields_are_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    class Parcel(BaseModel):
        grams: int
        to: str

    with expect(ValidationError):
        Parcel(grams="many")  # type: ignore[arg-type,call-arg]  # the mistake under test
    told = " ".join(capsys.readouterr().out.split())
    assert told == (
        "ValidationError: Parcel: grams: Input should be a valid integer, unable to parse string "
        "as an integer; to: Field required"
    )


async def test_expect_works_around_await() -> None:
    async with expect(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.Event().wait()


def test_expect_fails_when_nothing_is_raised() -> None:
    nothing = pytest.raises(AssertionError, match="Expected ValueError or KeyError, but nothing")
    with nothing, expect((ValueError, KeyError)):
        pass


def test_expect_fails_on_another_error_and_keeps_it_as_the_cause() -> None:
    other = pytest.raises(AssertionError, match="but got KeyError: 'x'")
    with other as failure, expect(ValueError):
        raise KeyError("x")
    assert isinstance(failure.value.__cause__, KeyError)


def test_expect_fails_on_another_message() -> None:
    other = pytest.raises(AssertionError, match="matching 'version'")
    with other, expect(ValueError, match="version"):
        raise ValueError("something else")


def test_expect_lets_an_interrupt_through() -> None:
    with pytest.raises(KeyboardInterrupt), expect(ValueError):
        raise KeyboardInterrupt


async def test_eventually_returns_what_the_condition_gave() -> None:
    seen: list[int] = []
    asyncio.get_running_loop().call_later(0.05, seen.append, 7)
    assert await eventually(lambda: seen) == [7]


async def test_eventually_takes_an_async_condition() -> None:
    async def found() -> str:
        return "yes"

    assert await eventually(found) == "yes"


async def test_eventually_says_what_it_waited_for_and_saw_last() -> None:
    with pytest.raises(AssertionError, match=r"Waited 0.05 s for three events; .* was 0"):
        await eventually(lambda: 0, timeout_seconds=0.05, what="three events")


async def test_a_race_tells_winners_from_losers_in_the_order_they_ended() -> None:
    first = asyncio.Event()

    async def fast() -> str:
        first.set()
        return "mine"

    async def late() -> str:
        await first.wait()
        raise KeyError("taken")

    result = await race({"Bob": late(), "Alice": fast()}, loses_with=KeyError)
    assert result.won == {"Alice": "mine"}
    assert list(result.lost) == ["Bob"]
    assert [(step.session, step.error) for step in result.steps] == [
        ("Bob", "KeyError"),
        ("Alice", ""),
    ]


async def test_a_race_does_not_take_a_bug_for_a_loser() -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await race({"Alice": broken()}, loses_with=KeyError)


def test_steps_know_who_went_on_while_another_waited() -> None:
    steps = Steps()
    alice, bob = steps.session("Alice"), steps.session("Bob")
    with expect(KeyError), bob.during("waits"):
        alice.mark("commits")
        raise KeyError
    waits, commits = steps
    assert (waits.label, waits.error) == ("waits", "KeyError")
    assert waits.began < commits.began < waits.ended


def test_ids_are_the_same_on_every_run_and_differ_within_one() -> None:
    ids, again, other = Ids(11), Ids(11), Ids(12)
    run = [ids() for _ in range(5)]
    assert run == [again() for _ in range(5)]
    assert len({*run, other()}) == 6
    assert {each.version for each in run} == {5}


def test_the_clock_ticks_in_utc() -> None:
    clock = Clock(datetime(2026, 1, 1, tzinfo=UTC), timedelta(seconds=2))
    assert [clock(), clock()] == [
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, 0, 0, 2, tzinfo=UTC),
    ]


async def test_background_work_ends_with_the_block() -> None:
    seen = []

    async def count() -> None:
        while True:
            seen.append(1)
            await asyncio.sleep(0)

    async with background(count(), count()):
        await eventually(lambda: len(seen) > 3)
    before = len(seen)
    await asyncio.sleep(0)
    assert len(seen) == before


async def test_background_work_does_not_fail_in_silence() -> None:
    async def fail() -> None:
        raise ValueError("a worm")

    with pytest.raises(ValueError, match="a worm"):
        async with background(fail()):
            await asyncio.sleep(0)


async def test_background_work_ends_when_the_block_fails() -> None:
    ended = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def fail() -> None:
        async with background(wait()):
            await asyncio.sleep(0)
            raise KeyError("x")

    with pytest.raises(KeyError):
        await fail()
    assert ended.is_set()


async def dies(path: str) -> None:
    import os
    import signal

    os.mkdir(f"{path}-{os.getpid()}")
    os.kill(os.getpid(), signal.SIGKILL)


async def returns(_: str) -> None:
    pass


async def raises(value: str) -> None:
    raise ValueError(value)


async def test_a_function_runs_and_dies_in_a_process_of_its_own(tmp_path: Path) -> None:
    assert await in_a_process(returns, "x") == 0
    assert await in_a_process(dies, str(tmp_path / "pid")) == -signal.SIGKILL
    (left,) = os.listdir(tmp_path)
    assert left != f"pid-{os.getpid()}"
    with pytest.raises(RuntimeError, match="raises failed in its process: ValueError: a worm"):
        await in_a_process(raises, "a worm")
