"""A Sphinx extension: what Sphinx leaves out for readers with a keyboard or a screen reader."""

import re
from typing import Any

from sphinx.application import Sphinx

AFTER_THE_THEME = 900
_MENDED = {
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    "<pre>": '<pre tabindex="0">',  # long lines scroll, also by the arrow keys
}
_SIGNATURE = re.compile(r'<dt class="sig .*?</dt>', re.DOTALL)


def mend(html: str) -> str:
    """The part of a page with what was left out."""
    for old, new in _MENDED.items():
        html = html.replace(old, new)
    return _SIGNATURE.sub(_without_half_lists, html)


def _without_half_lists(signature: re.Match[str]) -> str:
    """The lines of a long signature are no list of definitions: none of them has a term."""
    lines = signature[0].replace("<dl>", "<div>").replace("</dl>", "</div>")
    return lines.replace("<dd>", '<div class="sig-line">').replace("</dd>", "</div>")


def _mend_page(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _: Any) -> None:
    for part in ("body", "furo_navigation_tree"):
        if part in context:
            context[part] = mend(context[part])


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", _mend_page, priority=AFTER_THE_THEME)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
