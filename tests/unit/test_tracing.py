"""Spans, recorded by OpenTelemetry itself."""

from uuid import uuid4

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from eventsource import (
    AggregateRepository,
    AggregateRoot,
    DomainEvent,
    EventStore,
    InMemoryEventStore,
    OptimisticLockError,
    PostgreSQLEventStore,
    observability,
    register_event,
)
from eventsource.observability import NullTracer, OpenTelemetryTracer, create_tracer

EXPORTER = InMemorySpanExporter()


@register_event
class LampLit(DomainEvent):
    aggregate_type: str = "Lamp"


class Lamp(AggregateRoot[bool]):
    aggregate_type = "Lamp"

    def _get_initial_state(self) -> bool:
        return False

    def _apply(self, event: DomainEvent) -> None:
        self._state = True


@pytest.fixture(autouse=True)
def _provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """For one test: set_tracer_provider would be for all that come later in this process."""
    EXPORTER.clear()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(EXPORTER))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)


def spans() -> dict[str, ReadableSpan]:
    return {span.name: span for span in EXPORTER.get_finished_spans()}


async def use(store: EventStore, *, enable_tracing: bool = True) -> Lamp:
    lamps = AggregateRepository(store, Lamp, enable_tracing=enable_tracing)
    lamp = lamps.create_new(uuid4())
    lamp.apply_event(LampLit(aggregate_id=lamp.aggregate_id))
    await lamps.save(lamp)
    await lamps.load(lamp.aggregate_id)
    await lamps.exists(lamp.aggregate_id)
    return lamp


REPOSITORY = {
    "eventsource.repository.save",
    "eventsource.repository.load",
    "eventsource.repository.exists",
}


async def test_the_postgresql_store_and_the_repository_report_their_work(
    database_url: str,
) -> None:
    engine = create_async_engine(database_url)
    lamp = await use(PostgreSQLEventStore(async_sessionmaker(engine)))
    await engine.dispose()
    names = {"postgresql_event_store.append_events", "postgresql_event_store.get_events"}
    assert set(spans()) == REPOSITORY | names
    append = spans()["postgresql_event_store.append_events"]
    assert dict(append.attributes or {}) == {
        "eventsource.aggregate.id": str(lamp.aggregate_id),
        "eventsource.aggregate.type": "Lamp",
        "eventsource.event.count": 1,
        "eventsource.expected_version": 0,
    }
    save = spans()["eventsource.repository.save"]
    assert append.parent is not None
    assert append.parent.span_id == save.context.span_id


async def test_the_memory_store_reports_its_work() -> None:
    await use(InMemoryEventStore())
    names = {"inmemory_event_store.append_events", "inmemory_event_store.get_events"}
    assert set(spans()) == REPOSITORY | names


async def test_a_failure_is_on_its_span() -> None:
    store = InMemoryEventStore()
    lamp = await use(store)
    EXPORTER.clear()
    event = LampLit(aggregate_id=lamp.aggregate_id)
    with pytest.raises(OptimisticLockError):
        await store.append_events(lamp.aggregate_id, "Lamp", [event], 5)
    (report,) = spans()["inmemory_event_store.append_events"].events
    assert report.name == "exception"


async def test_tracing_can_be_switched_off() -> None:
    await use(InMemoryEventStore(enable_tracing=False), enable_tracing=False)
    assert spans() == {}


async def test_a_tracer_of_ones_own_is_used() -> None:
    class Names(NullTracer):
        seen: list[str] = []  # noqa: RUF012

        def span(self, name, attributes=None):  # type: ignore[no-untyped-def]
            self.seen.append(name)
            return super().span(name, attributes)

    await use(InMemoryEventStore(tracer=Names()), enable_tracing=False)
    assert Names.seen == [
        "inmemory_event_store.append_events",
        "inmemory_event_store.get_events",
    ]
    assert spans() == {}


def test_without_a_provider_there_is_no_span(monkeypatch: pytest.MonkeyPatch) -> None:
    tracer = create_tracer("x")
    with tracer.span("work") as span:
        assert span.is_recording()
    monkeypatch.setattr(trace, "get_tracer_provider", trace.ProxyTracerProvider)
    with tracer.span("work") as span:
        assert span is None


def test_the_tracer_is_the_one_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(create_tracer("x"), OpenTelemetryTracer)
    assert create_tracer("x").enabled
    assert type(create_tracer("x", enable_tracing=False)) is NullTracer
    assert not create_tracer("x", enable_tracing=False).enabled
    monkeypatch.setattr(observability, "OTEL_AVAILABLE", False)
    assert type(create_tracer("x")) is NullTracer
