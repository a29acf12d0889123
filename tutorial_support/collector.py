"""A collector of OpenTelemetry: it takes OTLP over HTTP, as an exporter sends it, and keeps it.

The real thing of this kind is the OpenTelemetry Collector; this one stores nothing and asks for
nothing to be installed.
"""

import gzip
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tutorial_support.show.waterfalls import SpanRecord

_LARGEST_BODY = 16 * 2**20
_ERROR = 2  # STATUS_CODE_ERROR of the protocol

Attributes = dict[str, Any]


class Collector:
    """Listens on a free port of this machine until `stop`; `async with` and `with` stop it too.

    `spans` and `metrics` hold what has arrived, from every process that was given the `url`.
    """

    def __init__(self) -> None:
        self.spans: list[SpanRecord] = []
        self._points: dict[str, dict[tuple[tuple[str, Any], ...], float]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.collector = self  # type: ignore[attr-defined]  # where the handler looks
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT; exporters add `/v1/traces` and `/v1/metrics`."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def trace(self, trace_id: str) -> list[SpanRecord]:
        """The spans of one trace, by the time they began."""
        found = [span for span in self.spans if span.trace_id == trace_id]
        return sorted(found, key=lambda span: span.began_ns)

    def metric(self, name: str) -> dict[str, float]:
        """The last value of a counter or gauge, by its attributes' values joined with a comma."""
        points = self._points.get(name, {})
        return {",".join(str(value) for _, value in key): points[key] for key in points}

    def stop(self) -> None:
        """Again is no error."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def take_traces(self, body: bytes) -> bytes:
        request = ExportTraceServiceRequest.FromString(body)
        self.spans += _spans(request)
        return bytes(ExportTraceServiceResponse().SerializeToString())

    def take_metrics(self, body: bytes) -> bytes:
        request = ExportMetricsServiceRequest.FromString(body)
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in [*metric.gauge.data_points, *metric.sum.data_points]:
                        key = tuple(sorted(_attributes(point.attributes).items()))
                        value = getattr(point, point.WhichOneof("value"))
                        self._points.setdefault(metric.name, {})[key] = value
        return bytes(ExportMetricsServiceResponse().SerializeToString())


def _spans(request: ExportTraceServiceRequest) -> Iterator[SpanRecord]:
    for resource in request.resource_spans:
        service = _attributes(resource.resource.attributes).get("service.name", "unknown")
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield SpanRecord(
                    name=span.name,
                    service=service,
                    began_ns=span.start_time_unix_nano,
                    ended_ns=span.end_time_unix_nano,
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex() or None,
                    trace_id=span.trace_id.hex(),
                    failed=span.status.code == _ERROR,
                    attributes=_attributes(span.attributes),
                )


def _attributes(pairs: Any) -> Attributes:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return None if kind is None else getattr(value, kind)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        collector: Collector = self.server.collector  # type: ignore[attr-defined]
        take = {"/v1/traces": collector.take_traces, "/v1/metrics": collector.take_metrics}
        if self.path not in take:
            self.send_error(404)
            return
        try:
            answer = take[self.path](self._body())
        except (DecodeError, OSError, EOFError, zlib.error, ValueError) as error:
            self.send_error(400, explain=str(error))
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _body(self) -> bytes:
        length = int(self.headers.get("Content-Length", 0))
        if not 0 <= length <= _LARGEST_BODY:
            raise ValueError(f"a body of {length} bytes")
        body = self.rfile.read(length)
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def log_message(self, *_: object) -> None:
        """A page of a notebook is no place for an access log."""
