"""Charts as accessible inline SVG that follows the reader's light or dark theme."""

import io
import re
from html import escape
from typing import TYPE_CHECKING

from tutorial_support.show.output import emit

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure(fig: "Figure", *, alt: str, caption: str = "") -> None:
    """Show a matplotlib figure as SVG; `alt` says in words what the picture shows.

    The same figure gives the same bytes on every run. Raises ValueError for an empty `alt`.
    """
    import matplotlib as mpl  # it takes most of a second, and whoever has a figure has waited
    import matplotlib.pyplot as plt

    file = io.StringIO()
    for axes in fig.axes:
        if legend := axes.get_legend():
            legend.set_frame_on(False)
    with mpl.rc_context({"svg.hashsalt": "eventsource-tutorial", "svg.fonttype": "none"}):
        fig.savefig(
            file, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None}
        )
    plt.close(fig)  # or Jupyter shows it a second time, as a PNG without a description
    show_svg(_themed(file.getvalue()), alt=alt, caption=caption, kind="chart")


def show_svg(svg: str, *, alt: str, caption: str, kind: str) -> None:
    """Show an `<svg ...>` in a figure element, with `alt` as its title and description."""
    if not alt.strip():
        raise ValueError("A picture needs alt=...: one or two sentences that say what it shows.")
    told = escape(" ".join(alt.split()))
    root = f'<svg class="{kind}" role="img" aria-label="{told}" '
    names = f"><title>{escape(caption) or told}</title><desc>{told}</desc>"
    labelled = svg.replace("<svg ", root, 1).replace(">", names, 1)
    words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    html = f'<figure style="margin:0">{labelled}{words}</figure>'
    emit(html, f"[{' '.join(alt.split())}]")


def _themed(svg: str) -> str:
    """Black becomes the colour of the text around, and nothing in the picture styles the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>|\s*<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="[A-Za-z0-9]+_\d+"| (width|height)="[\d.]+pt"', "", svg)
    size = re.search(r'viewBox="0 0 ([\d.]+)', svg)
    width = float(size[1]) if size else 460
    style = f"width:100%;max-width:{width:.0f}pt"
    root = f'<svg fill="currentColor" stroke-linejoin="round" style="{style}" '
    return re.sub(r"#000000|(?<=: )black", "currentColor", svg).replace("<svg ", root, 1).strip()
