"""What of each cost can be spent within the limits on all others.

The exact derivation tells it before a search begins: the largest amount of a cost that
a network takes which keeps the other limits. A target beyond that is no equality that a
search could come to: its multiplier would rise against the others' for ever.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Bool

from nas_jax.search import derivation
from nas_jax.search.cost import CostModel
from nas_jax.search.derivation import Limit

TIE = 1e-6
"""Share of a target within which costs are equal to a search, which adds in Float32."""


class Reach(NamedTuple):
    """The largest cost of a network that was found, and what no network exceeds.

    They differ where the derivation gave up; without a network, -inf is the first.
    """

    found: float
    bound: float


def reach(
    mask: Bool[np.ndarray, "L K"], limits: Sequence[Limit], place: int = 0
) -> Reach:
    """Of the cost of one limit within the others."""
    limit, others = limits[place], [*limits[:place], *limits[place + 1 :]]
    values = np.where(mask, limit.costs, -np.inf)
    if not others:
        most = float(limit.fixed + values.max(axis=1).sum())
        return Reach(most, most)
    ranking = derivation.choose(values, others)
    if not ranking.choices:
        return Reach(-np.inf, -np.inf if ranking.is_complete else np.inf)
    (best,) = ranking.choices
    most = limit.fixed + best.value
    return Reach(most, most + best.gap)


def is_spent(
    mask: Bool[np.ndarray, "L K"], model: CostModel, targets: ArrayLike
) -> Bool[np.ndarray, "*D"]:
    """Which constraints are equalities: the target, if a network can exceed it.

    One that keeps the other limits. `model` and `targets` are of one cost, or of D.
    """
    values = np.asarray(targets, np.float64)
    arrays = (
        np.asarray(model.costs, np.float64).reshape(-1, *mask.shape),
        np.broadcast_to(np.asarray(model.fixed, np.float64), values.shape).ravel(),
        values.ravel(),
    )
    limits = [Limit("", *each) for each in zip(*arrays, strict=True)]
    is_exceeded = reach(mask, limits).found > limits[0].target * (1 + TIE)
    is_first = np.arange(values.size).reshape(values.shape) == 0
    return is_first & is_exceeded
