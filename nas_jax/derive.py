"""From architecture parameters to one network.

In every layer the most probable candidate stays (ProxylessNAS, section 3.2, end). Ties
go to the cheaper candidate, then to the lower index.
"""

import numpy as np

from nas_jax import architecture
from nas_jax.architecture import Architecture
from nas_jax.space import SearchSpace


def derive(
    space: SearchSpace, probs: np.ndarray, costs: np.ndarray, name: str = "searched"
) -> Architecture:
    """The network of the most probable path.

    Args:
      space: the search space.
      probs: path probabilities, Float `[L K]`.
      costs: cost of every candidate, Float `[L K]`; decides ties.

    Raises:
      ValueError: if a layer has no finite probability, as after a diverged search.
    """
    return architecture.from_path(space, most_probable(space, probs, costs), name)


def most_probable(
    space: SearchSpace, probs: np.ndarray, costs: np.ndarray
) -> np.ndarray:
    """The most probable path, Int `[L]`."""
    probs = np.asarray(probs)
    if probs.shape != space.mask.shape or not np.isfinite(probs).all():
        raise ValueError(
            f"derivation needs finite probabilities of shape {space.mask.shape}, got "
            f"shape {probs.shape} with {int((~np.isfinite(probs)).sum())} non-finite; "
            "the search diverged or belongs to another space"
        )
    probs = np.where(space.mask, probs, -1.0)
    is_best = probs == probs.max(axis=1, keepdims=True)
    return np.where(is_best, costs, np.inf).argmin(axis=1)
