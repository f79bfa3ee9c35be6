"""Additive costs of a network, and their expectation under alpha.

ProxylessNAS, section 3.3: E[cost] = fixed + sum_l sum_k p_lk F_lk, with F_lk the cost
of candidate k in layer l: its latency by table in ms, its multiply-adds or parameters.
The table was resolved to a dense array beforehand, so only arithmetic is left here and
the expectation is differentiable: dE/dp_lk = F_lk, and through the softmax
dE/dalpha_i = p_i (F_i - sum_j p_j F_j).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nas_jax.base import Alphas, Costs, Mask, Path, PathPair, Probs, Scalar
from nas_jax.search import gates


class CostModel(NamedTuple):
    """Costs of all candidates (0 where masked), and of the parts always there.

    In one unit. Several costs at once, as `stack` puts them, have a leading axis D.
    """

    costs: Costs
    fixed: Float[Array, "*D"] | float


def stack(models: Sequence[CostModel]) -> CostModel:
    """Several costs of the same candidates, `[D L K]` and `[D]`."""
    return CostModel(
        jnp.stack([model.costs for model in models]),
        jnp.array([model.fixed for model in models], jnp.float32),
    )


def expected(model: CostModel, probs: Probs) -> Float[Array, "*D"]:
    """fixed + sum p F. At one-hot `probs` it is the cost of that path.

    >>> expected(CostModel(jnp.array([[1.0, 3.0]]), 0.5), jnp.array([[0.25, 0.75]]))
    Array(3., dtype=float32)
    """
    probs = jnp.expand_dims(probs, range(model.costs.ndim - 2))
    return model.fixed + jnp.sum(probs * model.costs, axis=(-2, -1))


def expected_full(model: CostModel, alphas: Alphas, mask: Mask) -> Float[Array, "*D"]:
    """The expectation over all candidates of every layer."""
    return expected(model, gates.probabilities(alphas, mask))


def expected_pair(model: CostModel, alphas: Alphas, pair: PathPair) -> Scalar:
    """The expectation over the sampled pair of every layer, with q for p.

    A noisy value, but its gradient leaves unsampled alphas alone: the two-path update
    of the reference.
    """
    q = gates.pair_probabilities(alphas, pair)
    return model.fixed + jnp.sum(
        q * jnp.take_along_axis(model.costs, pair.indices, axis=1)
    )


def of_path(model: CostModel, path: Path) -> Float[Array, "*D"]:
    """Cost of one network: the sum of its table entries."""
    layers = jnp.arange(model.costs.shape[-2])
    return model.fixed + jnp.sum(model.costs[..., layers, path], axis=-1)


def of_paths(model: CostModel, paths: np.ndarray) -> np.ndarray:
    """Cost of every path `[N L]`, Float64 `[N]`."""
    costs = np.asarray(model.costs, np.float64)
    return model.fixed + costs[np.arange(paths.shape[1]), paths].sum(axis=1)


def reachable(model: CostModel, mask: np.ndarray) -> tuple[float, float]:
    """The smallest and the largest cost of any network of the space."""
    costs = np.asarray(model.costs)
    smallest = np.where(mask, costs, np.inf).min(axis=1).sum()
    largest = np.where(mask, costs, -np.inf).max(axis=1).sum()
    return float(model.fixed + smallest), float(model.fixed + largest)
