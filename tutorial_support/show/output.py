"""The one way anything gets onto the page."""

import os
from uuid import uuid4

from IPython.core.getipython import get_ipython
from IPython.display import display


def emit(html: str, plain: str) -> None:
    """Show HTML, and text where there is no page: a terminal, a screen reader's summary."""
    display({"text/html": html, "text/plain": plain}, raw=True)  # type: ignore[no-untyped-call]


class Place:
    """A place on the page, where what is shown replaces what was shown there before."""

    def __init__(self) -> None:
        self._id, self._is_taken = uuid4().hex, False

    def emit(self, html: str, plain: str) -> None:
        """Show it here. A terminal, which can replace nothing, gets it below the former."""
        both = {"text/html": html, "text/plain": plain}
        display(both, raw=True, display_id=self._id, update=self._is_taken)  # type: ignore[no-untyped-call]
        self._is_taken = True


def can_replace() -> bool:
    """Whether what is shown can be replaced: on a page, but not in a terminal."""
    return hasattr(get_ipython(), "kernel")


def running_cell() -> int | None:
    """The number of the cell that is running, None outside Jupyter."""
    shell = get_ipython()
    return shell.execution_count if shell else None


def is_live() -> bool:
    """Whether this is a kernel of JupyterLab, where somebody can move a slider.

    JupyterLab's server names the notebook to its kernels; tests and exports do not.
    """
    return "JPY_SESSION_NAME" in os.environ


def show_widget(widget: object) -> None:
    """Show an ipywidgets widget. It works as long as its kernel does."""
    display(widget)  # type: ignore[no-untyped-call]
