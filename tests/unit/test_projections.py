"""Projections in memory: what is processed, tried again, filed, and passed over."""

import asyncio
from uuid import UUID, uuid4

import pytest

from eventsource import DomainEvent, InMemoryEventStore, Position
from eventsource.exceptions import (
    DuplicateHandlerError,
    HandlerSignatureError,
    ProjectionLagError,
)
from eventsource.projections import (
    CheckpointTrackingProjection,
    DatabaseProjection,
    DeclarativeProjection,
    RetryPolicy,
    handles,
)
from eventsource.repositories.checkpoint import InMemoryCheckpointRepository
from eventsource.repositories.dlq import InMemoryDLQRepository
from tests.till import ArticleSold, TillClosed, feed, sell

AT_ONCE = RetryPolicy(max_tries=3, first_delay_seconds=0)


class Basket(DeclarativeProjection):
    """Remembers articles, and whether they came by replay; fails as often as it is told."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self.articles: list[str] = []
        self.mails: list[str] = []
        self.failures: dict[str, int] = {}
        self.tries = 0

    @handles(ArticleSold)
    async def _put(self, event: ArticleSold) -> None:
        self.tries += 1
        if self.failures.get(event.article, 0) > 0:
            self.failures[event.article] -= 1
            raise ValueError(f"cannot sell {event.article}")
        self.articles.append(event.article)
        if not self.is_replaying:
            self.mails.append(event.article)

    async def _truncate_read_models(self) -> None:
        self.articles.clear()


@pytest.fixture
def store() -> InMemoryEventStore:
    return InMemoryEventStore()


async def test_catching_up_processes_each_event_once_in_order(store: InMemoryEventStore) -> None:
    basket = Basket()
    await sell(store, "apple", "pear")
    assert await basket.catch_up(store) == 2
    await sell(store, "plum")
    assert await basket.catch_up(store, batch_size=1) == 1
    assert await basket.catch_up(store) == 0
    assert basket.articles == ["apple", "pear", "plum"]


async def test_the_checkpoint_moves_over_events_of_no_interest(store: InMemoryEventStore) -> None:
    basket, till = Basket(), uuid4()
    result = await store.append_events(till, "Till", [TillClosed(aggregate_id=till)], 0)
    await basket.catch_up(store)
    assert basket.tries == 0
    assert await basket.get_position() == result.position
    assert await basket.get_checkpoint() == str((await feed(store))[0].event_id)


async def test_a_stored_event_delivered_again_is_passed_over(store: InMemoryEventStore) -> None:
    basket = Basket()
    await sell(store, "apple", "pear")
    first, second = await feed(store)
    for stored in (first, second, first, second):
        await basket.handle(stored)
    assert basket.articles == ["apple", "pear"]


async def test_a_bare_event_is_processed_and_leaves_the_position(
    store: InMemoryEventStore,
) -> None:
    basket = Basket()
    event = ArticleSold(aggregate_id=uuid4())
    await basket.handle(event)
    assert basket.articles == ["apple"]
    assert await basket.get_checkpoint() == str(event.event_id)
    assert await basket.get_position() is None


async def test_a_failing_handler_is_tried_again(store: InMemoryEventStore) -> None:
    dead_letters = InMemoryDLQRepository()
    basket = Basket(None, dead_letters, AT_ONCE)
    basket.failures["apple"] = 2
    await sell(store, "apple")
    await basket.catch_up(store)
    assert (basket.articles, basket.tries) == (["apple"], 3)
    assert await dead_letters.get_failed_events() == []


async def test_an_event_that_keeps_failing_is_filed_and_stops_the_projection(
    store: InMemoryEventStore,
) -> None:
    dead_letters = InMemoryDLQRepository()
    basket = Basket(None, dead_letters, AT_ONCE)
    basket.failures["pear"] = 100
    await sell(store, "apple", "pear", "plum")
    with pytest.raises(ValueError, match="cannot sell pear"):
        await basket.catch_up(store)
    first, second, _ = await feed(store)
    assert basket.articles == ["apple"]
    assert await basket.get_position() == first.position
    (entry,) = await dead_letters.get_failed_events("Basket")
    assert (entry.event_id, entry.retry_count) == (second.event_id, 3)
    assert entry.event_data == second.event.to_dict()
    assert "cannot sell pear" in entry.error_message
    assert "_put" in entry.error_stacktrace

    basket.failures.clear()
    assert await basket.catch_up(store) == 2
    assert basket.articles == ["apple", "pear", "plum"]


async def test_an_error_that_no_other_try_can_cure_is_filed_at_once(
    store: InMemoryEventStore,
) -> None:
    dead_letters = InMemoryDLQRepository()
    transient = RetryPolicy(3, 0, retry_on=lambda error: not isinstance(error, ValueError))
    basket = Basket(None, dead_letters, transient)
    basket.failures["apple"] = 1
    await sell(store, "apple")
    with pytest.raises(ValueError, match="cannot sell apple"):
        await basket.catch_up(store)
    (entry,) = await dead_letters.get_failed_events("Basket")
    assert (basket.tries, entry.retry_count) == (1, 1)


async def test_dead_letters_that_fail_do_not_hide_the_handlers_error(
    store: InMemoryEventStore, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(InMemoryDLQRepository):
        async def add_failed_event(self, *args: object, **options: object) -> None:
            raise OSError("disk full")

    basket = Basket(None, Full(), AT_ONCE)
    basket.failures["apple"] = 100
    await sell(store, "apple")
    with pytest.raises(ValueError, match="cannot sell apple"):
        await basket.catch_up(store)
    assert "disk full" in caplog.text


async def test_a_checkpoint_that_cannot_be_saved_is_no_failure_of_the_handler(
    store: InMemoryEventStore,
) -> None:
    class Down(InMemoryCheckpointRepository):
        async def save_position(self, *args: object, **options: object) -> bool:
            raise OSError("database down")

    dead_letters = InMemoryDLQRepository()
    basket = Basket(Down(), dead_letters, AT_ONCE)
    await sell(store, "apple")
    with pytest.raises(OSError, match="database down"):
        await basket.catch_up(store)
    assert basket.tries == 1
    assert await dead_letters.get_failed_events() == []


async def test_a_faster_rival_is_noticed_at_the_checkpoint(store: InMemoryEventStore) -> None:
    checkpoints = InMemoryCheckpointRepository()
    rival = Basket(checkpoints)

    class Slow(Basket):
        projection_name = "Basket"

        async def _process_event(self, event: DomainEvent) -> None:
            await super()._process_event(event)
            await rival.catch_up(store)

    await sell(store, "apple", "pear")
    slow = Slow(checkpoints)
    assert await slow.catch_up(store) == 0
    assert (slow.articles, rival.articles) == (["apple"], ["apple", "pear"])
    assert await slow.get_position() == (await feed(store))[-1].position


async def test_other_tenants_events_are_passed_over(store: InMemoryEventStore) -> None:
    mine, other = uuid4(), uuid4()
    for article, tenant in (("apple", mine), ("pear", other), ("plum", None)):
        await sell(store, article, tenant_id=tenant)
    last = (await feed(store))[-1].position

    async def seen(tenant_filter: object) -> list[str]:
        basket = Basket(tenant_filter=tenant_filter)
        await basket.catch_up(store)
        assert await basket.get_position() == last
        return basket.articles

    assert await seen(mine) == ["apple", "plum"]
    assert await seen(lambda: other) == ["pear", "plum"]
    assert await seen(lambda: None) == ["apple", "pear", "plum"]


async def test_a_replay_repeats_the_work_and_not_the_effects(store: InMemoryEventStore) -> None:
    basket = Basket()
    await sell(store, "apple", "pear")
    await basket.catch_up(store)
    await sell(store, "plum")
    await basket.reset()
    assert basket.articles == []
    assert await basket.get_position() is None
    await basket.reset()  # a second one forgets nothing
    await basket.catch_up(store)
    assert basket.articles == ["apple", "pear", "plum"]
    assert basket.mails == ["apple", "pear", "plum"]
    assert not basket.is_replaying


async def test_waiting_ends_when_the_position_is_reached(store: InMemoryEventStore) -> None:
    basket = Basket()
    following = asyncio.create_task(basket.follow(store, poll_interval_seconds=0.01))
    for article in ("apple", "pear"):
        result = await sell(store, article)
        await basket.wait_for(result.position)
        assert basket.articles[-1] == article
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following


async def test_waiting_for_a_projection_that_does_not_run_says_where_it_stands(
    store: InMemoryEventStore,
) -> None:
    basket = Basket()
    with pytest.raises(ProjectionLagError, match=r"Basket.*the start") as lag:
        await basket.wait_for(Position(0, 1), timeout_seconds=0)
    assert isinstance(lag.value, TimeoutError)
    await sell(store, "apple")
    await basket.catch_up(store)
    with pytest.raises(ProjectionLagError, match="it is at 0:1"):
        await basket.wait_for(Position(0, 2), timeout_seconds=0.01)


async def test_two_projections_share_a_repository_by_name(store: InMemoryEventStore) -> None:
    class Renamed(Basket):
        projection_name = "basket-v2"

    checkpoints = InMemoryCheckpointRepository()
    await sell(store, "apple")
    for projection in (Basket(checkpoints), Renamed(checkpoints)):
        assert await projection.catch_up(store) == 1
    names = [data.projection_name for data in await checkpoints.get_all_checkpoints()]
    assert names == ["Basket", "basket-v2"]


async def test_the_imperative_form_gets_the_classes_it_asks_for(
    store: InMemoryEventStore,
) -> None:
    class Closings(CheckpointTrackingProjection):
        tills: list[UUID] = []  # noqa: RUF012

        def subscribed_to(self) -> list[type[DomainEvent]]:
            return [TillClosed]

        async def _process_event(self, event: DomainEvent) -> None:
            self.tills.append(event.aggregate_id)

    till = uuid4()
    await sell(store, "apple", till=till)
    closing = TillClosed(aggregate_id=till, aggregate_version=2)
    await store.append_events(till, "Till", [closing], 1)
    projection = Closings()
    await projection.catch_up(store)
    assert projection.tills == [till]


def test_a_wrong_handler_is_refused_when_the_class_is_defined() -> None:
    with pytest.raises(HandlerSignatureError, match="async"):

        class Plain(DeclarativeProjection):
            @handles(ArticleSold)
            def _sync(self, event: ArticleSold) -> None: ...

    with pytest.raises(HandlerSignatureError, match="after self"):

        class Two(DeclarativeProjection):
            @handles(ArticleSold)
            async def _two(self, transaction: object, event: ArticleSold) -> None: ...

    with pytest.raises(DuplicateHandlerError):

        class Twice(DeclarativeProjection):
            @handles(ArticleSold)
            async def _one(self, event: ArticleSold) -> None: ...

            @handles(ArticleSold)
            async def _other(self, event: ArticleSold) -> None: ...


def test_the_name_of_one_table_is_no_tuple_of_names() -> None:
    with pytest.raises(TypeError, match=r"Totals.tables is a tuple of names: \('totals',\)"):

        class Totals(DatabaseProjection):
            tables = "totals"


def test_delays_grow_and_bad_policies_are_refused() -> None:
    policy = RetryPolicy(first_delay_seconds=1, factor=3)
    assert 0.9 <= policy.delay_seconds(1) <= 1.1
    assert 8.1 <= policy.delay_seconds(3) <= 9.9
    capped = RetryPolicy(first_delay_seconds=1, max_delay_seconds=5)
    for failures, about in {1: 1, 2: 2, 3: 4, 4: 5, 5000: 5}.items():
        assert about * 0.9 <= capped.delay_seconds(failures) <= about * 1.1
    bad = {"max_tries": 0, "first_delay_seconds": -1, "max_delay_seconds": -1, "factor": 0.5}
    for name, value in {**bad, "jitter": 2}.items():
        with pytest.raises(ValueError, match=name):
            RetryPolicy(**{name: value})


def test_jitter_spreads_the_delays() -> None:
    in_step = RetryPolicy(first_delay_seconds=1, jitter=0)
    assert {in_step.delay_seconds(3) for _ in range(20)} == {4}
    spread = [RetryPolicy(first_delay_seconds=1, jitter=1).delay_seconds(3) for _ in range(500)]
    assert 0 <= min(spread) < 1
    assert 7 < max(spread) <= 8


async def test_each_event_is_a_span(store: InMemoryEventStore) -> None:
    from contextlib import nullcontext

    class Spans:
        enabled = True
        seen: list[tuple[str, object]] = []  # noqa: RUF012

        def span(self, name: str, attributes: object = None, *, parent: object = None) -> object:
            self.seen.append((name, attributes))
            return nullcontext()

    await sell(store, "apple")
    await Basket(tracer=Spans()).catch_up(store)
    ((name, attributes),) = Spans.seen
    assert name == "eventsource.projection.handle"
    assert attributes["eventsource.projection.name"] == "Basket"
