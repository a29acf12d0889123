"""A projection as a subscriber: its checkpoint is its own, so each event counts once."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import pytest

from eventsource import RetryPolicy, StoredEvent, SubscriptionManager, handles
from eventsource.retries import HandlerFailedError
from eventsource.types import Position
from tests.contracts.subscriptions.conftest import QUICK, Log, quick
from tests.till import ArticleSold, Sold, sell
from tutorial_support.lab import eventually


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


class Fussy(Sold):
    projection_name = "Sold"
    rotten = {"worm"}  # noqa: RUF012

    @handles(ArticleSold)
    async def _count(self, transaction: Any, event: ArticleSold) -> None:
        await super()._count(transaction, event)
        if event.article in self.rotten:
            raise ValueError("a worm")


async def subscribed(manager: SubscriptionManager, log: Log, kind: type[Sold] = Sold) -> Sold:
    projection = kind(log.database, retry_policy=QUICK)
    await projection.setup()
    await manager.subscribe(projection, quick(batch_size=4))
    await manager.start()
    return projection


async def test_it_follows_and_can_be_waited_for(manager: SubscriptionManager, log: Log) -> None:
    sold = await subscribed(manager, log)
    result = await sell(log.store, "apple", "pear", "apple", "apple", "plum")
    await sold.wait_for(result.position, timeout_seconds=20)
    assert await sold.totals() == {"apple": 3, "pear": 1, "plum": 1}
    assert manager.subscriptions[0].name == "Sold"


async def test_the_event_that_fails_is_filed_and_the_others_count_once(
    manager: SubscriptionManager, log: Log
) -> None:
    sold = await subscribed(manager, log, Fussy)
    result = await sell(log.store, "apple", "worm", "apple", "pear", "worm", "apple")
    await sold.wait_for(result.position, timeout_seconds=20)
    assert await sold.totals() == {"apple": 3, "pear": 1}
    letters = await log.dead_letters.get_failed_events("Sold")
    assert [letter.event_data["article"] for letter in letters] == ["worm", "worm"]
    await manager.wait_until_live()
    subscription = manager.get_subscription("Sold")
    assert (subscription.events_processed, subscription.events_failed) == (4, 2)


async def test_managers_in_many_places_share_one_projection(
    manager_of: Callable[..., SubscriptionManager], log: Log
) -> None:
    managers = [manager_of() for _ in range(3)]
    for manager in managers:
        sold = await subscribed(manager, log)
    result = await sell(log.store, *["apple"] * 50)
    await sold.wait_for(result.position, timeout_seconds=20)
    assert await sold.totals() == {"apple": 50}


async def test_a_reset_while_it_runs_brings_everything_again_once(
    manager: SubscriptionManager, log: Log
) -> None:
    sold = await subscribed(manager, log)
    result = await sell(log.store, *["apple"] * 10)
    await sold.wait_for(result.position, timeout_seconds=20)
    await Sold(log.database, retry_policy=RetryPolicy()).reset()
    await eventually(lambda: has(sold, {"apple": 10}), timeout_seconds=20)
    await sold.wait_for(result.position, timeout_seconds=20)


class ResetWhileItAdvances(Sold):
    projection_name = "Sold"
    rival: Sold | None = None

    async def advance(self, batch: Sequence[StoredEvent], after: Position | None) -> bool:
        if self.rival is not None:
            rival, self.rival = self.rival, None
            await rival.reset()
        return await super().advance(batch, after)


async def test_a_reset_between_a_page_and_its_commit_is_not_overtaken(
    manager: SubscriptionManager, log: Log
) -> None:
    sold = await subscribed(manager, log, ResetWhileItAdvances)
    result = await sell(log.store, "apple")
    await sold.wait_for(result.position, timeout_seconds=20)
    sold.rival = Sold(log.database)
    await sell(log.store, "pear")
    await eventually(lambda: has(sold, {"apple": 1, "pear": 1}), timeout_seconds=20)
    assert sold.rival is None


class ThenSomethingElse(Fussy):
    """Once, between a handler's failure and what its subscription makes of it."""

    projection_name = "Sold"
    then: Callable[[], Awaitable[object]] | None = None

    async def advance(self, batch: Sequence[StoredEvent], after: Position | None) -> bool:
        try:
            return await super().advance(batch, after)
        except HandlerFailedError:
            if self.then is not None:
                then, self.then = self.then, None
                await then()
            raise


async def follow_and_then(
    manager: SubscriptionManager, log: Log, then: Callable[[], Awaitable[object]]
) -> tuple[Sold, Position]:
    """A projection that fails at the second of three events, all of them in its first page."""
    sold = ThenSomethingElse(log.database, retry_policy=QUICK)
    sold.then = then
    await sold.setup()
    result = await sell(log.store, "apple", "worm", "pear")
    await log.shows(3)
    await manager.subscribe(sold, quick())
    await manager.start()
    return sold, result.position


async def test_a_reset_after_a_failure_files_no_other_event_in_its_place(
    manager: SubscriptionManager, log: Log
) -> None:
    sold, last = await follow_and_then(manager, log, Sold(log.database).reset)
    await sold.wait_for(last, timeout_seconds=20)
    assert await sold.totals() == {"apple": 1, "pear": 1}
    letters = await log.dead_letters.get_failed_events("Sold")
    assert [letter.event_data["article"] for letter in letters] == ["worm"]


async def test_a_failure_at_an_event_that_a_rival_has_handled_is_none(
    manager: SubscriptionManager, log: Log
) -> None:
    rival = Sold(log.database)
    sold, last = await follow_and_then(manager, log, partial(rival.catch_up, log.store))
    await sold.wait_for(last, timeout_seconds=20)
    await manager.wait_until_live()
    assert await sold.totals() == {"apple": 1, "worm": 1, "pear": 1}
    assert await log.dead_letters.get_failed_events("Sold") == []


async def has(sold: Sold, totals: dict[str, int]) -> bool:
    return await sold.totals() == totals
