"""Settings and states of a subscription; leaders that cannot be."""

import asyncio
import math
from contextlib import suppress
from itertools import product
from typing import Any
from unittest.mock import AsyncMock

import pytest

from eventsource import (
    DomainEvent,
    InMemoryEventStore,
    PostgreSQLLeader,
    Subscription,
    SubscriptionConfig,
    SubscriptionConfigError,
    SubscriptionError,
    SubscriptionState,
    SubscriptionStateError,
)
from eventsource.exceptions import DatabaseError
from eventsource.observability import create_tracer
from eventsource.subscriptions.config import type_names
from eventsource.subscriptions.crew import Crew
from eventsource.subscriptions.health import lag_between
from eventsource.subscriptions.runner import Runner
from eventsource.types import Position

S = SubscriptionState


class Wish(DomainEvent):
    aggregate_type: str = "Wish"


class BigWish(Wish): ...


class NamedWish(BigWish):
    event_type: str = "wish.named"
    suppress_event_type_warning = True


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"start_from": "checkpoint"}, "start_from is 'beginning', 'end' or a Position"),
        ({"start_from": 7}, "start_from"),
        ({"batch_size": 0}, "batch_size must be more than 0"),
        ({"batch_size": 1.5}, "batch_size is a number of events"),
        ({"batch_size": "100"}, "batch_size is a number of events"),
        ({"poll_interval_seconds": math.nan}, "poll_interval_seconds"),
        ({"processing_timeout_seconds": "30"}, "processing_timeout_seconds"),
        ({"poll_interval_seconds": 0}, "poll_interval_seconds"),
        ({"processing_timeout_seconds": -1}, "processing_timeout_seconds"),
        ({"aggregate_types": "Order"}, "collection of names"),
        ({"event_types": Wish}, "collection of classes"),
        ({"event_types": ["Wish"]}, "no event class"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(
    settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(SubscriptionConfigError, match=complaint):
        SubscriptionConfig(**settings)


def test_a_class_stands_for_its_subclasses_by_the_names_they_are_stored_under() -> None:
    assert type_names([Wish]) == {"Wish", "BigWish", "wish.named"}
    assert type_names([NamedWish]) == {"wish.named"}
    assert type_names([]) == set()
    assert type_names([DomainEvent]) is None
    assert type_names(None) is None


LEGAL = {
    S.STARTING: {S.CATCHING_UP, S.PAUSED, S.STOPPED, S.ERROR},
    S.CATCHING_UP: {S.LIVE, S.PAUSED, S.STOPPED, S.ERROR},
    S.LIVE: {S.PAUSED, S.STOPPED, S.ERROR},
    S.PAUSED: {S.CATCHING_UP, S.STOPPED, S.ERROR},
    S.STOPPED: {S.STARTING},
    S.ERROR: {S.STARTING, S.STOPPED},
}


@pytest.mark.parametrize(("before", "after"), list(product(S, S)))
def test_moves(before: S, after: S) -> None:
    subscription = Subscription("wishes", print, SubscriptionConfig())
    subscription.state = before
    if after in LEGAL[before] | {before}:
        subscription.move_to(after)
        assert subscription.state is after
    else:
        complaint = f"wishes cannot go from {before.value} to {after.value}"
        with pytest.raises(SubscriptionStateError, match=complaint):
            subscription.move_to(after)
        assert subscription.state is before


async def test_who_waits_for_a_state_hears_of_an_error_instead() -> None:
    subscription = Subscription("wishes", print, SubscriptionConfig())
    subscription.begin()
    waiting = asyncio.create_task(subscription.wait_for(S.LIVE))
    await asyncio.sleep(0)
    subscription.last_error = ValueError("a bad wish")
    subscription.move_to(S.ERROR)
    with pytest.raises(SubscriptionError, match="a bad wish") as raised:
        await waiting
    assert raised.value.__cause__ is subscription.last_error
    subscription.begin()
    with pytest.raises(TimeoutError):
        await subscription.wait_for(S.LIVE, timeout_seconds=0.01)


def test_lag_is_zero_at_the_end_and_never_before() -> None:
    assert lag_between(None, Position.START) == 0
    assert lag_between(None, Position(7, 3)) == 3
    assert lag_between(Position(7, 3), Position(7, 3)) == 0
    assert lag_between(Position(7, 5), Position(8, 4)) == 1  # numbers out of order
    assert lag_between(Position(7, 3), None) is None


@pytest.mark.parametrize("setting", ["retry_seconds", "check_seconds"])
def test_a_leader_that_never_waits_is_refused(setting: str) -> None:
    with pytest.raises(ValueError, match=setting):
        PostgreSQLLeader(None, "x", **{setting: 0})


async def test_candidates_ask_about_as_often_as_they_were_told_and_not_all_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    leader = PostgreSQLLeader(None, "x", retry_seconds=100)
    for _ in range(200):
        await leader._pause()
    assert 80 <= min(pauses) < 90
    assert 110 < max(pauses) <= 120


async def test_a_task_that_swallows_its_cancellation_is_cancelled_again() -> None:
    """Or it would go on when this process leads no longer, and nobody would compete again."""
    works = asyncio.Event()

    async def work(_: Subscription) -> None:
        works.set()
        with suppress(asyncio.CancelledError):  # as a driver does now and then
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    crew, subscription = Crew(work), Subscription("s", print, SubscriptionConfig())
    crew.subscriptions["s"] = subscription
    subscription.begin()
    serving = asyncio.create_task(crew.serve())
    await works.wait()
    serving.cancel()
    await asyncio.wait([serving], timeout=20)
    assert serving.cancelled()
    assert not crew.has_task(subscription)
    assert subscription.state is S.STARTING


async def test_trouble_with_the_database_does_not_hide_a_cancellation() -> None:
    waits, asked = asyncio.Event(), 0

    class DyingTarget:
        async def get_position(self) -> Position | None:
            nonlocal asked
            asked += 1
            waits.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise DatabaseError("no connection to roll back on") from None

    subscription, reported = Subscription("s", print, SubscriptionConfig()), AsyncMock()
    subscription.begin()
    runner = Runner(
        subscription,
        DyingTarget(),
        InMemoryEventStore(),
        None,
        report=reported,
        tracer=create_tracer("test", enable_tracing=False),
    )
    running = asyncio.create_task(runner.run())
    await waits.wait()
    running.cancel()
    await asyncio.wait([running], timeout=20)
    assert running.cancelled()
    assert asked == 1
    reported.assert_not_called()
