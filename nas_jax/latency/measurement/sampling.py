"""Networks spread over the latencies of a space, from the smallest to the largest.

Uniform paths crowd in the middle: of the paper's space their latency varies by 12 %
about the mean, where any model looks good and ranks are noise. Here network i is drawn
with probabilities p_lk ~ exp(t_i F_lk), F being the costs, and t_i such that the
expected cost is the i-th of evenly spaced values; the first and the last network are
the cheapest and the dearest. Where a space has several shapes, each network is of one
that has networks of this cost.
"""

from collections.abc import Sequence

import numpy as np

from nas_jax.spaces.elastic import ElasticSpace
from nas_jax.spaces.space import SearchSpace

_BISECTIONS = 60
_TRIES = 1000


def spread(
    rng: np.random.Generator,
    space: SearchSpace | ElasticSpace,
    costs: Sequence[tuple[np.ndarray, float]],
    count: int,
) -> list[tuple[int, np.ndarray]]:
    """Distinct networks, shape and path Int `[L]`, by rising expected cost.

    `costs` are those of the candidates `[L K]` and of all that is fixed, by shape.
    Raises `ValueError` if the space has fewer networks.
    """
    if count < 2 or space.architectures < count:
        raise ValueError(
            f"space {space.name!r}: expected 2 to {space.architectures} networks to "
            f"draw, got {count}"
        )
    masks = [shape.mask for shape in space.shapes]
    offered = [
        np.where(mask, array, np.nan)
        for mask, (array, _) in zip(masks, costs, strict=True)
    ]
    fixed = np.array([each for _, each in costs])
    least = fixed + [np.nanmin(each, axis=1).sum() for each in offered]
    most = fixed + [np.nanmax(each, axis=1).sum() for each in offered]
    found: dict[tuple[int, ...], None] = {}
    for goal in np.linspace(least.min(), most.max(), count):
        off = np.maximum(least - goal, 0) + np.maximum(goal - most, 0)
        able = np.flatnonzero(off == off.min())
        shape = int(able[0] if len(able) == 1 else rng.choice(able))
        probs = _tilted(offered[shape], _tilt(offered[shape], goal - fixed[shape]))
        for _ in range(_TRIES):
            path = (shape, *(int(rng.choice(len(row), p=row)) for row in probs))
            if path not in found:
                break
            # a hard tilt leaves one path only: soften it step by step
            mask = masks[shape]
            probs = 0.9 * probs + 0.1 * mask / mask.sum(1, keepdims=True)
        found[path] = None
    if len(found) < count:
        raise ValueError(
            f"space {space.name!r}: expected {count} distinct networks, drew "
            f"{len(found)}; ask for fewer"
        )
    return [(shape, np.array(path)) for shape, *path in found]


def split(count: int, held_out: int) -> np.ndarray:
    """Bool `[count]`: which are held out; evenly placed, the first and last among them.

    >>> split(7, 3).tolist()
    [True, False, False, True, False, False, True]
    """
    places = np.linspace(0, count - 1, held_out).round().astype(int)
    return np.isin(np.arange(count), places)


def _tilted(costs: np.ndarray, tilt: float) -> np.ndarray:
    scaled = tilt * costs
    weights = np.nan_to_num(np.exp(scaled - np.nanmax(scaled, axis=1, keepdims=True)))
    return weights / weights.sum(axis=1, keepdims=True)


def _tilt(costs: np.ndarray, goal: float) -> float:
    """t at which the expected cost, which rises with t, meets the goal."""
    sharp = 1e3 / np.nanmax(costs)
    low, high = -sharp, sharp
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        expected = (_tilted(costs, middle) * np.nan_to_num(costs)).sum()
        low, high = (middle, high) if expected < goal else (low, middle)
    return (low + high) / 2
