"""Derivation: from architecture parameters to one network.

Without a limit the most probable candidate of every layer stays (ProxylessNAS, section
3.2, end). Under limits the whole network is chosen: of those that keep every limit by
table, the one with the largest product of probabilities, by `knapsack`. Ties go to the
cheaper network, then to the lower index.

A search at rest at E = T mixes a cheaper and a dearer candidate in a layer or two. The
most probable network within T takes the cheaper one and may leave a good share of T
unspent; `max_slack` asks for a network that leaves no more than this share.

What is not proven is told: how much more probable another network may be, how many were
passed over beyond a limit, and whether there may be one that spends more.
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
TIE = 1e-12
"""Share of a limit by which sums of costs differ with their order: within it, a network
costs as much as the limit and keeps it."""


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
    this one is proven to be the best. `excluded` counts networks that were passed over,
    beyond a limit by less than the solver's grid shows. `is_spent` is False where no
    network was found that spends the target, so that the best of all within the limits
    was taken; with `is_proven` there is none.
    """

    path: Int[np.ndarray, "L"]
    slack: dict[str, float]
    log_prob_given_up: float
    log_prob_gap: float
    excluded: int
    is_spent: bool
    is_proven: bool


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

    If none is found that does, the most probable ones that keep all limits. A
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
    spending = [*limits, _spent(limits[0], max_slack)] if max_slack < 1 else limits
    asked = ranking = choose(log_probs, spending, count)
    if not asked.choices and max_slack < 1:
        ranking = choose(log_probs, limits, count)
    if not ranking.choices:
        minima = [np.where(space.mask, each.costs, np.inf).min(1) for each in limits]
        reach = ", ".join(
            f"{limit.name} at most {limit.target:.6g}, reachable from "
            f"{lowest.sum() + limit.fixed:.6g}"
            for limit, lowest in zip(limits, minima, strict=True)
        )
        doubt = "" if ranking.is_complete else ", which does not prove that none is"
        raise ValueError(
            f"derivation: expected a network of space {space.name!r} within every "
            f"limit, found none{doubt} ({reach}); raise a target"
        )
    most = float(log_probs.max(axis=1).sum())
    return [
        Derived(
            choice.picks,
            {
                limit.name: max(0.0, float(1 - amount / limit.target))
                for limit, amount in zip(limits, choice.costs, strict=False)
            },
            most - choice.value,
            choice.gap,
            ranking.excluded,
            bool(asked.choices),
            bool(asked.choices) or asked.is_complete,
        )
        for choice in ranking.choices
    ]


def _spent(limit: Limit, max_slack: float) -> Limit:
    """That at most this share of a limit is left, as a limit."""
    least = (1 - max_slack) * limit.target
    return Limit(f"{limit.name} spent", -np.asarray(limit.costs), -limit.fixed, -least)


def choose(
    values: Float[np.ndarray, "L K"], limits: Sequence[Limit], count: int = 1
) -> knapsack.Ranking:
    """The most valuable choices within all limits; -inf stands for not offered."""
    costs = np.stack([limit.costs for limit in limits])
    fixed = np.array([limit.fixed for limit in limits])
    targets = np.array([limit.target for limit in limits])
    return knapsack.ranked(values, costs, fixed, targets + TIE * abs(targets), count)


def _checked(space: SearchSpace, probs: np.ndarray) -> Float[np.ndarray, "L K"]:
    probs = np.asarray(probs, np.float64)
    if probs.shape != space.mask.shape or not np.isfinite(probs).all():
        raise ValueError(
            f"derivation needs finite probabilities of shape {space.mask.shape}, got "
            f"shape {probs.shape} with {int((~np.isfinite(probs)).sum())} non-finite; "
            "the search diverged or belongs to another space"
        )
    return probs
