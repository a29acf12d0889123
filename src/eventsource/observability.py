"""The seam for tracing: spans when OpenTelemetry is installed, nothing at all otherwise."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Protocol

OTEL_AVAILABLE: Final = find_spec("opentelemetry") is not None

ATTR_AGGREGATE_ID: Final = "eventsource.aggregate.id"
ATTR_AGGREGATE_TYPE: Final = "eventsource.aggregate.type"
ATTR_EVENT_COUNT: Final = "eventsource.event.count"
ATTR_EVENT_TYPE: Final = "eventsource.event.type"
ATTR_EXPECTED_VERSION: Final = "eventsource.expected_version"
ATTR_FROM_VERSION: Final = "eventsource.from_version"

Attributes = Mapping[str, str | int | float | bool]


class Tracer(Protocol):
    """What the library asks of a tracer."""

    @property
    def enabled(self) -> bool: ...

    def span(
        self,
        name: str,
        attributes: Attributes | None = None,
        *,
        parent: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[Any]:
        """A context manager around the work; it yields the span, or None.

        `parent` are headers that `inject` gave in another process: the span continues its trace.
        """
        ...

    def inject(self) -> dict[str, str]:
        """The current trace as message headers; empty outside a trace."""
        ...


class NullTracer:
    """Traces nothing and costs nothing."""

    enabled = False
    _nothing = nullcontext()

    def span(
        self,
        name: str,
        attributes: Attributes | None = None,
        *,
        parent: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[None]:
        return self._nothing

    def inject(self) -> dict[str, str]:
        return {}


class OpenTelemetryTracer:
    """Spans of the tracer provider that is set up when the span starts."""

    enabled = True

    def __init__(self, name: str) -> None:
        # Imported here: importing eventsource must not import OpenTelemetry.
        self._tracer = import_module("opentelemetry.trace").get_tracer(name)
        self._propagate = import_module("opentelemetry.propagate")

    def span(
        self,
        name: str,
        attributes: Attributes | None = None,
        *,
        parent: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[Any]:
        context = self._propagate.extract(parent) if parent else None
        span: AbstractContextManager[Any]
        span = self._tracer.start_as_current_span(name, context=context, attributes=attributes)
        return span

    def inject(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        self._propagate.inject(headers)
        return headers


def create_tracer(name: str, enable_tracing: bool = True) -> Tracer:
    """A tracer for the module `name`: OpenTelemetry's where installed and wanted."""
    return OpenTelemetryTracer(name) if enable_tracing and OTEL_AVAILABLE else NullTracer()
