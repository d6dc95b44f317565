"""Common style of all figures, and saving them as PNG.

Figures are `matplotlib.figure.Figure` objects created without `pyplot`, so that they need no display and are freed when
they are no longer referenced.
"""

from __future__ import annotations

import contextlib
import functools
import io
import textwrap
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from mien.errors import MissingExtra
from mien.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito 2008, "Color Universal Design" (https://jfly.uni-koeln.de/color/): distinguishable with any color vision.
BLUE = "#0072B2"
VERMILION = "#D55E00"

INK = "#1b1f24"
MUTED = "#646b75"
FAINT = "#c3c8cf"
GRID = "#eceef1"

DPI = 160
"""Resolution in dots per inch: a figure with a width of 12 inches fills a slide of 1,920 pixels."""

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11,
    "text.color": INK,
    "text.parse_math": False,  # file names can contain dollar signs
    "axes.unicode_minus": True,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 14,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
}


def need(package: str, extra: str) -> None:
    """Check that a package is installed.

    Raises:
        MissingExtra: If it is not installed; the extra installs it.
    """
    if find_spec(package) is None:
        raise MissingExtra(package, extra)


def load_drawing() -> None:
    """Draw a small figure, so that matplotlib is fully imported: Ctrl-C during its import would be an error."""
    with house_style():
        figure = new_figure(1, 1)
        figure.subplots().plot([0, 1])
        png(figure)


@contextlib.contextmanager
def house_style() -> Iterator[None]:
    """Within the block, use the common style for new figures.

    Raises:
        MissingExtra: If matplotlib is not installed.
    """
    need("matplotlib", "charts")
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Create an empty figure of a size in inches, with constrained layout."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return figure_class()((width, height), DPI, layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.12))


@functools.cache
def figure_class() -> type[Figure]:
    """Return a class of figures that notebooks display without `%matplotlib inline`."""
    from matplotlib.figure import Figure

    class NotebookFigure(Figure):
        def _repr_png_(self) -> bytes:
            with house_style():
                return png(self)

    return NotebookFigure


def head(axes: Axes, title: str, subtitle: str = "") -> None:
    """Set a bold left-aligned title, with a muted subtitle under it."""
    axes.set_title(title, pad=26 if subtitle else 10)
    if subtitle:
        axes.annotate(
            subtitle, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", color=MUTED
        )


def fold(title: str, inches: float) -> str:
    """Wrap a title to a width in inches, assuming an eighth of an inch per character."""
    return textwrap.fill(title, max(int(8 * inches), 8))


def png(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):  # a file name that is not UTF-8 cannot be drawn
        text.set_text(text.get_text().encode(errors="backslashreplace").decode())
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Characters that the font lacks are drawn as boxes, without a warning.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="png", dpi="figure")
    return buffer.getvalue()


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure to a PNG file atomically and return the path."""
    return write_bytes(path, png(figure))
