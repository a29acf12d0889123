"""Pause, resume, stop, start again; lag and health."""

import asyncio
import os
import signal
from collections.abc import Callable

import pytest

from eventsource import (
    RetryPolicy,
    SubscriptionManager,
    SubscriptionState,
    SubscriptionStateError,
)
from eventsource.subscriptions import ReadinessStatus, ShutdownPhase
from tests.contracts.subscriptions.conftest import Log, Seller, quick
from tests.till import ArticleSold, sell
from tutorial_support.lab import eventually


class Gate(Seller):
    """Waits in each handler until it is let through."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.opened = asyncio.Event(), asyncio.Event()

    async def handle(self, event: ArticleSold) -> None:
        self.entered.set()
        await self.opened.wait()
        await super().handle(event)


async def test_a_paused_subscription_keeps_nothing_and_misses_nothing(
    manager: SubscriptionManager, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T88: the log keeps what comes meanwhile."""
    reads, read_all = [], log.store.read_all
    monkeypatch.setattr(
        log.store, "read_all", lambda options: (reads.append(options), read_all(options))[1]
    )
    seller = Seller()
    subscription = await manager.subscribe(seller, quick())
    await manager.start()
    await sell(log.store, "apple")
    await seller.has("apple")
    await manager.pause_subscription("Seller")
    assert subscription.state is SubscriptionState.PAUSED
    seen = len(reads)
    await sell(log.store, *["pear"] * 5)
    manager.wake()
    await asyncio.sleep(0.1)  # time enough for two polls that must not happen
    assert seller.sold == ["apple"]
    assert len(reads) == seen
    await log.shows(6)
    assert (await manager.health_check()).subscriptions[0].lag_events >= 5
    assert (await manager.readiness_check()).ready
    await manager.resume_subscription("Seller")
    await seller.has("apple", *["pear"] * 5)
    await manager.wait_until_live()


async def test_a_pause_lets_the_event_at_hand_finish_and_no_other_begin(
    manager: SubscriptionManager, log: Log
) -> None:
    """T9: checked for each event, not for each page."""
    gate = Gate()
    await sell(log.store, "apple", "pear")
    await manager.subscribe(gate, quick())
    await manager.start()
    await gate.entered.wait()
    pausing = asyncio.create_task(manager.pause_subscription("Gate"))
    await asyncio.sleep(0)
    gate.opened.set()
    await pausing
    assert gate.sold == ["apple"]
    await manager.resume_subscription("Gate")
    await gate.has("apple", "pear")


async def test_only_what_runs_can_be_paused(manager: SubscriptionManager) -> None:
    await manager.subscribe(Seller(), quick())
    with pytest.raises(SubscriptionStateError, match="stopped"):
        await manager.pause_subscription("Seller")
    with pytest.raises(KeyError):
        await manager.pause_subscription("nobody")


async def test_a_stop_drains_and_tells_how_it_went(manager: SubscriptionManager, log: Log) -> None:
    """T84."""
    gate = Gate()
    await sell(log.store, "apple", "pear")
    await manager.subscribe(gate, quick())
    await manager.start()
    await gate.entered.wait()
    stopping = asyncio.create_task(manager.stop())
    await asyncio.sleep(0)
    gate.opened.set()
    result = await stopping
    assert (result.phase, result.forced) == (ShutdownPhase.STOPPED, False)
    assert (result.subscriptions_stopped, result.events_drained) == (1, 1)
    assert 0 <= result.duration_seconds < 30
    assert gate.sold == ["apple"]
    assert not manager.is_running


async def test_a_stop_that_takes_too_long_is_forced_and_the_event_comes_again(
    manager: SubscriptionManager, log: Log
) -> None:
    gate = Gate()
    await sell(log.store, "apple")
    subscription = await manager.subscribe(gate, quick())
    await manager.start()
    await gate.entered.wait()
    result = await manager.stop(timeout_seconds=0.05)
    assert result.forced
    assert subscription.state is SubscriptionState.STOPPED
    assert gate.sold == []
    gate.opened.set()
    await manager.start()
    await gate.has("apple")


