"""A Sphinx extension: each page links a term of the glossary where it first uses it."""

import re
from functools import cache
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

from tutorial_support.notebooks.glossary import definitions

# Inside these a link would be wrong or in the way.
_CLOSED = (
    nodes.reference,
    nodes.literal,
    nodes.literal_block,
    nodes.title,
    nodes.rubric,
    nodes.raw,
    nodes.term,
    pending_xref,
)


@cache
def pattern() -> re.Pattern[str]:
    """Finds a term or its plural; of two terms that begin alike, the longer."""
    longest_first = sorted(definitions(), key=len, reverse=True)
    return re.compile(rf"\b({'|'.join(map(re.escape, longest_first))})(?:e?s)?\b", re.IGNORECASE)


class LinkFirstUses(SphinxTransform):
    """Turns the first use of each term in the prose of a page into a link to its definition."""

    default_priority = 700

    def apply(self, **_: Any) -> None:
        document = self.env.current_document.docname
        if document == "glossary" or document.startswith("api/"):
            return
        seen: set[str] = set()
        for text in list(self.document.findall(nodes.Text)):
            if _is_prose(text) and (parts := _linked(str(text), seen)):
                text.parent.replace(text, parts)


def _is_prose(text: nodes.Text) -> bool:
    place = text.parent
    while place is not None:
        if isinstance(place, _CLOSED):
            return False
        place = place.parent
    return True


def _linked(text: str, seen: set[str]) -> list[nodes.Node]:
    """The text in parts, with links for terms not `seen` so far; nothing if there are none."""
    parts: list[nodes.Node] = []
    end = 0
    for match in pattern().finditer(text):
        term = match[1].lower()
        if term in seen:
            continue
        seen.add(term)
        parts += [nodes.Text(text[end : match.start()]), _link(term, match[0])]
        end = match.end()
    return [*parts, nodes.Text(text[end:])] if parts else []


def _link(term: str, shown: str) -> nodes.Node:
    options = {"refdomain": "std", "reftype": "term", "refexplicit": True, "refwarn": True}
    words = nodes.inline("", shown, classes=["glossary-term"])
    return pending_xref("", words, reftarget=term, **options)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_transform(LinkFirstUses)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
