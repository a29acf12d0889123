"""What you chose by environment variables, and what there is to choose from."""

import os
import sys

from sqlalchemy import URL

from . import programs
from .errors import DatabaseUnavailable
from .programs import Programs
from .urls import EXAMPLE, parse_url

KINDS = ("embedded", "local", "docker", "url")


def chosen() -> str | None:
    """The kind of server that TUTORIAL_DATABASE forces, if any."""
    kind = os.environ.get("TUTORIAL_DATABASE", "").strip().lower()
    if kind and kind not in KINDS:
        raise DatabaseUnavailable(
            f"TUTORIAL_DATABASE is {kind!r}, and knows only {', '.join(KINDS)}.\n"
            "To let the course choose:  unset TUTORIAL_DATABASE"
        )
    return kind or None


def named_url(url: str | None = None) -> URL | None:
    """The server you name, by argument or by environment, if you name one."""
    if url is not None:
        return parse_url(url)
    kind, text = chosen(), os.environ.get("TUTORIAL_DATABASE_URL", "").strip()
    if kind == "url" and not text:
        raise DatabaseUnavailable(
            "TUTORIAL_DATABASE is 'url', and TUTORIAL_DATABASE_URL is empty. Name your server:\n"
            f"    export TUTORIAL_DATABASE_URL={EXAMPLE}"
        )
    return parse_url(text) if text and kind in (None, "url") else None


def find_programs() -> Programs | None:
    """The PostgreSQL programs to run a server with, if there are any."""
    kind = chosen()
    found = programs.embedded() if kind != "local" else None
    return found or (programs.local() if kind != "embedded" else None)


def nothing_found() -> str:
    """That there is nothing to choose from, and what to type."""
    missing = {
        "docker": "TUTORIAL_DATABASE is 'docker', and no Docker engine answers.",
        "embedded": "TUTORIAL_DATABASE is 'embedded', and its package is not installed.",
        "local": "TUTORIAL_DATABASE is 'local', and this machine has no PostgreSQL programs.",
    }.get(chosen() or "", "There is no PostgreSQL to use.")
    ways = [f"export TUTORIAL_DATABASE_URL={EXAMPLE}", "start Docker, and try again"]
    if sys.platform == "win32":
        missing += " On Windows the course uses Docker, or a server that you name."
        ways[0] = f"set TUTORIAL_DATABASE_URL={EXAMPLE}"
    else:
        brew = sys.platform == "darwin"
        ways = ["make install", f"{'brew' if brew else 'apt-get'} install postgresql", *ways]
    return "\n    ".join([f"{missing}\nAny one of these helps:", *ways])
