"""Charts by matplotlib in the style of the page: SVG that follows the colour scheme.

Text stays text. Every colour is drawn as a marker value and then replaced by a custom
property of the style sheet. Output is deterministic: fixed salt for ids, no date. No
global state is kept: settings hold inside `style()`, figures are plain objects.
"""

import io
import re
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from nas_jax.report.styles import kind

_NAMES = "ink muted grid band searched baseline cheapest random other"
_COLOURS = {
    name: f"#0102{number:02x}" for number, name in enumerate(_NAMES.split(), start=16)
}
MARKERS = {"searched": "o", "baseline": "s", "cheapest": "^", "random": "D"}
_RC: dict[Any, Any] = {
    "svg.hashsalt": "nas_jax",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: same layout everywhere
    "font.size": 10,
    "text.color": _COLOURS["ink"],
    "axes.labelcolor": _COLOURS["muted"],
    "axes.edgecolor": _COLOURS["grid"],
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "grid.color": _COLOURS["grid"],
    "grid.linewidth": 0.8,
    "xtick.color": _COLOURS["grid"],
    "ytick.color": _COLOURS["grid"],
    "xtick.labelcolor": _COLOURS["muted"],
    "ytick.labelcolor": _COLOURS["muted"],
    "lines.linewidth": 1.7,
    "figure.facecolor": "none",
}


def style() -> AbstractContextManager[None]:
    """Settings for everything that is drawn inside."""
    return matplotlib.rc_context(_RC)


def colour(name: str) -> str:
    return _COLOURS.get(kind(name), _COLOURS["other"])


def new_axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.margins(x=0.08, y=0.12)
    axes.tick_params(length=0)
    return figure, axes


def to_svg(figure: Figure, name: str, alternative: str) -> Markup:
    """The figure as an element that fills its column; ids begin with `name`.

    `alternative` says in words what is to be seen, for those who do not see it.
    """
    buffer = io.StringIO()
    figure.savefig(
        buffer,
        format="svg",
        metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")),
    )
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    # the fixed size, what only a file of its own needs, and rules for the whole page
    drawing = re.sub(r'^(<svg [^>]*?) width="[^"]*"', r"\1", drawing, count=1)
    drawing = re.sub(r'^(<svg [^>]*?) height="[^"]*"', r"\1", drawing, count=1)
    drawing = re.sub(r' xmlns(:xlink)?="[^"]*"', "", drawing)
    drawing = re.sub(r"<(metadata|style)\b.*?</\1>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", drawing)
    for variable, value in _COLOURS.items():
        drawing = drawing.replace(value, f"var(--{variable})")
    spoken = f'<svg role="img" aria-label="{escape(alternative)}" '
    return Markup(drawing.strip().replace("<svg ", spoken, 1))
