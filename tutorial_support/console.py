"""What the command line says, in one voice."""

import sys
from typing import NoReturn

from rich.console import Console
from rich.text import Text

out = Console(soft_wrap=True, highlight=False)
errors = Console(stderr=True, soft_wrap=True, highlight=False)


def fail(message: object, code: int = 1) -> NoReturn:
    """Say what went wrong and end; commands in `message` stay whole lines, to copy."""
    errors.print(Text(printable(message), style="red"))
    sys.exit(code)


def printable(message: object) -> str:
    """Its text without halves of surrogate pairs, which no terminal takes."""
    return str(message).encode(errors="backslashreplace").decode()
