"""What an operator sees, through OpenTelemetry's own reader."""

import asyncio
from collections.abc import Callable
from uuid import uuid4

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from sqlalchemy.ext.asyncio import async_sessionmaker

from eventsource import (
    AggregateRepository,
    DeclarativeProjection,
    EventStore,
    EventStoreConnectionError,
    InMemoryEventStore,
    Monitor,
    OptimisticLockError,
    PostgreSQLCheckpointRepository,
    PostgreSQLEventStore,
    PostgreSQLOutboxRepository,
    SQLiteSnapshotStore,
    handles,
    monitoring,
    observability,
)
from eventsource.sqlite_database import SQLiteDatabase
from tests.shops import TILLS
from tests.shops import Till as OpenTill
from tests.till import ArticleSold, feed, sell
from tutorial_support.lab import eventually

Numbers = Callable[[], dict[str, dict[tuple[tuple[str, object], ...], float]]]


@pytest.fixture
def numbers(monkeypatch: pytest.MonkeyPatch) -> Numbers:
    """The value of each metric, by its attributes."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr(metrics, "get_meter", provider.get_meter)

    def read() -> dict[str, dict[tuple[tuple[str, object], ...], float]]:
        data = reader.get_metrics_data()
        return {
            metric.name: {
                tuple((point.attributes or {}).items()): point.value
                for point in metric.data.data_points
            }
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    return read


@pytest.fixture(params=["in-memory", "sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


class Till(DeclarativeProjection):
    @handles(ArticleSold)
    async def _see(self, event: ArticleSold) -> None:
        """Only its checkpoint counts."""


async def test_appends_and_conflicts_are_counted(numbers: Numbers, event_store: EventStore) -> None:
    till = uuid4()
    await sell(event_store, "apple", "pear", till=till)
    await sell(event_store, "plum")
    with pytest.raises(OptimisticLockError):
        await sell(event_store, "apple", till=till)
    of_tills = (("eventsource.aggregate.type", "Till"),)
    assert numbers() == {
        "eventsource.events.appended": {of_tills: 3},
        "eventsource.append.conflicts": {of_tills: 1},
    }


#: What makes a snapshot useless, and how its loads are counted. The last one leaves no table.
DAMAGES = {
    "missing": "DELETE FROM snapshots",
    "schema_mismatch": "UPDATE snapshots SET schema_version = 7",
    "deserialization_error": "UPDATE snapshots SET state = '{'",
    "state_restore_failed": """UPDATE snapshots SET state = '{"numbers": "none"}'""",
    "stream_too_short": "UPDATE snapshots SET version = 3",
    "store_error": "DROP TABLE snapshots",
}


async def test_loads_that_cannot_use_a_snapshot_are_counted_by_reason(numbers: Numbers) -> None:
    store, till = InMemoryEventStore(enable_tracing=False), OpenTill(TILLS[0])
    async with SQLiteDatabase(":memory:") as database:
        await database.initialize()
        snapshots = SQLiteSnapshotStore(database)
        tills = AggregateRepository(store, OpenTill, snapshot_store=snapshots)
        quiet = AggregateRepository(store, OpenTill, snapshot_store=snapshots, enable_tracing=False)
        till.add(1, 2)
        await tills.save(till)
        for times, damage in enumerate(DAMAGES.values(), start=1):
            await database.fetch("DELETE FROM snapshots")
            await tills.create_snapshot(till)
            await tills.load(TILLS[0])
            await database.fetch(damage)
            for repository in (*[tills] * times, quiet):
                assert (await repository.load(TILLS[0])).state == till.state
    of_tills = ("eventsource.aggregate.type", "Till")
    assert numbers() == {
        "eventsource.snapshot.misses": {
            (of_tills, ("eventsource.reason", reason)): times
            for times, reason in enumerate(DAMAGES, start=1)
        }
    }


async def test_without_opentelemetry_nothing_is_counted(
    numbers: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = InMemoryEventStore(enable_tracing=False)
    monkeypatch.setattr(observability, "OTEL_AVAILABLE", False)
    for store in (quiet, InMemoryEventStore()):
        await sell(store, "apple")
        assert (await Monitor(store).measure()).lags == {}
    assert numbers() == {}


async def test_a_reader_that_stands_still_lags_more_and_more(
    numbers: Numbers, database_url: str, engine_of: Callable
) -> None:
    engine = engine_of(database_url)
    store = PostgreSQLEventStore(async_sessionmaker(engine), outbox_enabled=True)
    checkpoints = PostgreSQLCheckpointRepository(engine)
    till = Till(checkpoints)
    await sell(store, "apple", "pear")
    await eventually(lambda: feed(store))
    await till.catch_up(store)
    await till.reset()
    await till.catch_up(store)

    outbox = PostgreSQLOutboxRepository(engine)
    monitor = Monitor(store, checkpoints, outbox)
    measured = await monitor.measure()
    assert measured.lags == {"Till": monitoring.Lag(0, 0.0)}
    assert measured.outbox is not None
    assert measured.outbox.pending_count == 2

    last = await sell(store, "plum", "plum", "plum")

    async def is_visible() -> bool:
        return await store.get_feed_end() == last.position

    await eventually(is_visible)
    first = (await monitor.measure()).lags["Till"]
    second = (await monitor.measure()).lags["Till"]
    assert (first.events, second.events) == (3, 3)
    assert 0 < first.seconds < second.seconds

    (entry, *_) = await outbox.claim(1, 60)
    await outbox.mark_failed(entry.id, "broken")
    await monitor.measure()
    shown = numbers()
    of_till = (("eventsource.projection.name", "Till"),)
    assert shown["eventsource.feed.lag"] == {of_till: 3}
    assert shown["eventsource.feed.delay"][of_till] > second.seconds
    assert shown["eventsource.outbox.pending"] == {(): 4}
    assert shown["eventsource.outbox.failed"] == {(): 1}
    assert shown["eventsource.outbox.age"][()] > 0

    await till.catch_up(store)
    assert (await monitor.measure()).lags == {"Till": monitoring.Lag(0, 0.0)}
    assert numbers()["eventsource.feed.delay"] == {of_till: 0}


async def test_a_database_out_of_reach_does_not_end_the_monitor(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monitor, tries = Monitor(InMemoryEventStore()), 0

    async def fail() -> None:
        nonlocal tries
        tries += 1
        raise EventStoreConnectionError("Nobody answers.")

    monkeypatch.setattr(monitor, "measure", fail)
    running = asyncio.create_task(monitor.run(interval_seconds=0))
    await eventually(lambda: tries > 2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()
    assert "Nothing was measured: Nobody answers." in caplog.text
