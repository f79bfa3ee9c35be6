"""Derivation: from architecture parameters to one network.

Without a limit the most probable candidate of every layer stays (ProxylessNAS, section
3.2, end). Under limits the whole network is chosen: of those that keep every limit by
table, the one with the largest product of probabilities, by `knapsack`. Ties go to the
cheaper network, then to the lower index.

A search at rest at E = T mixes a cheaper and a dearer candidate in a layer or two. The
most probable network within T takes the cheaper one and may leave a good share of T
unspent; `max_slack` asks for a network that leaves no more than this share.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from nas_jax.search import knapsack
from nas_jax.spaces import architecture
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.space import SearchSpace

_VANISHED = float(np.finfo(np.float32).smallest_subnormal)


class Limit(NamedTuple):
    """An upper limit on a cost of a derived network, in the unit of that cost."""

    name: str
    costs: Float[np.ndarray, "L K"]
    fixed: float
    target: float


class Derived(NamedTuple):
    """A network within its limits, and what they cost in probability.

    `slack` is 1 - cost / target for every limit, by name. `log_prob_given_up` is the
    log-probability of the most probable network of all less that of this one;
    `log_prob_gap` is a bound on what the best choice has more than this one, 0 where
    this one is proven to be the best. `is_spent` is False where no network spends the
    target, so that the best of all within the limits was taken.
    """

    path: Int[np.ndarray, "L"]
    slack: dict[str, float]
    log_prob_given_up: float
    log_prob_gap: float
    is_spent: bool


def derive(
    space: SearchSpace, probs: np.ndarray, costs: np.ndarray, name: str = "searched"
) -> Architecture:
    """The network of the most probable path, whatever it costs.

    `probs` and `costs` are `[L K]`; costs decide ties. Raises `ValueError` if a
    probability is not finite, as after a diverged search.
    """
    return architecture.from_path(space, most_probable(space, probs, costs), name)


def most_probable(
    space: SearchSpace, probs: np.ndarray, costs: np.ndarray
) -> np.ndarray:
    """The most probable path, Int `[L]`."""
    probs = np.where(space.mask, _checked(space, probs), -1.0)
    is_best = probs == probs.max(axis=1, keepdims=True)
    return np.where(is_best, costs, np.inf).argmin(axis=1)


def most_probable_within(
    space: SearchSpace,
    probs: np.ndarray,
    limits: Sequence[Limit],
    max_slack: float = 1.0,
) -> Derived:
    """The first of `ranked_within`."""
    return ranked_within(space, probs, limits, max_slack, count=1)[0]


def ranked_within(
    space: SearchSpace,
    probs: np.ndarray,
    limits: Sequence[Limit],
    max_slack: float,
    count: int,
) -> list[Derived]:
    """The most probable paths of those that keep all limits and spend the first.

    If no network spends the first limit, the most probable ones that keep all limits. A
    probability of 0 counts as 1.4e-45, the smallest in float32: such a candidate is
    chosen where the limits leave no other.

    Args:
      space: the search space.
      probs: path probabilities, Float `[L K]`.
      limits: at least one; the first is the target.
      max_slack: share of the target that may be left unspent.
      count: how many, the most probable first; fewer if there are not as many.

    Raises:
      ValueError: if a probability is not finite, or no network within the limits was
        found; with one limit there is then none.
    """
    log_probs = np.log(np.maximum(_checked(space, probs), _VANISHED))
    log_probs = np.where(space.mask, log_probs, -np.inf)
    choices = []
    if max_slack < 1:
        name, costs, fixed, target = limits[0]
        least = -(1 - max_slack) * target
        spent = Limit(f"{name} spent", -np.asarray(costs), -fixed, least)
        choices = choose(log_probs, [*limits, spent], count)
    is_spent = bool(choices)
    choices = choices or choose(log_probs, limits, count)
    if not choices:
        minima = [np.where(space.mask, each.costs, np.inf).min(1) for each in limits]
        reach = ", ".join(
            f"{limit.name} at most {limit.target:.6g}, reachable from "
            f"{lowest.sum() + limit.fixed:.6g}"
            for limit, lowest in zip(limits, minima, strict=True)
        )
        raise ValueError(
            f"derivation: expected a network of space {space.name!r} within every "
            f"limit, found none ({reach}); raise a target"
        )
    most = float(log_probs.max(axis=1).sum())
    return [
        Derived(
            choice.picks,
            {
                limit.name: float(1 - amount / limit.target)
                for limit, amount in zip(limits, choice.costs, strict=False)
            },
            most - choice.value,
            choice.gap,
            is_spent,
        )
        for choice in choices
    ]


def choose(
    values: Float[np.ndarray, "L K"], limits: Sequence[Limit], count: int = 1
) -> list[knapsack.Choice]:
    """The most valuable choices within all limits; -inf stands for not offered."""
    costs = np.stack([limit.costs for limit in limits])
    fixed = np.array([limit.fixed for limit in limits])
    targets = np.array([limit.target for limit in limits])
    return list(knapsack.ranked(values, costs, fixed, targets, count))


def _checked(space: SearchSpace, probs: np.ndarray) -> Float[np.ndarray, "L K"]:
    probs = np.asarray(probs, np.float64)
    if probs.shape != space.mask.shape or not np.isfinite(probs).all():
        raise ValueError(
            f"derivation needs finite probabilities of shape {space.mask.shape}, got "
            f"shape {probs.shape} with {int((~np.isfinite(probs)).sum())} non-finite; "
            "the search diverged or belongs to another space"
        )
    return probs
