"""The best choice of one item per group within budgets: the multiple-choice knapsack.

Maximise sum_l v_l,k(l) subject to fixed_d + sum_l c_d,l,k(l) <= limit_d for every d.
With log-probabilities for values and an additive table for costs this is the most
probable network that keeps its targets.

Layers are added one after the other to a front of partial choices. A partial choice is
left out

- if it cannot be completed within a limit;
- if another one costs no more and is worth no less (dominance: with sums from left to
  right this holds in floating point too, as adding rounds monotonically);
- if it cannot be completed to more than the best choice known, by the Lagrangian
  bound v + sum_rest max_k (v_lk - lambda c_lk) + lambda (limit - c) for lambda >= 0,
  with the lambda of the linear relaxation (Sinha and Zoltners, 1979).

All three lose nothing, so the result is exact. Only if the front outgrows its size are
its least promising members dropped. With one budget that has not been seen. Several
that leave little room outgrow any front, and then `integer_program` decides; should it
run out of time, the bound on what may have been lost is reported as `gap`.
"""

import heapq
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linprog

from nas_jax.search import integer_program

FRONT = 10_000
"""Partial choices kept; more are needed by none of the spaces here."""
_FIRST_FRONT = 200
"""Of the pass that looks for a good choice to measure the others by; with several
budgets the only one."""
_PAIRWISE = 2_000
"""With several budgets, fronts up to this size are searched for dominated members."""
_ROUNDING = 1e-9
"""Relative; bounds are widened by it, so that rounding never cuts off the best."""


class Choice(NamedTuple):
    """A choice within the budgets, and by how much the best may be worth more.

    The gap is 0 where the choice is proven to be the best.
    """

    picks: Int[np.ndarray, "L"]
    value: float
    costs: Float[np.ndarray, "D"]
    gap: float


def solve(
    values: Float[np.ndarray, "L K"],
    costs: Float[np.ndarray, "D L K"],
    fixed: Float[np.ndarray, "D"],
    limits: Float[np.ndarray, "D"],
    front: int = FRONT,
) -> Choice | None:
    """The most valuable choice within all limits; ties go to the cheaper one.

    Args:
      values: of every item, -inf for one that is not offered.
      costs: of every item, finite, for every budget.
      fixed: what any choice costs beforehand.
      limits: what a choice may cost; sums are taken from left to right.
      front: partial choices kept.

    Returns:
      None if there is no choice within the limits.
    """
    given = Knapsack(values, costs, fixed, limits)
    multipliers, best = _multipliers(given), None
    first, is_single = min(_FIRST_FRONT, front), len(limits) == 1
    for size in (first, front) if is_single else (first,):
        known = -np.inf if best is None else best.value
        found = _sweep(given, multipliers, known, size)
        best = _better(best, found)
        if found is not None and found.gap == 0:
            return best
    if is_single:
        return best
    return _better(best, next(_programmed(given), None))


def ranked(
    values: Float[np.ndarray, "L K"],
    costs: Float[np.ndarray, "D L K"],
    fixed: Float[np.ndarray, "D"],
    limits: Float[np.ndarray, "D"],
    count: int,
    front: int = FRONT,
) -> Iterator[Choice]:
    """The `count` most valuable choices within all limits, the best first.

    All other choices than the best differ from it first in some layer; of each such
    part the best is known, and the best of those is the next (Lawler, 1972). Several
    budgets are left to the integer program. In order as long as no choice has a gap.
    Arguments as `solve` takes them.
    """
    if len(limits) > 1:
        programmed = _programmed(Knapsack(values, costs, fixed, limits))
        yield from itertools.islice(programmed, count)
        return
    parts: list[tuple[float, int, Choice, np.ndarray]] = []
    number = itertools.count()  # equal values: first found, first out

    def add(part: np.ndarray) -> None:
        if np.isfinite(part).any(axis=1).all():
            best = solve(part, costs, fixed, limits, front)
            if best is not None:
                heapq.heappush(parts, (-best.value, next(number), best, part))

    add(values)
    for _ in range(count):
        if not parts:
            return
        _, _, choice, part = heapq.heappop(parts)
        yield choice
        for layer, pick in enumerate(choice.picks):
            others = part.copy()
            others[layer, pick] = -np.inf
            add(others)
            only = np.arange(part.shape[1]) == pick
            part = np.where(
                only | (np.arange(len(part)) != layer)[:, None], part, -np.inf
            )


class Knapsack(NamedTuple):
    """The arguments of `solve`."""

    values: Float[np.ndarray, "L K"]
    costs: Float[np.ndarray, "D L K"]
    fixed: Float[np.ndarray, "D"]
    limits: Float[np.ndarray, "D"]


def _programmed(given: Knapsack) -> Iterator[Choice]:
    """What the integer program finds; it knows the best up to the rounding of sums."""
    for picks, bound in integer_program.ranked(*given):
        value = 0.0
        for layer, pick in enumerate(picks):
            value += float(given.values[layer, pick])
        gap = bound - value
        is_best = gap <= _ROUNDING * (1 + abs(bound))
        spent = integer_program.spent(given.costs, given.fixed, picks)
        yield Choice(picks, value, spent, 0.0 if is_best else gap)


