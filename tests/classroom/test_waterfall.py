"""A waterfall draws every span below its parent, and says in words what it shows."""

from xml.etree import ElementTree as Xml

import pytest

from tutorial_support.show import SpanRecord, output, waterfall


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    shown: list[dict[str, str]] = []
    monkeypatch.setattr(output, "display", lambda data, raw: shown.append(data))
    return shown


def span(
    name: str, number: int, began: int, ended: int, parent: int | None = None, **more: object
) -> SpanRecord:
    return SpanRecord(
        name=name,
        span_id=str(number),
        parent_id=None if parent is None else str(parent),
        began_ns=began * 10**6,
        ended_ns=ended * 10**6,
        trace_id="t",
        **{"service": "shop", **more},
    )


SPANS = [
    span("late", 4, 60, 100, parent=1, service="mails"),
    span("append", 3, 12, 20, parent=2, failed=True),
    span("save <order>", 2, 10, 30, parent=1),
    span("place order", 1, 0, 100),
]


def test_each_span_stands_below_its_parent_in_order_of_time(page: list[dict[str, str]]) -> None:
    waterfall(SPANS, caption="One order")
    svg = Xml.fromstring(page[0]["text/html"]).find(".//{*}svg")
    assert svg is not None
    texts = [element.text for element in svg.iter() if element.tag.endswith("text")]
    assert texts == [
        *("shop", "mails"),
        *("place order", "100.0 ms", "save <order>", "20.0 ms", "✗ append", "8.0 ms"),
        *("late", "40.0 ms"),
    ]
    bars = [element for element in svg.iter() if element.tag.endswith("rect")][2:]
    starts = [float(bar.get("x", 0)) for bar in bars]
    assert starts[0] < starts[1] < starts[2] < starts[3]
    assert bars[0].get("fill") == bars[1].get("fill") != bars[3].get("fill")


def test_it_says_in_words_what_it_shows(page: list[dict[str, str]]) -> None:
    waterfall(SPANS)
    told = page[0]["text/plain"]
    assert told == (
        "[Waterfall of 4 spans, in order: place order of shop; save <order> of shop below place "
        "order; append of shop below save <order>, failed; late of mails below place order.]"
    )


def test_a_span_whose_parent_is_elsewhere_begins_a_tree(page: list[dict[str, str]]) -> None:
    waterfall([span("handle", 2, 5, 5, parent=1)], alt="One span.")
    assert page[0]["text/plain"] == "[One span.]"


def test_no_spans_is_an_error() -> None:
    with pytest.raises(ValueError, match="no span"):
        waterfall([])
