"""What the command line says, in one voice."""

import sys
from io import TextIOWrapper
from typing import NoReturn

from rich.console import Console
from rich.text import Text

out = Console(soft_wrap=True, highlight=False)
errors = Console(stderr=True, soft_wrap=True, highlight=False)


def print_whatever_can_be_printed() -> None:
    """Let a terminal that knows no ticks show question marks instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def fail(message: object, code: int = 1) -> NoReturn:
    """Say what went wrong and end; commands in `message` stay whole lines, to copy."""
    errors.print(Text(printable(message), style="red"))
    sys.exit(code)


def printable(message: object) -> str:
    """Its text without halves of surrogate pairs, which no terminal takes."""
    return str(message).encode(errors="backslashreplace").decode()
