"""What is gathered for the web site: pages whose links lead on, and every public name once."""

import inspect
import re
from pathlib import Path

import pytest

import eventsource
from tutorial_support.notebooks import find
from tutorial_support.paths import notebooks_folder
from tutorial_support.site import accessible
from tutorial_support.site.pages import REPOSITORY, gather, relinked

PLACES = {
    "docs/a.md": "a.md",
    "README.md": "index.md",
    "notebooks/01-x.ipynb": "notebooks/01-x.ipynb",
}
HERE = "notebooks/02-y.ipynb"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "source"
    gather(notebooks_folder(), folder)
    return folder


@pytest.mark.parametrize(
    ("link", "led_to"),
    [
        ("[A](../docs/a.md)", "[A](../a.md)"),
        ("[A](../docs/a.md#part)", "[A](../a.md#part)"),
        ("[Index](../README.md#the-course)", "[Index](../index.md)"),
        ("[1](01-x.ipynb)", "[1](01-x.ipynb)"),
        (
            "[code](../src/eventsource/outbox.py)",
            f"[code]({REPOSITORY}/blob/HEAD/src/eventsource/outbox.py)",
        ),
        ("[site](https://example.org/a)", "[site](https://example.org/a)"),
        ("[below](#recap)", "[below](#recap)"),
        ("`[A](../docs/a.md)`", "`[A](../docs/a.md)`"),
        ("```\n[A](../docs/a.md)\n```", "```\n[A](../docs/a.md)\n```"),
    ],
)
def test_a_link_leads_to_the_page_that_its_file_has_become(link: str, led_to: str) -> None:
    assert relinked(link, HERE, HERE, PLACES) == led_to


def test_every_notebook_is_in_the_table_of_contents(source: Path) -> None:
    listed = re.findall(r"^notebooks/([\w-]+)$", (source / "index.md").read_text(), re.MULTILINE)
    assert listed == [path.stem for path in find()]


def test_the_reference_has_every_public_name_once(source: Path) -> None:
    pages = "\n".join(path.read_text() for path in (source / "api").glob("*.md"))
    documented = re.findall(r"^\.\. auto\w+:: (\S+)$", pages, re.MULTILINE)
    public = {
        f"eventsource.{name}"
        for name in eventsource.__all__
        if inspect.isclass(thing := getattr(eventsource, name)) or inspect.isroutine(thing)
    }
    assert public - set(documented) == set()
    assert len(documented) == len(set(documented))


def test_what_scrolls_can_be_reached_by_keyboard() -> None:
    assert accessible.mend("<pre>x</pre>") == '<pre tabindex="0">x</pre>'
