"""Pruning of improbable candidates during a search, to a smaller supernet.

ProxylessNAS derives the network by pruning redundant paths at the end (section 3.2);
here the same cut is made early. The softmax over fewer alphas renormalises the
probabilities of the others.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

from nas_jax import supernet
from nas_jax.base import Alphas, PyTree
from nas_jax.search import gates
from nas_jax.search.search_state import SearchState
from nas_jax.search.weight_step import in_params_trees
from nas_jax.spaces.space import SearchSpace


def surviving(space: SearchSpace, probs: np.ndarray, below: float) -> np.ndarray:
    """Bool `[L K]`: the candidates at least as probable as `below`.

    The most probable candidate of a layer always stays.

    >>> from nas_jax.spaces.builders import imagenet_mobile
    >>> space = imagenet_mobile()
    >>> probs = np.where(space.mask, np.array([5, 1, 1, 1, 1, 1, 0]) / 10, 0)
    >>> surviving(space, probs, 0.2).sum(axis=1).max()
    np.int64(1)
    """
    keep = space.mask & (np.asarray(probs) >= below)
    best = np.where(space.mask, probs, -np.inf).argmax(axis=1)
    keep[np.arange(len(best)), best] = True
    return keep


def require_below_chance(space: SearchSpace, below: float) -> None:
    """Raises `ValueError` for a threshold that undecided candidates are below."""
    most = int(space.mask.sum(axis=1).max())
    if below >= 1 / most:
        raise ValueError(
            f"search.prune_below: expected less than 1/{most}, the probability of an "
            f"undecided candidate among {most}, got {below:g}"
        )


def restrict(space: SearchSpace, keep: np.ndarray) -> SearchSpace:
    """The space with the candidates of each layer that `keep` `[L K]` names.

    The K candidate operations of the space stay, so arrays `[L K]` keep their shape.
    """
    layers = []
    for layer, row in zip(space.layers, keep, strict=True):
        kept = {
            op for op, is_kept in zip(space.candidates, row, strict=True) if is_kept
        }
        candidates = tuple(op for op in layer.candidates if op in kept)
        layers.append(dataclasses.replace(layer, candidates=candidates))
    return dataclasses.replace(space, layers=tuple(layers))


def pruned(space: SearchSpace, alphas: Alphas, below: float) -> SearchSpace:
    """The space of the candidates that survive with these alphas."""
    probs = np.asarray(gates.probabilities(alphas, jnp.asarray(space.mask)))
    return restrict(space, surviving(space, probs, below))


def shrink(space: SearchSpace, smaller: SearchSpace, state: SearchState) -> SearchState:
    """The state with the weights, momentum and statistics of `smaller`, bit-unchanged.

    Alphas of removed candidates stay in the array and are masked.
    """

    def select(tree: PyTree, batch_stats: bool = False) -> PyTree:
        return supernet.select(space, smaller, tree, batch_stats=batch_stats)

    return dataclasses.replace(
        state,
        params=select(state.params),
        batch_stats=select(state.batch_stats, batch_stats=True),
        weight_opt=in_params_trees(select, state.weight_opt),
    )