def _better(one: Choice | None, other: Choice | None) -> Choice | None:
    """The more valuable, with the smaller of both limits on the best."""
    if one is None or other is None:
        return one or other
    most = min(one.value + one.gap, other.value + other.gap)
    best = max(one, other, key=lambda choice: choice.value)
    return best._replace(gap=max(most - best.value, 0.0))


def _multipliers(given: Knapsack) -> Float[np.ndarray, "M D"]:
    """Prices of the budgets to bound with: those of the linear relaxation, and near it.

    Any lambda >= 0 gives a true bound, so a failed relaxation costs time, not truth.
    """
    values, costs, fixed, limits = given
    layers, items = np.nonzero(np.isfinite(values))
    scales = np.maximum(np.abs(costs).max(axis=(1, 2)), np.finfo(float).tiny)
    relaxed = linprog(
        -values[layers, items],
        A_ub=costs[:, layers, items] / scales[:, None],
        b_ub=(limits - fixed) / scales,
        A_eq=np.equal.outer(np.arange(len(values)), layers).astype(float),
        b_eq=np.ones(len(values)),
    )
    if relaxed.status != 0:
        return np.zeros((1, len(costs)))
    prices = np.maximum(-relaxed.ineqlin.marginals, 0.0) / scales
    return np.multiply.outer(np.array([0.0, 0.5, 0.8, 1.0, 1.25, 2.0]), prices)


def _sweep(
    given: Knapsack, multipliers: np.ndarray, known: float, size: int
) -> Choice | None:
    """One pass over the layers with at most `size` partial choices."""
    values, costs, fixed, limits = given
    offered = np.isfinite(values)
    cheapest = _rest(np.where(offered, costs, np.inf).min(axis=2).T)
    # [L + 1 M]: the most that the layers still to come are worth at these prices
    priced = values[None] - np.tensordot(multipliers, costs, axes=1)
    worth = _rest(priced.max(axis=2).T)
    slack = _ROUNDING * np.maximum(np.abs(limits), 1e-300)
    value, cost = np.zeros(1), np.array(fixed, float)[None]
    history: list[tuple[np.ndarray, np.ndarray]] = []
    lost = -np.inf
    for layer, row in enumerate(values):
        items = np.flatnonzero(offered[layer])
        parents = np.repeat(np.arange(len(value)), len(items))
        picks = np.tile(items, len(value))
        value = value[parents] + row[picks]
        cost = cost[parents] + costs[:, layer, picks].T
        is_last = layer == len(values) - 1
        wiggle = 0.0 if is_last else slack
        fits = (cost + cheapest[layer + 1] <= limits + wiggle).all(axis=1)
        left = np.maximum(limits - cost, 0.0)
        bound = value + (worth[layer + 1] + left @ multipliers.T).min(axis=1)
        bound += _ROUNDING * (1 + np.abs(bound))
        front = np.flatnonzero(fits & (bound >= known))
        if not len(front):
            return None
        # the most valuable first, of these the cheapest, of these the first
        order = np.lexsort((*cost[front].T[::-1], -value[front]))
        front = front[order][_undominated(cost[front[order]])]
        if len(front) > size:
            by_bound = np.argsort(-bound[front], kind="stable")
            lost = max(lost, float(bound[front[by_bound[size]]]))
            front = front[np.sort(by_bound[:size])]
        history.append((parents[front], picks[front]))
        value, cost = value[front], cost[front]
    return Choice(
        np.array(list(_trace(history)))[::-1],
        float(value[0]),
        cost[0],
        max(lost - float(value[0]), 0.0),
    )


def _rest(per_layer: Float[np.ndarray, "L X"]) -> Float[np.ndarray, "L+1 X"]:
    """Sums over the layers from each one on; 0 after the last."""
    ends = np.zeros((1, per_layer.shape[1]))
    return np.concatenate([np.cumsum(per_layer[::-1], axis=0)[::-1], ends])


def _undominated(cost: Float[np.ndarray, "N D"]) -> np.ndarray:
    """Bool `[N]`: no earlier row costs at most as much in everything.

    The rows come with falling value.
    """
    if cost.shape[1] == 1:
        cheapest = np.minimum.accumulate(cost[:, 0])
        return np.concatenate([[True], cost[1:, 0] < cheapest[:-1]])
    found = np.ones(len(cost), bool)
    if len(cost) <= _PAIRWISE:
        for row in range(len(cost)):
            if found[row]:
                found[row + 1 :] &= (cost[row + 1 :] < cost[row]).any(axis=1)
    return found


def _trace(history: list[tuple[np.ndarray, np.ndarray]]) -> Iterator[int]:
    """Picks of the first member of the last front, from the last layer to the first."""
    place = 0
    for parents, picks in reversed(history):
        yield int(picks[place])
        place = int(parents[place])
