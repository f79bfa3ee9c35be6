"""How the path probabilities of every searchable layer moved during the search.

One small panel per layer: epochs to the right, candidates downwards, opacity is the
probability, hue the kernel size as in the drawing. A browser draws runs of equal
opacity, not cells, so that the page stays small for long searches.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from nas_jax.parts import OpSpec
from nas_jax.report.markup import Html, element, join
from nas_jax.report.styles import kernel_colour
from nas_jax.space import LayerSpec, SearchSpace

_WIDTH, _GUTTER, _ROW, _FOOT = 208, 58, 16, 18
_LEVELS = 24  # steps of opacity
_COLUMNS = 160  # at most; longer searches are thinned out


def panels(
    probs: np.ndarray,
    epochs: np.ndarray,
    warmup_epochs: int,
    space: SearchSpace | None,
    chosen: Sequence[str] | None,
) -> list[Html]:
    """One figure per layer, of `probs` `[T L K]` at `epochs` `[T]`.

    `chosen` names the operations of the derived network, which get a dot.
    """
    keep = np.unique(np.linspace(0, len(probs) - 1, _COLUMNS).round().astype(int))
    probs, epochs = probs[keep], epochs[keep]
    # columns up to here belong to the warm-up
    warm = int((epochs <= warmup_epochs).sum())
    layers, candidates = probs.shape[1:]
    ops: list[OpSpec | None] = [None] * candidates
    specs: list[LayerSpec | None] = [None] * layers
    if space is not None:
        ops, specs = list(space.candidates), list(space.layers)
    return [
        element(
            "figure",
            _caption(layer, specs[layer]),
            _panel(
                probs[:, layer],
                epochs,
                warm,
                ops,
                specs[layer],
                None if chosen is None else chosen[layer],
                layer,
            ),
        )
        for layer in range(layers)
    ]


def _caption(layer: int, spec: LayerSpec | None) -> Html:
    where = ""
    if spec is not None:
        widths = f"{spec.in_channels} → {spec.out_channels}"
        where = f"{widths}, {spec.output_size}×{spec.output_size}"
        where += " ↓2" if spec.stride == 2 else ""
    return element("figcaption", f"Layer {layer + 1} ", element("small", where))


def _panel(
    probs: np.ndarray,
    epochs: np.ndarray,
    warm: int,
    ops: Sequence[OpSpec | None],
    spec: LayerSpec | None,
    chosen: str | None,
    layer: int,
) -> Html:
    columns, candidates = probs.shape
    plot, bottom = _WIDTH - _GUTTER - 12, candidates * _ROW
    rows = []
    spoken = []
    for row, op in enumerate(ops):
        name = f"op {row}" if op is None else op.name
        offered = spec is None or op in spec.candidates
        final = float(probs[-1, row])
        label = element(
            "text",
            name,
            x=_GUTTER - 6,
            y=row * _ROW + 12,
            text_anchor="end",
            fill="var(--ink)" if name == chosen else "var(--muted)",
            font_weight=600 if name == chosen else None,
            opacity=None if offered else 0.45,
        )
        tooltip = f"{name}: {final:.3f} at epoch {epochs[-1]}"
        if offered:
            spoken.append(f"{name} {final:.2f}")
        title = element("title", tooltip if offered else f"{name}: not offered here")
        cells = []
        if offered:
            colour = kernel_colour(0 if op is None else op.kernel)
            cells = _runs(probs[:, row], row * _ROW, colour, plot / columns)
        dot = []
        if name == chosen:
            dot = [
                element(
                    "circle",
                    cx=_WIDTH - 6,
                    cy=(row + 0.5) * _ROW,
                    r=3,
                    fill="var(--ink)",
                )
            ]
        rows.append(element("g", title, label, *cells, *dot))
    frame = element(
        "rect",
        x=_GUTTER,
        y=0.5,
        width=plot,
        height=bottom - 1,
        fill="none",
        stroke="var(--line)",
    )
    return element(
        "svg",
        *rows,
        frame,
        _phase_line(warm, columns, plot, bottom),
        _tick(_GUTTER, bottom, f"epoch {epochs[0]}", "start"),
        _tick(_GUTTER + plot, bottom, str(epochs[-1]), "end"),
        viewBox=f"0 0 {_WIDTH} {bottom + _FOOT}",
        role="img",
        aria_label=f"Layer {layer + 1}, probabilities of the candidates at epoch "
        f"{epochs[-1]}: {', '.join(spoken)}",
        font_size=12,
        fill="var(--muted)",
    )


def _runs(probs: np.ndarray, y: int, colour: str, step: float) -> list[Html]:
    """One path per opacity, with a rectangle for every run of epochs at it."""
    levels = np.clip((probs * _LEVELS).round(), 0, _LEVELS).astype(int)
    edges = [0, *(np.flatnonzero(np.diff(levels)) + 1).tolist(), len(levels)]
    shapes: dict[int, list[str]] = {}
    for start, end in pairwise(edges):
        x, width = _GUTTER + start * step, (end - start) * step
        run = f"M{x:.1f} {y + 1}h{width:.1f}v{_ROW - 2}h-{width:.1f}z"
        shapes.setdefault(int(levels[start]), []).append(run)
    return [
        element(
            "path",
            d="".join(runs),
            fill=colour,
            fill_opacity=level / _LEVELS,
            shape_rendering="crispEdges",
        )
        for level, runs in sorted(shapes.items())
        if level > 0
    ]


def _phase_line(warm: int, columns: int, plot: float, bottom: float) -> Html:
    if not 0 < warm < columns:
        return join([])
    return element(
        "path",
        d=f"M{_GUTTER + plot * warm / columns:.1f} 0V{bottom}",
        stroke="var(--muted)",
        stroke_dasharray="3 3",
        fill="none",
    )


def _tick(x: float, bottom: float, text: str, anchor: str) -> Html:
    return element("text", text, x=x, y=bottom + 13, text_anchor=anchor)
