"""Path probabilities of every searchable layer over the search.

One small panel per layer: epochs to the right, candidates downwards, opacity is the
probability, hue the kernel size as in the drawing. A browser draws runs of equal
opacity, not cells, so that the page stays small for long searches.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from nas_jax.report.run_files import RunFiles
from nas_jax.report.styles import kernel_colour

_LEVELS = 24  # steps of opacity
_COLUMNS = 160  # at most; longer searches are thinned out


@dataclass(frozen=True)
class Candidate:
    """A row of a panel."""

    name: str
    colour: str
    is_offered: bool
    is_chosen: bool
    last: float
    """Its probability in the end."""
    runs: dict[float, str]
    """By opacity a path through all runs at it; an epoch is 1 wide, a row 1 high."""


def heatmap(run: RunFiles) -> dict[str, Any] | None:
    """The candidates of all `layers` over the same epochs; None if none were recorded.

    Beside them `first_epoch`, `last_epoch`, the number of `columns`, and how many of
    these are `warm`: of the warm-up.
    """
    epochs, probs = run.curves.probs()
    if not len(probs):
        return None
    shown = np.unique(np.linspace(0, len(probs) - 1, _COLUMNS).round().astype(int))
    probs, epochs = probs[shown], epochs[shown]
    return {
        "layers": [_layer(run, k, probs[:, k]) for k in range(probs.shape[1])],
        "first_epoch": int(epochs[0]),
        "last_epoch": int(epochs[-1]),
        "columns": len(epochs),
        "warm": int((epochs <= run.curves.warmup_epochs).sum()),
    }


def _layer(run: RunFiles, layer: int, probs: np.ndarray) -> tuple[Candidate, ...]:
    """The candidates of one layer, of its `probs` `[T K]`."""
    ops = [None] * probs.shape[1] if run.space is None else run.space.candidates
    return tuple(
        Candidate(
            f"op {place}" if op is None else op.name,
            kernel_colour(0 if op is None else op.kernel),
            run.space is None or op in run.space.layers[layer].candidates,
            run.chosen is not None and run.chosen[layer] == place,
            float(column[-1]),
            _runs(column),
        )
        for place, (op, column) in enumerate(zip(ops, probs.T, strict=True))
    )


def _runs(probs: np.ndarray) -> dict[float, str]:
    levels = np.clip((probs * _LEVELS).round(), 0, _LEVELS).astype(int)
    edges = [0, *(np.flatnonzero(np.diff(levels)) + 1).tolist(), len(levels)]
    paths: dict[float, str] = {}
    for start, end in pairwise(edges):
        opacity, width = int(levels[start]) / _LEVELS, end - start
        if opacity:
            path = f"M{start} 0h{width}v1h-{width}z"
            paths[opacity] = paths.get(opacity, "") + path
    return dict(sorted(paths.items()))
