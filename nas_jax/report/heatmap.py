"""Path probabilities of every searchable layer over the search.

One small panel per layer: epochs to the right, candidates downwards, opacity is the
probability, hue the kernel size as in the drawing. A browser draws runs of equal
opacity, not cells, so that the page stays small for long searches.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nas_jax.report.run_files import RunFiles
from nas_jax.report.styles import kernel_colour
from nas_jax.space import LayerSpec

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
    runs: tuple[tuple[float, str], ...]
    """Opacity, and a path through all runs at it; an epoch is 1 wide, a row 1 high."""


@dataclass(frozen=True)
class Panel:
    """The probabilities of one layer."""

    where: str
    """Its channels and feature map."""
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Heatmap:
    """The panels of all layers over the same epochs."""

    panels: tuple[Panel, ...]
    first_epoch: int
    last_epoch: int
    columns: int
    warm: int
    """Columns that belong to the warm-up."""
    has_choice: bool
    """Whether the operations of the derived network are known."""


def heatmap(run: RunFiles) -> Heatmap | None:
    """The probabilities of a search, None if none were recorded."""
    epochs, probs = run.curves.probs()
    if not len(probs):
        return None
    keep = np.unique(np.linspace(0, len(probs) - 1, _COLUMNS).round().astype(int))
    probs, epochs = probs[keep], epochs[keep]
    return Heatmap(
        tuple(_panel(run, layer, probs[:, layer]) for layer in range(probs.shape[1])),
        int(epochs[0]),
        int(epochs[-1]),
        len(epochs),
        int((epochs <= run.curves.warmup_epochs).sum()),
        run.chosen is not None,
    )


def _panel(run: RunFiles, layer: int, probs: np.ndarray) -> Panel:
    """The panel of one layer, of its `probs` `[T K]`."""
    spec = None if run.space is None else run.space.layers[layer]
    candidates = []
    for place, column in enumerate(probs.T):
        op = None if run.space is None else run.space.candidates[place]
        candidates.append(
            Candidate(
                f"op {place}" if op is None else op.name,
                kernel_colour(0 if op is None else op.kernel),
                spec is None or op in spec.candidates,
                run.chosen is not None and run.chosen[layer] == place,
                float(column[-1]),
                _runs(column),
            )
        )
    return Panel("" if spec is None else _where(spec), tuple(candidates))


def _where(spec: LayerSpec) -> str:
    widths = f"{spec.in_channels} → {spec.out_channels}"
    size = f"{spec.output_size}×{spec.output_size}"
    return f"{widths}, {size}{' ↓2' if spec.stride == 2 else ''}"


def _runs(probs: np.ndarray) -> tuple[tuple[float, str], ...]:
    levels = np.clip((probs * _LEVELS).round(), 0, _LEVELS).astype(int)
    edges = [0, *(np.flatnonzero(np.diff(levels)) + 1).tolist(), len(levels)]
    paths: dict[int, str] = {}
    for start, end in pairwise(edges):
        level, width = int(levels[start]), end - start
        paths[level] = paths.get(level, "") + f"M{start} 0h{width}v1h-{width}z"
    return tuple((level / _LEVELS, paths[level]) for level in sorted(paths) if level)
