"""What the capstone's shop is built from: ports, on whatever the check puts behind them."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from eventsource import (
    AggregateRepository,
    CheckpointRepository,
    EventBus,
    EventStore,
    OutboxRepository,
    PostgreSQLCheckpointRepository,
    PostgreSQLEventStore,
    PostgreSQLKeyRepository,
    PostgreSQLOutboxRepository,
    PostgreSQLSnapshotStore,
    PostgreSQLTimeoutRepository,
    PrivateEventStore,
    PrivateSnapshotStore,
    SnapshotStore,
    SQLiteCheckpointRepository,
    SQLiteEventStore,
    SQLiteKeyRepository,
    SQLiteOutboxRepository,
    SQLiteSnapshotStore,
    SQLiteTimeoutRepository,
    TimeoutRepository,
    Vault,
)
from eventsource.bus import (
    InMemoryEventBus,
    KafkaEventBus,
    KafkaEventBusConfig,
    RabbitMQEventBus,
    RabbitMQEventBusConfig,
    RedisEventBus,
    RedisEventBusConfig,
    RetryPolicy,
)
from eventsource.observability import Attributes, OpenTelemetryTracer
from eventsource.sqlite_database import SQLiteDatabase
from tutorial_support.services import ServiceUnavailable, is_available, open_service

SNAPSHOT_THRESHOLD = 5
RETRY = RetryPolicy(max_tries=2, first_delay_seconds=0.01)


class Recorder(OpenTelemetryTracer):
    """A tracer that keeps its spans for itself, whatever tracing the notebook has set up."""

    def __init__(self) -> None:
        super().__init__("shop")
        self.spans = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.spans))
        self._tracer = provider.get_tracer("shop")

    def span(
        self,
        name: str,
        attributes: Attributes | None = None,
        *,
        parent: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[Any]:
        context = self._continued(parent) if parent else None
        span: AbstractContextManager[Any]
        span = self._tracer.start_as_current_span(name, context=context, attributes=attributes)
        return span


@dataclass(frozen=True, kw_only=True)
class Parts:
    """`store` has an outbox, and seals and opens personal data with `vault`."""

    engine: Any  #: of the database with all the others, for a read model
    store: EventStore
    snapshots: SnapshotStore
    checkpoints: CheckpointRepository
    timeouts: TimeoutRepository
    outbox: OutboxRepository
    vault: Vault
    bus: EventBus
    clock: Callable[[], datetime]
    tracer: Recorder
    asked_for: list[type] = field(default_factory=list)  #: aggregate classes with a repository

    def repository(self, aggregate_class: Any) -> AggregateRepository[Any]:
        """A repository for these aggregates, with snapshots."""
        self.asked_for.append(aggregate_class)
        return AggregateRepository(
            self.store,
            aggregate_class,
            snapshot_store=self.snapshots,
            snapshot_threshold=SNAPSHOT_THRESHOLD,
            tracer=self.tracer,
        )


@asynccontextmanager
async def postgresql_parts(
    url: str, bus: EventBus, clock: Callable[[], datetime], tracer: Recorder
) -> AsyncIterator[Parts]:
    engine = create_async_engine(url, pool_size=10)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    vault = Vault(PostgreSQLKeyRepository(engine), Vault.new_master_key())
    store = PostgreSQLEventStore(sessions, outbox_enabled=True, tracer=tracer)
    try:
        yield Parts(
            engine=engine,
            store=PrivateEventStore(store, vault),
            snapshots=PrivateSnapshotStore(PostgreSQLSnapshotStore(sessions), vault),
            checkpoints=PostgreSQLCheckpointRepository(engine),
            timeouts=PostgreSQLTimeoutRepository(engine),
            outbox=PostgreSQLOutboxRepository(engine),
            vault=vault,
            bus=bus,
            clock=clock,
            tracer=tracer,
        )
    finally:
        await engine.dispose()


@asynccontextmanager
async def sqlite_parts(clock: Callable[[], datetime]) -> AsyncIterator[Parts]:
    """In memory, and gone afterwards."""
    database = SQLiteDatabase(":memory:")
    await database.initialize()
    vault = Vault(SQLiteKeyRepository(database), Vault.new_master_key())
    try:
        yield Parts(
            engine=database,
            store=PrivateEventStore(SQLiteEventStore(database, outbox_enabled=True), vault),
            snapshots=PrivateSnapshotStore(SQLiteSnapshotStore(database), vault),
            checkpoints=SQLiteCheckpointRepository(database),
            timeouts=SQLiteTimeoutRepository(database),
            outbox=SQLiteOutboxRepository(database),
            vault=vault,
            bus=InMemoryEventBus(),
            clock=clock,
            tracer=Recorder(),
        )
    finally:
        await database.close()


@asynccontextmanager
async def broker(tracer: Recorder, listener: Any) -> AsyncIterator[tuple[EventBus, EventBus, str]]:
    """A bus to publish to, the bus that the listener hears, and what they go over: the first
    broker that can be had, or else the memory of this process."""
    async with AsyncExitStack() as stack:
        for kind in ("redis", "kafka", "rabbitmq"):
            if not is_available(kind):
                continue
            try:
                service = await open_service(kind)
            except ServiceUnavailable:
                continue
            publishing, hearing = (_bus(kind, service, each, tracer) for each in ("shop", "ear"))
            for bus in (publishing, hearing):
                stack.push_async_callback(bus.shutdown)
            hearing.subscribe_to_all_events(listener)
            await hearing.start_consuming_in_background()
            yield publishing, hearing, {"redis": "Redis", "kafka": "Kafka"}.get(kind, "RabbitMQ")
            return
        bus = InMemoryEventBus(retry=RETRY, tracer=tracer)
        bus.subscribe_to_all_events(listener)
        yield bus, bus, "memory"


def _bus(kind: str, service: Any, group: str, tracer: Recorder) -> Any:
    if kind == "redis":
        redis = RedisEventBusConfig(
            redis_url=service.url, stream_prefix=service.name, consumer_group=group, retry=RETRY
        )
        return RedisEventBus(redis, tracer=tracer)
    if kind == "kafka":
        kafka = KafkaEventBusConfig(
            bootstrap_servers=service.url,
            topic_prefix=service.name,
            consumer_group=f"{service.name}.{group}",
            retry=RETRY,
        )
        return KafkaEventBus(kafka, tracer=tracer)
    rabbitmq = RabbitMQEventBusConfig(
        rabbitmq_url=service.url,
        exchange_name=service.name,
        consumer_group=group,
        retry=RETRY,
    )
    return RabbitMQEventBus(rabbitmq, tracer=tracer)
