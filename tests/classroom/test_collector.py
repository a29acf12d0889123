"""The collector takes what OpenTelemetry's own exporters send."""

import urllib.error
import urllib.request
from contextlib import suppress

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tutorial_support.collector import Collector


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_spans_arrive_as_they_were(compression: Compression) -> None:
    with Collector() as collector:
        provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
        exporter = OTLPSpanExporter(f"{collector.url}/v1/traces", compression=compression)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        tracer = provider.get_tracer("test")
        with suppress(ValueError), tracer.start_as_current_span("outer"):
            tracer.start_span("inner", attributes={"number": 7}).end()
            raise ValueError
        provider.shutdown()
        inner, outer = sorted(collector.spans, key=lambda span: span.name)
    assert (outer.service, outer.parent_id, outer.failed) == ("shop", None, True)
    assert (inner.parent_id, inner.failed) == (outer.span_id, False)
    assert inner.attributes == {"number": 7}
    assert outer.began_ns <= inner.began_ns <= inner.ended_ns <= outer.ended_ns
    assert collector.trace(outer.trace_id) == [outer, inner]
    assert collector.trace("0" * 32) == []


def test_the_last_value_of_a_metric_counts() -> None:
    with Collector() as collector:
        exporter = OTLPMetricExporter(f"{collector.url}/v1/metrics")
        provider = MeterProvider([PeriodicExportingMetricReader(exporter)])
        meter = provider.get_meter("test")
        counter, gauge = meter.create_counter("sold"), meter.create_gauge("lag")
        meter.create_histogram("seconds").record(1)
        for value in (5, 3):
            counter.add(2, {"article": "apple"})
            gauge.set(value)
            provider.force_flush()
        provider.shutdown()
    assert collector.metric("sold") == {"apple": 4}
    assert collector.metric("lag") == {"": 3}
    assert collector.metric("seconds") == collector.metric("nothing") == {}


@pytest.mark.parametrize(
    ("path", "body", "headers", "code"),
    [
        ("/v1/logs", b"", {}, 404),
        ("/v1/traces", b"\xff\xff", {}, 400),
        ("/v1/traces", b"no gzip", {"Content-Encoding": "gzip"}, 400),
    ],
)
def test_what_it_cannot_read_is_refused(
    path: str, body: bytes, headers: dict[str, str], code: int
) -> None:
    with Collector() as collector:
        request = urllib.request.Request(collector.url + path, body, headers)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=10)
        caught.value.close()
        assert caught.value.code == code
        assert collector.spans == []
