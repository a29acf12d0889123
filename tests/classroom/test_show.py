"""What a reader sees is stable, accessible and self-contained."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5
from xml.etree import ElementTree as Xml

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from eventsource import DomainEvent, SQLiteDatabase
from tutorial_support.lab import Steps, expect
from tutorial_support.show import figure, live_table, output, sql, stream, table, tables, timeline
from tutorial_support.show.tables import cell_text

mpl.use("agg")
ORDER = uuid5(UUID(int=0), "order")


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What was displayed: its HTML and its plain text, in order."""
    shown: list[dict[str, str]] = []
    monkeypatch.setattr(output, "display", lambda data, raw: shown.append(data))
    return shown


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (UUID("3f2b8c1a-0000-4000-8000-000000000000"), "3f2b8c1a"),
        (
            datetime(2026, 1, 5, 11, 0, 7, 999, tzinfo=timezone(timedelta(hours=2))),
            "2026-01-05 09:00:07",
        ),
        (datetime(2026, 1, 5, 11, 0, 7), "2026-01-05 11:00:07"),  # noqa: DTZ001
        (None, "NULL"),
        (Decimal("10.50"), "10.50"),
        (True, "True"),
        (Colour.RED, "red"),
        (b"\x01\xff", "\\x01ff"),
        ({ORDER: [{ORDER: 1}]}, f'{{"{str(ORDER)[:8]}": [{{"{str(ORDER)[:8]}": 1}}]}}'),
        ({"id": ORDER, "lines": [1, "é"]}, f'{{"id": "{str(ORDER)[:8]}", "lines": [1, "é"]}}'),
    ],
)
def test_a_cell_shows(value: object, text: str) -> None:
    assert cell_text(value) == text


def test_a_table_escapes_what_it_shows(page: list[dict[str, str]]) -> None:
    table([{"<b>": "<script>alert(1)</script>"}], caption="a & b")
    assert "<script>" not in page[0]["text/html"]
    assert "<b>" not in page[0]["text/html"]
    assert "a &amp; b" in page[0]["text/html"]


def test_a_table_reads_as_text_where_there_is_no_page(page: list[dict[str, str]]) -> None:
    table([{"name": "Ann", "n": 1}, {"name": "Bo", "n": 12}], caption="Customers")
    assert page[0]["text/plain"] == "Customers\nname  n\nAnn   1\nBo    12"


def test_a_table_without_rows_says_so(page: list[dict[str, str]]) -> None:
    table([])
    assert "no rows" in page[0]["text/html"]
    assert page[0]["text/plain"] == "no rows"


def test_a_table_returns_a_frame_that_shows_the_same(page: list[dict[str, str]]) -> None:
    frame = table(
        [{"id": ORDER, "version": 1, "note": None}, {"id": ORDER, "version": 2, "note": "x"}]
    )
    assert list(frame["id"]) == [ORDER, ORDER]
    assert list(frame["version"]) == [1, 2]
    table(frame)
    assert page[0] == page[1]


def test_nothing_heavy_is_imported_before_somebody_asks_for_it() -> None:
    shown = "from tutorial_support.show import figure, monitor, table; table([{'n': 1}])"
    asked = "print({'pandas', 'matplotlib', 'ipywidgets'} & set(sys.modules))"
    command = [sys.executable, "-c", f"import sys; {shown}; {asked}"]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    assert run.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("on_a_page", [True, False])
def test_a_live_table_replaces_what_it_showed_and_a_terminal_gets_its_end(
    on_a_page: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[str, bool, str]] = []
    monkeypatch.setattr(
        output,
        "display",
        lambda data, raw, display_id, update: shown.append(
            (display_id, update, data["text/plain"].splitlines()[-1])
        ),
    )
    monkeypatch.setattr(tables, "can_replace", lambda: on_a_page)
    rows = [{"done": 0}]

    with live_table(rows, lambda: "Attacks") as show:
        for number in (1, 2):
            rows[0]["done"] = number
            show()
        rows[0]["done"] = 3

    expected = ["0", "1", "2", "3"] if on_a_page else ["3"]
    assert [text for _, _, text in shown] == expected
    assert [again for _, again, _ in shown] == [False, *[True] * (len(expected) - 1)]
    assert len({place for place, _, _ in shown}) == 1