async def test_a_paused_subscription_can_be_stopped_and_started_again(
    manager: SubscriptionManager, log: Log
) -> None:
    """T83."""
    seller = Seller()
    subscription = await manager.subscribe(seller, quick())
    await manager.start()
    await manager.wait_until_live()
    await manager.pause_subscription("Seller")
    assert not (await manager.stop()).forced
    assert subscription.state is SubscriptionState.STOPPED
    await sell(log.store, "apple")
    await manager.start()
    await seller.has("apple")
    assert (await manager.stop()).subscriptions_stopped == 1
    assert (await manager.stop()).subscriptions_stopped == 0


async def test_a_stop_interrupts_the_wait_between_two_tries(
    manager: SubscriptionManager, log: Log
) -> None:
    seller = Seller("worm")
    await sell(log.store, "worm")
    subscription = await manager.subscribe(seller, quick(retry=RetryPolicy(2, 3600)))
    await manager.start()
    await eventually(lambda: seller.tries == ["worm"], timeout_seconds=20)
    assert not (await manager.stop()).forced
    assert subscription.events_failed == 0
    assert await log.dead_letters.get_failed_events() == []


async def test_lag_is_told_while_live_and_while_behind(
    manager: SubscriptionManager, log: Log
) -> None:
    """T12."""
    gate = Gate()
    await sell(log.store, *["apple"] * 8)
    await log.shows(8)
    await manager.subscribe(gate, quick(batch_size=2))
    assert (await manager.health_check()).subscriptions[0].lag_events == 8
    await manager.start()
    await gate.entered.wait()
    assert await manager.readiness_check() == ReadinessStatus(False, "Gate is catching_up")
    gate.opened.set()
    await manager.wait_until_live()
    assert (await manager.health_check()).subscriptions[0].lag_events == 0
    gate.opened.clear()
    gate.entered.clear()
    await sell(log.store, *["pear"] * 4)
    await gate.entered.wait()
    (health,) = (await manager.health_check()).subscriptions
    assert health.state == "live"
    assert health.lag_events == 4
    gate.opened.set()


async def test_health_without_subscriptions_is_unknown(manager: SubscriptionManager) -> None:
    assert (await manager.health_check()).to_dict() == {
        "status": "unknown",
        "is_leader": False,
        "subscriptions": [],
    }
    assert await manager.readiness_check() == ReadinessStatus(False, "not running")


async def test_a_signal_drains_and_stops(manager: SubscriptionManager, log: Log) -> None:
    before = signal.getsignal(signal.SIGTERM)
    seller = Seller()
    await sell(log.store, "apple")
    await manager.subscribe(seller, quick())
    running = asyncio.create_task(manager.run_until_shutdown())
    await seller.has("apple")
    os.kill(os.getpid(), signal.SIGTERM)
    result = await running
    assert (result.forced, result.subscriptions_stopped) == (False, 1)
    assert signal.getsignal(signal.SIGTERM) is before


async def test_who_is_cancelled_while_waiting_for_a_signal_stops_too(
    manager: SubscriptionManager, log: Log
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    gate = Gate()
    await sell(log.store, "apple")
    subscription = await manager.subscribe(gate, quick())
    running = asyncio.create_task(manager.run_until_shutdown())
    await gate.entered.wait()
    running.cancel()
    gate.opened.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not manager.is_running
    assert subscription.state is SubscriptionState.STOPPED
    assert gate.sold == ["apple"]
    assert signal.getsignal(signal.SIGTERM) is before


async def test_two_who_unsubscribe_one_subscription_end_it_once(
    manager: SubscriptionManager, log: Log
) -> None:
    seller = Seller()
    await manager.subscribe(seller, quick())
    await manager.start()
    await manager.wait_until_live()
    both = await asyncio.gather(*(manager.unsubscribe("Seller") for _ in range(2)))
    assert any(both)
    assert manager.subscriptions == []


async def test_two_managers_of_one_name_without_a_leader_lose_nothing(
    manager_of: Callable[..., SubscriptionManager], log: Log
) -> None:
    sellers = [Seller(), Seller()]
    for seller in sellers:
        manager = manager_of()
        await manager.subscribe(seller, quick(batch_size=3))
        await manager.start()
    last = await sell(log.store, *map(str, range(30)))

    async def both_are_through() -> bool:
        return await log.checkpoints.get_position("Seller") == last.position

    await eventually(both_are_through, timeout_seconds=20)
    assert set(sellers[0].sold) | set(sellers[1].sold) == set(map(str, range(30)))
