"""Networks spread over the latencies of a space, from the smallest to the largest.

Uniform paths crowd in the middle: of the paper's space their latency varies by 12 %
about the mean, where any model looks good and ranks are noise. Here network i is drawn
with probabilities p_lk ~ exp(t_i F_lk), F being the costs, and t_i such that the
expected cost is the i-th of evenly spaced values; the first and the last network are
the cheapest and the dearest.
"""

import numpy as np

from nas_jax.spaces.space import SearchSpace

_BISECTIONS = 60
_TRIES = 1000


def spread_paths(
    rng: np.random.Generator, space: SearchSpace, costs: np.ndarray, count: int
) -> np.ndarray:
    """Distinct paths, Int `[count L]`, by rising expected cost; `costs` is `[L K]`.

    Raises `ValueError` if the space has fewer networks.
    """
    if count < 2 or space.architectures < count:
        raise ValueError(
            f"space {space.name!r}: expected 2 to {space.architectures} networks to "
            f"draw, got {count}"
        )
    costs = np.where(space.mask, costs, np.nan)
    smallest, largest = np.nanmin(costs, axis=1).sum(), np.nanmax(costs, axis=1).sum()
    paths: dict[tuple[int, ...], None] = {}
    for goal in np.linspace(smallest, largest, count):
        probs = _tilted(costs, _tilt(costs, goal))
        for _ in range(_TRIES):
            path = tuple(int(rng.choice(len(row), p=row)) for row in probs)
            if path not in paths:
                break
            # a hard tilt leaves one path only: soften it step by step
            probs = 0.9 * probs + 0.1 * space.mask / space.mask.sum(1, keepdims=True)
        paths[path] = None
    if len(paths) < count:
        raise ValueError(
            f"space {space.name!r}: expected {count} distinct networks, drew "
            f"{len(paths)}; ask for fewer"
        )
    return np.array(list(paths))


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
