"""The glossary as data: its terms, what they mean, and which tutorial teaches them."""

import re
from functools import cache

from tutorial_support.paths import docs_folder


@cache
def definitions() -> dict[str, str]:
    """What each term means, in the glossary's order."""
    page = (docs_folder() / "glossary.md").read_text("utf-8")
    blocks = page.partition("{.glossary}\n")[2].split("\n\n")
    entries = (re.fullmatch(r"([^\n]+)\n: (.+)", block.strip(), re.DOTALL) for block in blocks)
    return {entry[1]: " ".join(entry[2].split()) for entry in entries if entry}


def taught_in() -> dict[str, int]:
    """The number of the tutorial that teaches a term, for those that have one."""
    found = {term: re.search(r"\(tutorial (\d+)\)$", text) for term, text in definitions().items()}
    return {term: int(match[1]) for term, match in found.items() if match}


def uses(term: str) -> re.Pattern[str]:
    """Finds a term or its plural."""
    return re.compile(rf"\b{re.escape(term)}(?:e?s)?\b", re.IGNORECASE)
