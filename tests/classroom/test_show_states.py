"""State strips, the slider through time, and trees of causes show what the events say."""

from decimal import Decimal
from uuid import UUID, uuid5
from xml.etree import ElementTree as Xml

import pytest

from tutorial_support.domain import OrderAggregate, OrderCreated, OrderShipped
from tutorial_support.show import causes, output, strip, time_travel
from tutorial_support.show.states import moments, slider

ORDER = uuid5(UUID(int=0), "order")


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was displayed, in order: bundles of HTML and plain text, and widgets."""
    shown: list[object] = []
    monkeypatch.setattr(output, "display", lambda data, raw=False: shown.append(data))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return shown


def history() -> list[OrderCreated | OrderShipped]:
    created = OrderCreated(aggregate_id=ORDER, customer_id="<Ann>", total=Decimal("20.00"))
    shipped = OrderShipped(aggregate_id=ORDER, aggregate_version=2, tracking_number="T-1")
    return [created, shipped.with_causation(created)]


def svg_of(bundle: object) -> Xml.Element:
    assert isinstance(bundle, dict)
    html = bundle["text/html"]
    return Xml.fromstring(html[html.index("<svg") : html.index("</svg>") + 6])


def texts(svg: Xml.Element) -> list[str]:
    return ["".join(node.itertext()) for node in svg.iter() if node.tag.endswith("}text")]


def test_a_moment_knows_what_its_event_changed() -> None:
    nothing, created, shipped = moments(OrderAggregate, history())
    assert (nothing.version, nothing.event, nothing.state) == (0, "", {})
    assert created.state["total"] == "20.00"
    assert created.changed == {"customer_id", "total", "status"}
    assert (shipped.event, shipped.changed) == ("OrderShipped", {"status", "tracking_number"})


def test_without_events_nobody_knows_whose_state_it_is() -> None:
    with pytest.raises(ValueError, match="at least one event"):
        moments(OrderAggregate, [])


def test_a_strip_tells_every_change_in_words(page: list[object]) -> None:
    strip(OrderAggregate, history(), caption="An order")
    assert svg_of(page[0]).get("aria-label") == (
        "The state after each event. Version 1, OrderCreated: customer_id becomes <Ann>, "
        "total becomes 20.00, status becomes created. Version 2, OrderShipped: "
        "status becomes shipped, tracking_number becomes T-1."
    )


def test_a_strip_has_a_box_for_each_event_and_a_dot_for_each_change(page: list[object]) -> None:
    strip(OrderAggregate, history())
    svg = svg_of(page[0])
    assert len(svg.findall("{*}rect")) == 2
    assert len(svg.findall("{*}circle")) == 5
    assert "tracking_number: T-1" in texts(svg)


def test_what_is_too_long_for_a_line_goes_on_in_the_next(page: list[object]) -> None:
    created, shipped = history()
    long = shipped.model_copy(update={"tracking_number": "T-1234567890-1234567890"})
    strip(OrderAggregate, [created, long])
    svg = svg_of(page[0])
    told = texts(svg)
    assert max(map(len, told)) <= 22
    assert told[-3:] == ["tracking_number:", "T-1234567890-123456789", "0"]
    bottom = max(float(node.get("y", 0)) for node in svg.iter() if node.tag.endswith("}text"))
    box = svg.findall("{*}rect")[1]
    assert bottom < float(box.get("y", 0)) + float(box.get("height", 0))


def test_a_long_strip_goes_on_below(page: list[object]) -> None:
    created, shipped = history()
    many = [created.model_copy(update={"aggregate_version": n}) for n in range(1, 6)]
    strip(OrderAggregate, [*many, shipped.with_aggregate_version(6)])
    tops = {box.get("y") for box in svg_of(page[0]).findall("{*}rect")}
    assert len(tops) == 2


def test_an_exported_page_has_every_version_as_a_table(page: list[object]) -> None:
    time_travel(OrderAggregate, history(), caption="An order through time")
    assert len(page) == 1
    assert isinstance(page[0], dict)
    assert page[0]["text/plain"].splitlines() == [
        "An order through time",
        "version  after         customer_id  total  status   tracking_number",
        "0        nothing yet",
        "1        OrderCreated  <Ann>        20.00  created  NULL",
        "2        OrderShipped  <Ann>        20.00  shipped  T-1",
    ]


def test_in_jupyterlab_there_is_a_slider_as_well(
    page: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "03-aggregates.ipynb")
    time_travel(OrderAggregate, history())
    assert [type(each).__name__ for each in page] == ["VBox", "dict"]


def test_the_slider_goes_to_any_version() -> None:
    choice, shown = slider(moments(OrderAggregate, history())).children
    assert (choice.value, choice.min, choice.max) == (2, 0, 2)
    assert "shipped" in shown.value
    choice.value = 1
    assert "version 1: after OrderCreated" in shown.value
    assert "shipped" not in shown.value
    assert "&lt;Ann&gt;" in shown.value
    choice.value = 0
    assert "nothing has happened yet" in shown.value


def test_causes_stand_above_their_effects(page: list[object]) -> None:
    created, shipped = history()
    alone = OrderCreated(aggregate_id=ORDER, customer_id="Bo", total=Decimal(1))
    causes([shipped, alone, created])
    svg = svg_of(page[0])
    assert [text.partition("correlation")[0] for text in texts(svg)] == [
        "OrderCreated",
        "OrderCreated",
        "OrderShipped",
    ]
    assert svg.get("aria-label") == (
        "OrderCreated stands alone. OrderCreated led to OrderShipped. 2 correlation ids in all."
    )


def test_a_colour_is_a_correlation_id(page: list[object]) -> None:
    created, shipped = history()
    other = OrderCreated(aggregate_id=ORDER, customer_id="Bo", total=Decimal(1))
    causes([created, shipped, other])
    first, second, third = [dot.get("fill") for dot in svg_of(page[0]).findall("{*}circle")]
    assert first == second != third
