"""Which choices explain the accuracies of networks: shares of their variance."""

from collections.abc import Mapping, Sequence

import numpy as np

from nas_jax.spaces.architecture import Architecture


def of(network: Architecture, cells: Sequence[int]) -> dict[str, float]:
    """The choices of one network as numbers; `cells` are the layers of each stage.

    Depth is the number of layers that are not `zero`; kernel and expansion are means
    over these.
    """
    blocks = network.blocks[-sum(cells) :]  # a fixed first block is no choice
    kept = [block.op for block in blocks if not block.op.is_zero]
    lasts = np.cumsum(cells) - 1
    widths = {
        f"width {stage}": blocks[last].out_channels
        for stage, last in enumerate(lasts, start=1)
    }
    return {
        "side": network.stem.input_size,
        "stem": network.stem.out_channels,
        **widths,
        "depth": len(kept),
        "expansion": float(np.mean([op.expansion for op in kept])),
        "kernel": float(np.mean([op.kernel for op in kept])),
    }


def explained(
    chosen: Sequence[Mapping[str, float]], accuracies: Sequence[float]
) -> dict[str, float]:
    """Adjusted R^2 of each choice alone, as a parabola, and of `all` as a plane.

    Choices that do not vary have 0; negative values, as of chance, stay.
    """
    y = np.asarray(accuracies)
    columns = {name: np.array([one[name] for one in chosen]) for name in chosen[0]}
    moving = {name: x for name, x in columns.items() if np.ptp(x) > 0}
    shares = {
        name: _adjusted([x, x**2] if len(np.unique(x)) > 2 else [x], y)
        for name, x in moving.items()
    }
    shares = {name: shares.get(name, 0.0) for name in columns}
    return shares | {"all": _adjusted(list(moving.values()), y) if moving else 0.0}


def _adjusted(columns: list[np.ndarray], y: np.ndarray) -> float:
    """1 - (1 - R^2) (n - 1) / (n - p - 1) of a linear fit with p columns."""
    scaled = [(x - x.mean()) / x.std() for x in columns]
    design = np.stack([np.ones(len(y)), *scaled], axis=1)
    left = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    free = len(y) - design.shape[1]
    if free < 1 or y.var() == 0:
        return 0.0
    return float(1 - left.var() / y.var() * (len(y) - 1) / free)
