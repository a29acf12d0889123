"""The one way anything gets onto the page."""

import os

from IPython.core.getipython import get_ipython
from IPython.display import display


def emit(html: str, plain: str) -> None:
    """Show HTML, and text where there is no page: a terminal, a screen reader's summary."""
    display({"text/html": html, "text/plain": plain}, raw=True)  # type: ignore[no-untyped-call]


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
