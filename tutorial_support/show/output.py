"""The one way anything gets onto the page."""

from IPython.core.getipython import get_ipython
from IPython.display import display


def emit(html: str, plain: str) -> None:
    """Show HTML, and text where there is no page: a terminal, a screen reader's summary."""
    display({"text/html": html, "text/plain": plain}, raw=True)  # type: ignore[no-untyped-call]


def running_cell() -> int | None:
    """The number of the cell that is running, None outside Jupyter."""
    shell = get_ipython()
    return shell.execution_count if shell else None
