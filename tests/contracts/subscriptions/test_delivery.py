"""What a subscriber gets: every event, in order, first those of the past and then the new ones."""

import asyncio
from collections.abc import Callable
from uuid import uuid4

import pytest

from eventsource import (
    InMemoryEventBus,
    SubscriptionAlreadyExistsError,
    SubscriptionManager,
    SubscriptionState,
)
from tests.contracts.subscriptions.conftest import Log, Seller, quick
from tests.till import ArticleSold, TillClosed, sell
from tutorial_support.lab import eventually


async def close_till(log: Log, times: int = 1) -> None:
    for _ in range(times):
        closed = TillClosed(aggregate_id=uuid4())
        await log.store.append_events(closed.aggregate_id, "Till", [closed], 0)


async def test_the_past_first_and_then_the_new(manager: SubscriptionManager, log: Log) -> None:
    seller = Seller()
    await sell(log.store, "apple", "pear")
    await log.shows(2)
    subscription = await manager.subscribe(seller, quick())
    assert subscription.state is SubscriptionState.STOPPED
    await manager.start()
    await manager.wait_until_live()
    assert seller.sold == ["apple", "pear"]
    await sell(log.store, "plum")
    await seller.has("apple", "pear", "plum")
    assert subscription.state is SubscriptionState.LIVE


async def test_nothing_falls_between_catch_up_and_live_while_writers_go_on(
    manager: SubscriptionManager, log: Log
) -> None:
    """T6: neither lost nor twice, whatever the page size."""
    sellers = {size: Seller() for size in (1, 7, 100)}
    await sell(log.store, *["old"] * 40)

    async def write(writer: int) -> None:
        for number in range(15):
            await sell(log.store, f"{writer}-{number}")
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for writer in range(4):
            group.create_task(write(writer))
        await manager.start()
        for size, seller in sellers.items():
            await manager.subscribe(seller, quick(batch_size=size), name=f"by {size}")
    for seller in sellers.values():
        await eventually(lambda: len(seller.sold) >= 100, timeout_seconds=30)  # noqa: B023
        assert seller.sold == sellers[1].sold
        assert sorted(seller.sold) == sorted(
            ["old"] * 40 + [f"{w}-{n}" for w in range(4) for n in range(15)]
        )


async def test_a_restart_goes_on_where_it_stopped_in_the_live_phase_too(
    manager: SubscriptionManager, manager_of: Callable[..., SubscriptionManager], log: Log
) -> None:
    """T7: what was delivered live is in the checkpoint."""
    seller = Seller()
    await manager.subscribe(seller, quick())
    await manager.start()
    await manager.wait_until_live()
    last = await sell(log.store, "apple", "pear")
    await seller.has("apple", "pear")
    await manager.stop()
    assert await log.checkpoints.get_position("Seller") == last.position

    await sell(log.store, "plum")
    successor = manager_of()
    await successor.subscribe(seller, quick())
    await successor.start()
    await seller.has("apple", "pear", "plum")


async def test_a_page_without_an_event_of_interest_is_not_the_end(
    manager: SubscriptionManager, log: Log
) -> None:
    """T8: thirty foreign events, pages of ten."""
    await close_till(log, 30)
    await sell(log.store, "apple")
    await log.shows(31)
    seller = Seller()
    await manager.subscribe(seller, quick(batch_size=10))
    await manager.start()
    await manager.wait_until_live()
    assert seller.sold == ["apple"]


async def test_the_checkpoint_follows_the_log_past_events_of_others(
    manager: SubscriptionManager, log: Log
) -> None:
    seller = Seller()
    await manager.subscribe(seller, quick())
    await manager.start()
    await sell(log.store, "apple")
    await close_till(log, 3)

    async def stands_at_the_end() -> bool:
        at, end = await log.checkpoints.get_position("Seller"), await log.store.get_feed_end()
        return at == end and end.sequence >= 4

    await eventually(stands_at_the_end, timeout_seconds=20)
    assert (await manager.health_check()).subscriptions[0].lag_events == 0
    assert seller.sold == ["apple"]


