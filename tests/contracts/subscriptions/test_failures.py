"""Handlers that fail, events that cannot be read, databases that are away."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from eventsource import (
    DomainEvent,
    EventDeliveryError,
    EventStoreConnectionError,
    PositionNotFoundError,
    RetryPolicy,
    Subscription,
    SubscriptionError,
    SubscriptionManager,
    SubscriptionState,
    default_registry,
    register_event,
    register_upcaster,
)
from eventsource.asyncpg_pool import executor_for
from eventsource.types import Position
from tests.contracts.subscriptions.conftest import Log, Seller, quick
from tests.till import ArticleSold, feed, sell
from tutorial_support.lab import eventually


@pytest.fixture
def errors(manager: SubscriptionManager) -> list[Exception]:
    """What the manager reports."""
    reported: list[Exception] = []
    manager.on_error(lambda _, error: reported.append(error))
    return reported


async def test_what_fails_in_every_try_is_filed_with_its_position_and_the_rest_goes_on(
    manager: SubscriptionManager, log: Log, errors: list[Exception]
) -> None:
    """T79, T81."""
    seller = Seller("worm")
    await sell(log.store, "apple", "worm", "pear")
    await log.shows(3)
    position = (await feed(log.store))[1].position
    subscription = await manager.subscribe(seller, quick())
    await manager.start()
    await seller.has("apple", "pear")
    assert seller.tries == ["apple", "worm", "worm", "pear"]
    (letter,) = await log.dead_letters.get_failed_events("Seller")
    assert letter.event_data["article"] == "worm"
    assert f"position {position}: ValueError: a rotten worm" in letter.error_message
    assert "raise ValueError" in letter.error_stacktrace
    await manager.wait_until_live()
    assert (subscription.events_processed, subscription.events_failed) == (2, 1)
    stats = manager.get_error_stats()
    assert (stats["total_errors"], stats["total_dlq_count"]) == (1, 1)
    mine = {"events_failed": 1, "dead_letters": 1, "last_error": str(subscription.last_error)}
    assert stats["subscriptions"] == {"Seller": mine}
    assert "a rotten worm" in mine["last_error"]
    assert isinstance(errors[0], EventDeliveryError)
    assert isinstance(errors[0].error, ValueError)


async def test_one_that_fails_right_after_the_checkpoint_is_filed_too(
    manager: SubscriptionManager, log: Log
) -> None:
    seller = Seller("worm", "maggot")
    await sell(log.store, "apple", "worm", "maggot", "pear")
    await log.shows(4)
    await manager.subscribe(seller, quick())
    await manager.start()
    await seller.has("apple", "pear")
    assert seller.tries == ["apple", "worm", "worm", "maggot", "maggot", "pear"]
    assert len(await log.dead_letters.get_failed_events("Seller")) == 2


@pytest.mark.parametrize("has_dead_letters", [False, True])
async def test_it_stops_with_the_cause_where_nothing_may_be_left_out(
    manager_of: Callable[..., SubscriptionManager], log: Log, has_dead_letters: bool
) -> None:
    """T87: the cause, not the state."""
    manager = manager_of(dlq_repo=log.dead_letters if has_dead_letters else None)
    seller, other = Seller("worm"), Seller()
    last = await sell(log.store, "apple", "worm", "pear")
    await log.shows(3)
    subscription = await manager.subscribe(seller, quick(continue_on_error=not has_dead_letters))
    await manager.subscribe(other, quick(), name="other")
    await manager.start()
    with pytest.raises(SubscriptionError, match="a rotten worm") as raised:
        await subscription.wait_for(SubscriptionState.LIVE)
    assert isinstance(raised.value.__cause__.error, ValueError)
    await other.has("apple", "worm", "pear")
    assert seller.sold == ["apple"]
    assert (await log.checkpoints.get_position("Seller")) < last.position
    assert await log.dead_letters.get_failed_events() == []
    health = await manager.health_check()
    assert health.status == "unhealthy"
    assert "a rotten worm" in health.subscriptions[0].last_error
    assert not (await manager.readiness_check()).ready

    seller.rotten.clear()
    await manager.start()  # again, after the cause is mended
    await seller.has("apple", "worm", "pear")
    await manager.wait_until_live()
    assert (await manager.health_check()).status == "healthy"


async def test_a_try_that_succeeds_is_no_failure(
    manager: SubscriptionManager, log: Log, errors: list[Exception]
) -> None:
    class Shaky(Seller):
        async def handle(self, event: ArticleSold) -> None:
            if self.tries.count(event.article) == 2:
                self.rotten.discard(event.article)
            await super().handle(event)

    shaky = Shaky("apple")
    await sell(log.store, "apple")
    await manager.subscribe(shaky, quick(retry=RetryPolicy(3, 0.001)))
    await manager.start()
    await shaky.has("apple")
    assert shaky.tries == ["apple"] * 3
    assert errors == []


async def test_a_failing_batch_goes_one_by_one(manager: SubscriptionManager, log: Log) -> None:
    seen: list[list[str]] = []

    class Batches:
        async def handle_batch(self, events: list[ArticleSold]) -> None:
            articles = [event.article for event in events]
            if "worm" in articles:
                raise ValueError("a worm")
            seen.append(articles)

    await sell(log.store, "apple", "worm", "pear")
    await log.shows(3)
    await manager.subscribe(Batches(), quick())
    await manager.start()
    await manager.wait_until_live()
    assert seen == [["apple"], ["pear"]]
    (letter,) = await log.dead_letters.get_failed_events()
    assert letter.event_data["article"] == "worm"


async def test_a_handler_that_hangs_is_a_failure(manager: SubscriptionManager, log: Log) -> None:
    """T80: the time limit is enforced."""

    class Slow(Seller):
        async def handle(self, event: ArticleSold) -> None:
            if event.article == "stone":
                await asyncio.sleep(3600)
            await super().handle(event)

    slow = Slow()
    await sell(log.store, "stone", "apple")
    await manager.subscribe(slow, quick(processing_timeout_seconds=0.05))
    await manager.start()
    await slow.has("apple")
    (letter,) = await log.dead_letters.get_failed_events()
    assert "took longer than 0.05 s" in letter.error_message


async def test_a_handlers_own_time_out_is_not_the_subscriptions(
    manager: SubscriptionManager, log: Log
) -> None:
    class Calling(Seller):
        async def handle(self, event: ArticleSold) -> None:
            raise TimeoutError("the bank did not answer")

    await sell(log.store, "apple")
    await manager.subscribe(Calling(), quick(processing_timeout_seconds=3600))
    await manager.start()
    (letter,) = await eventually(log.dead_letters.get_failed_events, timeout_seconds=20)
    assert "the bank did not answer" in letter.error_message


@register_event
class PriceChanged(DomainEvent):
    aggregate_type: str = "Price"
    cents: int


@pytest.fixture
def spoil() -> Iterator[Callable[[], None]]:
    """From then on, stored prices cannot be read."""

    def unreadable(data: dict) -> dict:
        raise LookupError("nobody knows this currency any more")

    yield lambda: register_upcaster("PriceChanged", from_version=1)(unreadable) and None
    default_registry._upcasters.pop("PriceChanged", None)


async def test_an_event_that_cannot_be_read_does_not_block_those_behind_it(
    manager: SubscriptionManager, log: Log, spoil: Callable[[], None], errors: list[Exception]
) -> None:
    """T13."""
    seen: list[str] = []
    await sell(log.store, "apple")
    price = PriceChanged(aggregate_id=uuid4(), cents=199)
    await log.store.append_events(price.aggregate_id, "Price", [price], 0)
    await sell(log.store, "pear")
    await log.shows(3)
    spoil()
    await manager.subscribe(lambda event: seen.append(event.article), quick(), name="all")
    await manager.start()
    await eventually(lambda: seen == ["apple", "pear"], timeout_seconds=20)
    (letter,) = await log.dead_letters.get_failed_events("all")
    assert letter.event_id == price.event_id
    assert letter.event_type == "PriceChanged"
    assert json.loads(letter.event_data["stored"])["cents"] == 199
    assert "nobody knows this currency" in letter.error_message
    assert len(errors) == 1


@pytest.mark.parametrize("payload", ['{"cents": 1}', '{"event_id": 5}', "[1]"])
@pytest.mark.parametrize("event_type", ["PriceChanged", "NobodyKnowsIt"])
async def test_what_another_program_stored_without_an_id_does_not_block_those_behind_it(
    manager: SubscriptionManager, log: Log, payload: str, event_type: str
) -> None:
    seen: list[str] = []
    run = executor_for(log.database) if isinstance(log.database, AsyncEngine) else log.database
    await (run or log.store._database).fetch(
        "INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, version, "
        "timestamp, payload, created_at) VALUES ($1, $2, 'Price', $3, 1, $4, $5, $4)",
        *(uuid4(), uuid4(), event_type, datetime.now(UTC), payload),
    )
    await sell(log.store, "pear")
    await manager.subscribe(lambda event: seen.append(event.article), quick(), name="all")
    await manager.start()
    await eventually(lambda: seen == ["pear"], timeout_seconds=20)
    (letter,) = await log.dead_letters.get_failed_events("all")
    assert letter.event_type == event_type
    assert json.loads(letter.event_data["stored"]) == json.loads(payload)
    assert "cannot be read" in letter.error_message


async def test_an_event_that_cannot_be_read_stops_who_must_not_leave_it_out(
    manager: SubscriptionManager, log: Log, spoil: Callable[[], None]
) -> None:
    seller = Seller()
    price = PriceChanged(aggregate_id=uuid4(), cents=199)
    await sell(log.store, "apple")
    await log.store.append_events(price.aggregate_id, "Price", [price], 0)
    await log.shows(2)
    spoil()
    # It asks for sales alone, so it never meets the price.
    await manager.subscribe(seller, quick(continue_on_error=False))
    strict = await manager.subscribe(
        lambda event: None, quick(continue_on_error=False), name="strict"
    )
    await manager.start()
    await seller.has("apple")
    with pytest.raises(SubscriptionError, match="nobody knows this currency"):
        await strict.wait_for(SubscriptionState.LIVE)


async def test_it_waits_out_a_database_that_is_away(
    manager: SubscriptionManager,
    log: Log,
    monkeypatch: pytest.MonkeyPatch,
    errors: list[Exception],
) -> None:
    seller, away, save = Seller(), [True], log.checkpoints.save_position

    async def may_fail(*args, **options):
        if away[0]:
            raise EventStoreConnectionError("nothing answers there")
        return await save(*args, **options)

    monkeypatch.setattr(log.checkpoints, "save_position", may_fail)
    await sell(log.store, "apple")
    subscription = await manager.subscribe(seller, quick())
    await manager.start()
    await eventually(lambda: len(errors) >= 3, timeout_seconds=20)
    assert (await manager.health_check()).status == "degraded"
    assert seller.sold == ["apple"]  # T69: its handler is not what failed
    away[0] = False
    await manager.wait_until_live()
    assert seller.sold == ["apple"]
    assert await log.checkpoints.get_position("Seller") == subscription.position
    assert subscription.events_failed == 0
    assert (await manager.health_check()).status == "healthy"


async def test_a_reset_while_a_handler_works_is_not_overtaken_by_its_checkpoint(
    manager: SubscriptionManager, log: Log
) -> None:
    class ResetsOnce(Seller):
        async def handle(self, event: ArticleSold) -> None:
            if event.article == "pear" and "pear" not in self.sold:
                await log.checkpoints.reset_checkpoint("Seller")
            await super().handle(event)

    seller = ResetsOnce()
    await manager.subscribe(seller, quick(batch_size=1), "Seller")
    await manager.start()
    await sell(log.store, "apple", "pear")
    await seller.has("apple", "pear", "apple", "pear")


async def test_a_reset_while_a_dead_letter_is_filed_is_not_overtaken(
    manager: SubscriptionManager, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event before it comes again, and then the one that was filed."""
    seller, file = Seller("worm"), log.dead_letters.add_failed_event

    async def reset_and_file(*args, **options):
        monkeypatch.undo()
        await log.checkpoints.reset_checkpoint("Seller")
        await file(*args, **options)

    monkeypatch.setattr(log.dead_letters, "add_failed_event", reset_and_file)
    await manager.subscribe(seller, quick(batch_size=1))
    await manager.start()
    await sell(log.store, "apple", "worm", "pear")
    await seller.has("apple", "apple", "pear")
    letters = await log.dead_letters.get_failed_events("Seller")
    assert {letter.event_data["article"] for letter in letters} == {"worm"}


async def test_a_checkpoint_that_the_log_does_not_have_is_an_error_that_says_so(
    manager: SubscriptionManager, log: Log
) -> None:
    await log.checkpoints.save_position("Seller", Position(0, 10**9), uuid4(), "X")
    if log.database is not None:
        await log.checkpoints.save_position("Seller", Position(10**9, 10**9), uuid4(), "X")
    subscription = await manager.subscribe(Seller(), quick())
    await manager.start()
    with pytest.raises(SubscriptionError, match="has no event at position") as raised:
        await subscription.wait_for(SubscriptionState.LIVE)
    assert isinstance(raised.value.__cause__, PositionNotFoundError)


async def test_a_failing_error_callback_stops_nothing(
    manager: SubscriptionManager, log: Log, errors: list[Exception]
) -> None:
    async def broken(subscription: Subscription, error: Exception) -> None:
        raise RuntimeError("the pager is broken")

    manager.on_error(broken)
    seller = Seller("worm")
    await sell(log.store, "worm", "apple")
    await manager.subscribe(seller, quick())
    await manager.start()
    await seller.has("apple")
    assert len(errors) == 1
