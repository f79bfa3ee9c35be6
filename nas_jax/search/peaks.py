"""A cost that is the largest of a network's parts, as the memory of its activations is.

A network keeps a limit on it exactly if each of its parts does. So the limit is no
budget that candidates share: it leaves out those of each layer that are above it alone,
before a search begins, and every network of the others keeps it.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from nas_jax.search.derivation import TIE


class Peaks(NamedTuple):
    """That of all candidates `[L K]`, and the largest of what is always there."""

    candidates: Float[np.ndarray, "L K"]
    fixed: float

    def of_path(self, path: np.ndarray) -> float:
        """That of a path, Int `[L]`."""
        each = self.candidates[np.arange(len(path)), path]
        return max(self.fixed, float(each.max()))

    def reachable(self, mask: Bool[np.ndarray, "L K"]) -> tuple[float, float]:
        """Of the smallest and of the largest network; `mask` as of the space."""
        least = np.where(mask, self.candidates, np.inf).min(axis=1).max()
        most = np.where(mask, self.candidates, -np.inf).max()
        return max(self.fixed, float(least)), max(self.fixed, float(most))

    def within(self, limit: float) -> Bool[np.ndarray, "L K"]:
        """Which candidates keep a limit.

        >>> Peaks(np.array([[8.0, 12.0], [4.0, 9.0]]), 2.0).within(9.0)
        array([[ True, False],
               [ True,  True]])
        """
        return self.candidates <= limit * (1 + TIE)
