"""The seam for OpenTelemetry: spans where it is installed, nothing at all otherwise.

A repository writes the trace of a save into the metadata of its events, under `TRACE_KEY`. Whoever
handles an event, in whatever process and however much later, continues that trace.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar, Final

OTEL_AVAILABLE: Final = find_spec("opentelemetry") is not None

ATTR_AGGREGATE_ID: Final = "eventsource.aggregate.id"
ATTR_AGGREGATE_TYPE: Final = "eventsource.aggregate.type"
ATTR_EVENT_COUNT: Final = "eventsource.event.count"
ATTR_EVENT_ID: Final = "eventsource.event.id"
ATTR_EVENT_TYPE: Final = "eventsource.event.type"
ATTR_EXPECTED_VERSION: Final = "eventsource.expected_version"
ATTR_FROM_VERSION: Final = "eventsource.from_version"
ATTR_PROJECTION_NAME: Final = "eventsource.projection.name"
ATTR_REASON: Final = "eventsource.reason"

TRACE_KEY: Final = "trace"

Attributes = Mapping[str, str | int | float | bool]

_NO_SPAN: Final = nullcontext()


class Tracer:
    """What the library asks of a tracer. This one traces nothing and costs nothing."""

    enabled: ClassVar[bool] = False

    def span(
        self,
        name: str,
        attributes: Attributes | None = None,
        *,
        parent: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[Any]:
        """A context manager around the work; it yields the span, or None.

        `parent` are headers that `inject` gave elsewhere: the span continues that trace, below the
        current span if it is a part of it already.
        """
        return _NO_SPAN

    def inject(self) -> dict[str, str]:
        """The current trace as message headers; empty outside a trace."""
        return {}


NullTracer = Tracer


class OpenTelemetryTracer(Tracer):
    """Spans of the tracer provider that is set up when the span starts; none before one is."""

    enabled = True

    def __init__(self, name: str) -> None:
        # Imported here: importing eventsource must not import OpenTelemetry.
        self._trace = import_module("opentelemetry.trace")
        self._tracer = self._trace.get_tracer(name)
        self._propagate = import_module("opentelemetry.propagate")

    def span(
        self,
        name: str,
        attributes: Attributes | None = None,
        *,
        parent: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[Any]:
        if not parent and isinstance(
            self._trace.get_tracer_provider(), self._trace.ProxyTracerProvider
        ):
            return _NO_SPAN  # OpenTelemetry's own takes longer than the rest of an append's checks
        context = self._continued(parent) if parent else None
        span: AbstractContextManager[Any]
        span = self._tracer.start_as_current_span(name, context=context, attributes=attributes)
        return span

    def _continued(self, headers: Mapping[str, str]) -> Any:
        """The context to start a span in; None for the current one."""
        context = self._propagate.extract(headers)
        return None if self._trace_id(context) == self._trace_id(None) else context

    def _trace_id(self, context: Any) -> int:
        trace_id: int = self._trace.get_current_span(context).get_span_context().trace_id
        return trace_id

    def inject(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        self._propagate.inject(headers)
        return headers


def create_tracer(name: str, enable_tracing: bool = True) -> Tracer:
    """A tracer for the module `name`: OpenTelemetry's where installed and wanted."""
    return OpenTelemetryTracer(name) if enable_tracing and OTEL_AVAILABLE else NullTracer()


def trace_of(metadata: Mapping[str, Any]) -> dict[str, str]:
    """The trace that an event's metadata carries, as headers; empty if it carries none."""
    headers = metadata.get(TRACE_KEY)
    return dict(headers) if isinstance(headers, Mapping) else {}


def create_meter(enabled: bool = True) -> Any:
    """OpenTelemetry's meter of this library where installed and wanted, else None."""
    if not (enabled and OTEL_AVAILABLE):
        return None
    return import_module("opentelemetry.metrics").get_meter("eventsource")
