"""One trace, from the command to the last handler: the events carry it."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from eventsource import (
    AggregateRepository,
    AggregateRoot,
    DeclarativeProjection,
    DomainEvent,
    InMemoryEventBus,
    InMemoryEventStore,
    handles,
    register_event,
)
from eventsource.bus.message import to_message
from eventsource.observability import NullTracer, OpenTelemetryTracer, trace_of


@register_event
class BellRung(DomainEvent):
    aggregate_type: str = "Bell"


class Bell(AggregateRoot[bool]):
    aggregate_type = "Bell"

    def _get_initial_state(self) -> bool:
        return False

    def _apply(self, event: DomainEvent) -> None:
        self._state = True

    def ring(self) -> None:
        version = self.get_next_version()
        self.apply_event(BellRung(aggregate_id=self.aggregate_id, aggregate_version=version))


class Listener(DeclarativeProjection):
    @handles(BellRung)
    async def _hear(self, event: BellRung) -> None:
        """Only its span counts."""


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


async def ring(store: InMemoryEventStore, **options: object) -> BellRung:
    """The event as it is stored."""
    bells, bell_id = AggregateRepository(store, Bell, **options), uuid4()
    await bells.update(bell_id, Bell.ring, create=True, command_id=uuid4())
    (event,) = (await store.get_events(bell_id, "Bell")).events
    assert isinstance(event, BellRung)
    return event


def trace_id(span: ReadableSpan) -> int:
    return span.context.trace_id


async def test_an_event_carries_the_trace_of_its_save(exporter: InMemorySpanExporter) -> None:
    event = await ring(InMemoryEventStore())
    save = by_name(exporter)["eventsource.repository.save"]
    number, span = save.context.trace_id, save.context.span_id
    (header,) = trace_of(event.metadata).items()
    assert header[0] == "traceparent"
    assert header[1].startswith(f"00-{number:032x}-{span:016x}-")


async def test_a_saved_event_is_published_with_its_trace(exporter: InMemorySpanExporter) -> None:
    bus, heard = InMemoryEventBus(), []
    bus.subscribe(BellRung, heard.append)
    event = await ring(InMemoryEventStore(), event_publisher=bus)
    assert heard == [event]


async def test_without_tracing_events_stay_as_they_are(exporter: InMemorySpanExporter) -> None:
    event = await ring(InMemoryEventStore(), enable_tracing=False)
    assert event.metadata == {}


async def test_a_projection_continues_the_trace_much_later(
    exporter: InMemorySpanExporter,
) -> None:
    store = InMemoryEventStore()
    await ring(store)
    await Listener(enable_tracing=True).catch_up(store)
    spans = by_name(exporter)
    save, handle = spans["eventsource.repository.save"], spans["eventsource.projection.handle"]
    assert trace_id(handle) == trace_id(save)
    assert handle.parent is not None
    assert handle.parent.span_id == save.context.span_id


async def test_a_message_continues_the_trace_of_its_event_and_not_of_the_publisher(
    exporter: InMemorySpanExporter,
) -> None:
    event, tracer = await ring(InMemoryEventStore()), OpenTelemetryTracer("worker")
    with tracer.span("outbox worker"):
        message = to_message(event, tracer)
    spans = by_name(exporter)
    create = spans["eventsource.event_bus.create"]
    assert trace_id(create) == trace_id(spans["eventsource.repository.save"])
    assert trace_id(create) != trace_id(spans["outbox worker"])
    assert f"{create.context.span_id:016x}" in message.headers["traceparent"]


async def test_below_a_span_of_the_same_trace_it_stays_there(
    exporter: InMemorySpanExporter,
) -> None:
    event, tracer = await ring(InMemoryEventStore()), OpenTelemetryTracer("worker")
    with tracer.span("outer", parent=trace_of(event.metadata)):
        await Listener(enable_tracing=True).handle(event)
    spans = by_name(exporter)
    handle = spans["eventsource.projection.handle"]
    assert handle.parent is not None
    assert handle.parent.span_id == spans["outer"].context.span_id


async def test_a_publisher_that_traces_nothing_hands_the_trace_on(
    exporter: InMemorySpanExporter,
) -> None:
    event = await ring(InMemoryEventStore())
    headers = to_message(event, NullTracer()).headers
    assert headers["traceparent"] == trace_of(event.metadata)["traceparent"]


@pytest.mark.parametrize("metadata", [{}, {"trace": "mine"}, {"trace": None}])
def test_other_metadata_is_no_trace(metadata: dict[str, object]) -> None:
    assert trace_of(metadata) == {}
    event = BellRung(aggregate_id=UUID(int=1), metadata=metadata)
    assert "traceparent" not in to_message(event, NullTracer()).headers
