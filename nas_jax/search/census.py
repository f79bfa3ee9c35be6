"""How many networks of a space cost how much, and draws among those of one cost.

Costs add up over layers, so the number of paths of every cost is a convolution, layer
by layer, of the numbers of candidates of every cost: exact on a grid of costs, in
milliseconds for spaces of 10^17 networks. Going back through the layers in proportion
to these numbers draws a path uniformly among all of one range of costs.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

STEPS = 2000
"""Of the grid below the upper end: each layer's cost is off by 1/4000 of it at most."""


@dataclass(frozen=True, eq=False)
class Census:
    """The paths through one space, counted on a grid of costs."""

    bins: Int[np.ndarray, "L K"]
    """Cost of every candidate, in units; `STEPS` + 1 for those not offered."""
    counts: Float[np.ndarray, "L1 N"]
    """Ways through the first l layers that cost n units, the fixed parts among them."""
    unit: float

    def between(self, low: float, high: float) -> float:
        """Number of networks that cost `low` to `high`."""
        return float(self.counts[-1, self._range(low, high)].sum(dtype=float))

    def nearest(self, cost: float) -> float:
        """The cost of some network that is nearest to this one."""
        filled = np.flatnonzero(self.counts[-1])
        return float(filled[np.abs(filled - cost / self.unit).argmin()] * self.unit)

    def draw(self, rng: np.random.Generator, low: float, high: float) -> np.ndarray:
        """A path, Int `[L]`, uniformly of those that cost `low` to `high`.

        Raises `ValueError` if there is none.
        """
        here = self._range(low, high)
        weights = self.counts[-1, here].astype(float)
        if not weights.sum():
            raise ValueError(
                f"expected a network that costs {low:.4g} to {high:.4g}, found none"
            )
        place = here.start + rng.choice(len(weights), p=weights / weights.sum())
        path = np.zeros(len(self.bins), int)
        for layer in reversed(range(len(path))):
            before = place - self.bins[layer]
            ways = np.where(before >= 0, self.counts[layer, np.maximum(before, 0)], 0.0)
            path[layer] = rng.choice(len(ways), p=ways / ways.sum())
            place = before[path[layer]]
        return path

    def _range(self, low: float, high: float) -> slice:
        first, last = int(np.ceil(low / self.unit)), int(high / self.unit)
        return slice(max(0, first), min(STEPS, last) + 1)


def of(
    costs: Float[np.ndarray, "L K"],
    mask: Bool[np.ndarray, "L K"],
    fixed: float,
    most: float,
) -> Census:
    """The census of a space, of networks that cost at most `most`.

    >>> costs, mask = np.array([[1.0, 2.0], [1.0, 3.0]]), np.ones((2, 2), bool)
    >>> of(costs, mask, 0.5, 10.0).between(2.5, 3.6)
    2.0
    """
    unit = most / STEPS
    bins = np.where(mask, np.rint(costs / unit), STEPS + 1).astype(int)
    counts = np.zeros((len(costs) + 1, STEPS + 1), np.float32)
    if fixed <= most:
        counts[0, round(fixed / unit)] = 1
    for layer, steps in enumerate(bins):
        for step in steps[steps <= STEPS]:
            counts[layer + 1, step:] += counts[layer, : STEPS + 1 - step]
    return Census(bins, counts, unit)