async def test_sql_binds_its_arguments(page: list[dict[str, str]]) -> None:
    class Database:
        async def fetch(self, query: str, /, *args: Any) -> list[dict[str, Any]]:
            return [{"query": query, "args": args}]

    frame = await sql(Database(), "SELECT $1", 7, caption="Seven")
    assert frame.to_dict("records") == [{"query": "SELECT $1", "args": (7,)}]
    assert page[0]["text/plain"].startswith("Seven\n")


class OrderPlaced(DomainEvent):
    aggregate_type: str = "Order"
    customer: UUID
    total: Decimal


async def test_sql_asks_a_sqlite_file_as_well(page: list[dict[str, str]], tmp_path: Path) -> None:
    async with SQLiteDatabase(tmp_path / "shop.db") as database:
        frame = await sql(database, "SELECT $1 AS article, 2 AS left", "tea")
    assert frame.to_dict("records") == [{"article": "tea", "left": 2}]


def test_a_stream_shows_each_event_with_its_own_fields(page: list[dict[str, str]]) -> None:
    placed = OrderPlaced(
        aggregate_id=ORDER,
        aggregate_version=3,
        occurred_at=datetime(2026, 1, 5, tzinfo=UTC),
        customer=ORDER,
        total=Decimal("9.90"),
    )
    (row,) = stream([placed]).to_dict("records")
    assert row["version"] == 3
    assert row["event"] == "OrderPlaced"
    assert row["says"] == f"customer={str(ORDER)[:8]}, total=9.90"
    assert "aggregate_id" not in page[0]["text/html"]


def chart() -> Figure:
    fig = Figure(figsize=(4, 2))
    axes = fig.subplots()
    axes.plot([1, 2], [3, 4], "o-", color="black", label="rate")
    axes.legend()
    axes.set_title("Rates")
    return fig


def svg_of(html: str) -> Xml.Element:
    start, end = html.index("<svg"), html.index("</svg>") + 6
    return Xml.fromstring(html[start:end])


def test_a_figure_is_described_and_the_same_on_every_run(page: list[dict[str, str]]) -> None:
    for _ in range(2):
        figure(chart(), alt="The rate rises from 3 to 4.", caption="Rates & more")
    assert page[0] == page[1]
    svg = svg_of(page[0]["text/html"])
    names = [child.text for child in svg[:2]]
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == "The rate rises from 3 to 4."
    assert names == ["Rates & more", "The rate rises from 3 to 4."]
    assert "<figcaption>Rates &amp; more</figcaption>" in page[0]["text/html"]


def test_a_figure_follows_the_theme_and_does_not_touch_the_page(page: list[dict[str, str]]) -> None:
    figure(chart(), alt="A rising line.")
    html = page[0]["text/html"]
    assert "currentColor" in html
    assert "#000000" not in html
    assert "#ffffff" not in html
    assert "<style" not in html
    assert not re.findall(r"(?:href|src|url\()\s*=?\s*[\"']?https?:", html)


@pytest.mark.parametrize("alt", ["", "  \n"])
def test_a_figure_without_words_is_refused(alt: str) -> None:
    with pytest.raises(ValueError, match="needs alt"):
        figure(chart(), alt=alt)


def two_sessions() -> Steps:
    steps = Steps()
    alice, bob = steps.session("Alice"), steps.session("Bob <2>")
    with alice.during("INSERT version 4"):
        pass
    with expect(KeyError), bob.during("INSERT version 4 as well, and waits for the first"):
        alice.mark("COMMIT")
        raise KeyError
    return steps


def test_a_timeline_tells_its_steps_in_order(page: list[dict[str, str]]) -> None:
    timeline(two_sessions(), caption="Two writers")
    svg = svg_of(page[0]["text/html"])
    told = svg.get("aria-label", "")
    assert told == (
        "Timeline of Alice and Bob <2>, in order. 1. Alice: INSERT version 4; "
        "2. Bob <2>: INSERT version 4 as well, and waits for the first …; 3. Alice: COMMIT; "
        "4. Bob <2>: fails, KeyError."
    )


def test_a_timeline_draws_a_bar_only_for_a_step_during_which_others_went_on(
    page: list[dict[str, str]],
) -> None:
    timeline(two_sessions())
    svg = svg_of(page[0]["text/html"])
    bars = svg.findall("{*}rect")
    assert len(bars) == 1
    assert float(bars[0].get("height", "0")) > 30


def test_a_timeline_takes_another_description(page: list[dict[str, str]]) -> None:
    timeline(two_sessions(), alt="Bob loses.")
    assert svg_of(page[0]["text/html"]).get("aria-label") == "Bob loses."
