"""Whatever an answer does, the kernel lives on and nothing of the answer does."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.classroom.doubling import exercise, raising
from tutorial_support.exercises import judge


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
