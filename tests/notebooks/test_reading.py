"""Every page that is no notebook reads as we want it; the rules see what they should."""

import re

import pytest

from tutorial_support.notebooks import find, prose
from tutorial_support.notebooks.files import read
from tutorial_support.notebooks.glossary import definitions, taught_in
from tutorial_support.notebooks.page import Page
from tutorial_support.notebooks.reading import lint_pages, pages


def test_all_pages_read_well() -> None:
    assert {"README.md", "CONTRIBUTING.md", "glossary.md"} <= {page.name for page in pages()}
    problems = lint_pages()
    assert not problems, "\n".join(map(str, problems))


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("One. Two! *Three?* Four", ["One.", "Two!", "Three?", "Four"]),
        ("- one\n- two\n\nthree\nfour", ["one", "two", "three four"]),
        ("| a | b |\n| --- | --- |", ["a", "b", "---", "---"]),
        ("Say `a. b` here.", ["Say x here."]),
        ("See [the docs](https://x.org/a.b).", ["See the docs."]),
        ("```sql\nSELECT 1.\n```\nSo.", ["So."]),
    ],
)
def test_sentences_end_where_readers_pause(markdown: str, expected: list[str]) -> None:
    assert list(prose.sentences(markdown)) == expected


@pytest.mark.parametrize(
    "text", ["evnet", "it happend", "their recieved mails", "the customer's adress"]
)
def test_a_misspelt_word_is_found(text: str) -> None:
    assert prose.misspelt(text)


@pytest.mark.parametrize(
    "text",
    ["asyncio's tuples", "`evnet`", "Herlihy and Kung", "don't", "docstrings", "x.evnet"],
)
def test_a_word_of_ours_a_name_and_code_are_no_mistakes(text: str) -> None:
    assert prose.misspelt(prose.plain(text)) == []


def test_the_list_of_own_words_has_none_that_the_dictionary_knows() -> None:
    assert prose._own_words() & prose._dictionary() == set()


def test_the_glossary_is_in_order_and_explains_each_term_once() -> None:
    terms = list(definitions())
    assert len(terms) > 40
    assert terms == sorted(terms, key=str.lower)


def said(term: str) -> re.Pattern[str]:
    """Finds a term in prose and as a name: correlation id, `correlation_id`."""
    return re.compile("[ _-]".join(re.split("[ -]", term)), re.IGNORECASE)


def test_the_tutorial_that_teaches_a_term_uses_it() -> None:
    there = {Page(path, read(path)).number: path for path in find()}
    silent = [
        f"{term} ({number})"
        for term, number in taught_in().items()
        if number in there
        and not any(said(term).search(cell.source) for cell in read(there[number]).cells)
    ]
    assert silent == []
