"""Skips what needs a broker that this machine does not have; CI has all, and skips nothing."""

import re
from pathlib import Path

import pytest

from tutorial_support.services import KINDS, is_available

OPENS = re.compile(r"open_service\(\\?\"(\w+)")


def notebook_of(item: pytest.Item) -> Path | None:
    """The notebook that a cell or a parametrised test is about."""
    if item.path.suffix == ".ipynb":
        return item.path
    call = getattr(item, "callspec", None)
    values = call.params.values() if call else ()
    return next((each for each in values if isinstance(each, Path)), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = {kind for kind in KINDS if not is_available(kind)}
    if not missing:
        return
    for item in items:
        notebook = notebook_of(item)
        if notebook is not None and notebook.suffix == ".ipynb":
            for kind in missing & set(OPENS.findall(notebook.read_text("utf-8"))):
                item.add_marker(pytest.mark.skip(reason=KINDS[kind].nothing_found()))