async def test_who_stands_at_the_end_saves_nothing_while_nothing_happens(
    manager: SubscriptionManager, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, read_all = log.checkpoints.save_position, log.store.read_all
    saves, reads = [], []
    monkeypatch.setattr(
        log.checkpoints,
        "save_position",
        lambda *place, **more: saves.append(place) or save(*place, **more),
    )
    monkeypatch.setattr(
        log.store, "read_all", lambda options: reads.append(options) or read_all(options)
    )
    await sell(log.store, "apple")
    await close_till(log)
    await log.shows(2)
    await manager.subscribe(Seller(), quick(poll_interval_seconds=0.01))
    await manager.start()
    await manager.wait_until_live()
    end = await log.store.get_feed_end()
    assert await log.checkpoints.get_position("Seller") == end
    saves.clear()
    reads.clear()
    await eventually(lambda: len(reads) > 6, timeout_seconds=20)
    assert saves == []


async def test_filters_are_part_of_the_query(
    manager: SubscriptionManager, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T10: the rows of other tenants are not even read, in catch-up as when live."""
    asked, read_all = [], log.store.read_all
    monkeypatch.setattr(
        log.store, "read_all", lambda options: (asked.append(options), read_all(options))[1]
    )
    tenant, other, seller = uuid4(), uuid4(), Seller()
    await sell(log.store, "apple", tenant_id=tenant)
    await sell(log.store, "pear", tenant_id=other)
    await sell(log.store, "plum")
    config = quick(tenant_id=tenant, event_types=[ArticleSold], aggregate_types=["Till"])
    await manager.subscribe(seller, config)
    await manager.start()
    await manager.wait_until_live()
    await sell(log.store, "quince", tenant_id=other)
    await sell(log.store, "cherry", tenant_id=tenant)
    await seller.has("apple", "cherry")
    pages = [options for options in asked if options.limit == config.batch_size]
    assert pages
    assert {each.tenant_id for each in pages} == {tenant}
    assert {frozenset(each.event_types) for each in pages} == {frozenset({"ArticleSold"})}
    assert {tuple(each.aggregate_types) for each in pages} == {("Till",)}


async def test_only_its_aggregate_types(manager: SubscriptionManager, log: Log) -> None:
    seller = Seller()
    await sell(log.store, "apple")
    await log.shows(1)
    await manager.subscribe(seller, quick(aggregate_types=["Market"]))
    await manager.start()
    await manager.wait_until_live()
    assert seller.sold == []


async def test_event_types_of_the_config_win_over_the_subscribers(
    manager: SubscriptionManager, log: Log
) -> None:
    seller = Seller()
    await sell(log.store, "apple")
    await log.shows(1)
    await manager.subscribe(seller, quick(event_types=[TillClosed]))
    await manager.start()
    await manager.wait_until_live()
    assert seller.sold == []


async def test_reads_are_bounded_by_the_page(
    manager: SubscriptionManager, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T9: constant memory, however long the log is."""
    limits, read_all = [], log.store.read_all
    monkeypatch.setattr(
        log.store, "read_all", lambda options: (limits.append(options.limit), read_all(options))[1]
    )
    seller = Seller()
    await sell(log.store, *["apple"] * 50)
    await log.shows(50)
    limits.clear()
    await manager.subscribe(seller, quick(batch_size=5))
    await manager.start()
    await manager.wait_until_live()
    assert len(seller.sold) == 50
    assert None not in limits
    assert max(limits) == 5


async def test_from_the_end_only_what_is_new_also_after_a_restart(
    manager_of: Callable[..., SubscriptionManager], log: Log
) -> None:
    seller = Seller()
    await sell(log.store, "old")
    await log.shows(1)
    for article in ("apple", "pear"):
        manager = manager_of()
        await manager.subscribe(seller, quick(start_from="end"))
        await manager.start()
        await manager.wait_until_live()
        await manager.stop()
        await sell(log.store, article)  # while it is down
    manager = manager_of()
    await manager.subscribe(seller, quick(start_from="end"))
    await manager.start()
    await seller.has("apple", "pear")


async def test_from_a_position(manager: SubscriptionManager, log: Log) -> None:
    seller = Seller()
    first = await sell(log.store, "apple")
    await sell(log.store, "pear")
    await log.shows(2)
    await manager.subscribe(seller, quick(start_from=first.position))
    await manager.start()
    await seller.has("pear")


async def test_the_bus_is_only_a_wake_up(
    manager_of: Callable[..., SubscriptionManager], log: Log
) -> None:
    """T11: what is published is not what is delivered, and what nobody announced comes too."""
    bus, seller = InMemoryEventBus(), Seller()
    manager = manager_of(bus)
    await manager.subscribe(seller, quick(poll_interval_seconds=60))
    await manager.start()
    await manager.wait_until_live()
    await sell(log.store, "silent")
    await sell(log.store, "loud")
    await bus.publish([TillClosed(aggregate_id=uuid4())])  # stored by nobody, so never delivered
    await seller.has("silent", "loud")


async def test_subscribing_while_running_starts_it(manager: SubscriptionManager, log: Log) -> None:
    """T82."""
    seller = Seller()
    await sell(log.store, "apple")
    async with manager:
        await manager.subscribe(seller, quick())
        await seller.has("apple")
        with pytest.raises(SubscriptionAlreadyExistsError, match="Seller"):
            await manager.subscribe(Seller())
        assert await manager.unsubscribe("Seller")
        assert not await manager.unsubscribe("Seller")
        await sell(log.store, "pear")
        await manager.subscribe(seller, quick())
        await seller.has("apple", "pear")
    assert not manager.is_running


async def test_handlers_of_every_form(manager: SubscriptionManager, log: Log) -> None:
    """T85: a plain function, a plain method, and batches, live as in catch-up."""
    plain, batches = [], []

    class Plain:
        def handle(self, event: ArticleSold) -> None:
            plain.append(event.article)

    class Batches:
        async def handle_batch(self, events: list[ArticleSold]) -> None:
            batches.append([event.article for event in events])

    def function(event: ArticleSold) -> None:
        plain.append(event.article)

    await sell(log.store, "apple", "pear", "plum")
    await log.shows(3)
    for subscriber in (Plain(), Batches(), function):
        await manager.subscribe(subscriber, quick(batch_size=2))
    assert [one.name for one in manager.subscriptions] == ["Plain", "Batches", "function"]
    await manager.start()
    await manager.wait_until_live()
    assert batches == [["apple", "pear"], ["plum"]]
    await sell(log.store, "quince")
    await eventually(lambda: len(plain) == 8 and len(batches) == 3, timeout_seconds=20)
    assert manager.get_error_stats()["total_errors"] == 0
    with pytest.raises(TypeError, match="handle"):
        await manager.subscribe(7)
