"""The best choice of one item per group within budgets: the multiple-choice knapsack.

    maximise sum_l v_l,k(l)   subject to   fixed_d + sum_l c_d,l,k(l) <= limit_d

With log-probabilities for values and an additive table for costs this is the most
probable network that keeps its targets.

Of one budget: layers are added one after the other to a front of partial choices. A
partial choice is left out

- if it cannot be completed within the limit;
- if another one costs no more and is worth no less (dominance: with sums from left to
  right this holds in floating point too, as adding rounds monotonically);
- if it cannot be completed to more than the best choice known, by the Lagrangian
  bound v + sum_rest max_k (v_lk - lambda c_lk) + lambda (limit - c) for lambda >= 0,
  with the lambda of the linear relaxation (Sinha and Zoltners, 1979).

All three lose nothing, so the result is exact. Only if the front outgrows its size,
which has not been seen, are its least promising members dropped.

Several budgets that leave little room outgrow any front. They are an integer program,
solved by HiGHS (`scipy.optimize.milp`): x_lk in {0, 1}, sum_k x_lk = 1. HiGHS works
with tolerances, and loses choices where costs differ by many powers of ten. So it gets
whole numbers: costs above the cheapest item of a layer, in 1/20,000 of the room that a
budget leaves above its cheapest choice. Rounded down they lose no choice, and one
found beyond its budget is excluded. Rounded up, which is done after too many of these,
they admit no wrong one. What may have been lost is told (`gap`, `is_complete`).
"""

import heapq
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

_FRONTS = (200, 10_000)
"""Partial choices of the first pass, which looks for a good choice to measure others
by, and of the second; more are needed by none of the spaces here."""
_GRID = 2e4
"""Whole numbers that the room of a budget is cut into for HiGHS: so few that what it
takes for 0 or 1, within 1e-6, changes the sum of 21 layers by less than half of one."""
_STEP = 2.0**-7
"""Between two of them, as HiGHS sees it: far above its tolerance of 1e-6."""
_ROUNDING = 1e-9
"""Relative; a bound that is above a value by less is met by it."""
_EPS = float(np.finfo(float).eps)
_INFEASIBLE = 2
"""SciPy's word for it."""
_SECONDS = 20.0
"""Of one integer program, after which the best choice known is taken, with its bound.
The paper's space under three tight limits takes 0.4 s at most."""
_EXCLUDED = 20
"""Choices beyond a limit by less than the grid shows, after which costs are rounded up.
"""


class Choice(NamedTuple):
    """A choice within the budgets, and by how much the best may be worth more.

    The gap is 0 where the choice is proven to be the best of all but those before it.
    """

    picks: Int[np.ndarray, "L"]
    value: float
    costs: Float[np.ndarray, "D"]
    gap: float


class Ranking(NamedTuple):
    """Choices, the best first, and whether all is proven.

    `excluded` counts choices of the integer program that were beyond a limit by less
    than its grid shows. `is_complete` says that fewer choices than were asked for are
    all there are.
    """

    choices: list[Choice]
    excluded: int = 0
    is_complete: bool = True


def solve(
    values: Float[np.ndarray, "L K"],
    costs: Float[np.ndarray, "D L K"],
    fixed: Float[np.ndarray, "D"],
    limits: Float[np.ndarray, "D"],
) -> Choice | None:
    """The first of `ranked`; None if no choice within the limits was found."""
    return next(iter(ranked(values, costs, fixed, limits, 1).choices), None)


def ranked(
    values: Float[np.ndarray, "L K"],
    costs: Float[np.ndarray, "D L K"],
    fixed: Float[np.ndarray, "D"],
    limits: Float[np.ndarray, "D"],
    count: int,
) -> Ranking:
    """The `count` most valuable choices within all limits, the best first.

    Of one budget, ties go to the cheaper choice. In order as long as no choice has a
    gap.

    Args:
      values: of every item, -inf for one that is not offered.
      costs: of every item, finite, for every budget.
      fixed: what any choice costs beforehand.
      limits: what a choice may cost; sums are taken from left to right.
      count: how many; fewer if there are not as many.
    """
    knapsack = _Knapsack(values, costs, fixed, limits)
    if len(limits) == 1:
        return Ranking([*itertools.islice(_by_front(knapsack), count)])
    return _by_integer_program(knapsack, count)


class _Knapsack(NamedTuple):
    """The arguments of `solve`."""

    values: Float[np.ndarray, "L K"]
    costs: Float[np.ndarray, "D L K"]
    fixed: Float[np.ndarray, "D"]
    limits: Float[np.ndarray, "D"]

    @property
    def offered(self) -> Bool[np.ndarray, "L K"]:
        return np.isfinite(self.values)

    @property
    def rounding(self) -> Float[np.ndarray, "D"]:
        """More than rounding makes of any sum of costs, in their units."""
        largest = np.where(self.offered, np.abs(self.costs), 0).max(axis=2).sum(axis=1)
        terms = np.abs(self.fixed) + np.abs(self.limits) + largest
        return 4 * len(self.values) * _EPS * terms

    @property
    def above_cheapest(self) -> Float[np.ndarray, "D L K"]:
        """Costs above that of the cheapest item of the layer."""
        least = np.where(self.offered, self.costs, np.inf).min(axis=2)
        return self.costs - least[:, :, None]

    @property
    def room(self) -> Float[np.ndarray, "D"]:
        """What the limits leave above the cheapest choices, rounding included."""
        least = np.where(self.offered, self.costs, np.inf).min(axis=2)
        return self.limits - self.fixed - least.sum(axis=1) + self.rounding

    def affordable(self) -> "_Knapsack | None":
        """The same without the items of no choice within the limits.

        None if that leaves a layer empty.
        """
        left = self
        while left.offered.any(axis=1).all():
            room = left.room[:, None, None]
            fits = np.all(left.above_cheapest <= room, axis=0)
            if fits[left.offered].all():
                return left
            left = left._replace(values=np.where(fits, left.values, -np.inf))
        return None


# --- one budget: a front of partial choices -------------------------------------------


def _by_front(knapsack: _Knapsack) -> Iterator[Choice]:
    """All choices, the best first.

    All other choices than the best differ from it first in some layer; of each such
    part the best is known, and the best of those is the next (Lawler, 1972).
    """
    parts: list[tuple[float, int, Choice, np.ndarray]] = []
    number = itertools.count()  # equal values: first found, first out

    def add(part: np.ndarray) -> None:
        affordable = knapsack._replace(values=part).affordable()
        if affordable is None:
            return
        best = _best(affordable)
        if best is not None:
            heapq.heappush(parts, (-best.value, next(number), best, part))

    add(knapsack.values)
    while parts:
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


def _best(knapsack: _Knapsack) -> Choice | None:
    """The most valuable choice, with the smaller of both passes' bounds on the best."""
    prices, best = _prices(knapsack), None
    for size in _FRONTS:
        known = -np.inf if best is None else best.value
        choice = _sweep(knapsack, prices, known, size)
        if choice is None or best is None:
            best = choice or best
        else:
            most = min(best.value + best.gap, choice.value + choice.gap)
            best = max(best, choice, key=lambda each: each.value)
            best = best._replace(gap=max(most - best.value, 0.0))
        if choice is not None and choice.gap == 0:
            break
    return best


def _prices(knapsack: _Knapsack) -> Float[np.ndarray, "M"]:
    """Prices of the budget to bound with: that of the linear relaxation, and near it.

    Any lambda >= 0 gives a true bound, so a failed relaxation costs time, not truth.
    """
    worth, rows, one_each = _linear(knapsack)
    units = np.maximum(knapsack.room, np.finfo(float).tiny)
    relaxed = linprog(
        -worth,
        A_ub=rows / units[:, None],
        b_ub=knapsack.room / units,
        A_eq=one_each,
        b_eq=np.ones(len(one_each)),
    )
    if relaxed.status != 0:
        return np.zeros(1)
    price = np.maximum(-relaxed.ineqlin.marginals, 0.0) / units
    return np.array([0.0, 0.5, 0.8, 1.0, 1.25, 2.0]) * price


def _sweep(
    knapsack: _Knapsack, prices: np.ndarray, known: float, size: int
) -> Choice | None:
    """One pass over the layers with at most `size` partial choices."""
    values, (costs,), (fixed,), (limit,) = knapsack
    offered, (rounding,) = knapsack.offered, knapsack.rounding
    cheapest = _rest(np.where(offered, costs, np.inf).min(axis=1))
    # [L + 1 M]: the most that the layers still to come are worth at these prices
    priced = values[None] - np.multiply.outer(prices, costs)
    worth = _rest(priced.max(axis=2).T)
    # [M]: sums of values less priced costs cancel, and round as their terms do
    largest = np.where(offered, np.abs(values), 0).max(axis=1).sum()
    widened = 4 * len(values) * _EPS * largest + 2 * prices * rounding
    value, cost = np.zeros(1), np.array([fixed], float)
    history: list[tuple[np.ndarray, np.ndarray]] = []
    lost = -np.inf
    for layer, row in enumerate(values):
        items = np.flatnonzero(offered[layer])
        parents = np.repeat(np.arange(len(value)), len(items))
        picks = np.tile(items, len(value))
        value = value[parents] + row[picks]
        cost = cost[parents] + costs[layer, picks]
        is_last = layer == len(values) - 1
        slack = 0.0 if is_last else rounding
        fits = cost + cheapest[layer + 1] <= limit + slack
        left = np.multiply.outer(np.maximum(limit - cost, 0.0), prices)
        bound = value + (worth[layer + 1] + left + widened).min(axis=1)
        front = np.flatnonzero(fits & (bound >= known))
        if not len(front):
            return None
        # the most valuable first, of these the cheapest, of these the first
        front = front[np.lexsort((cost[front], -value[front]))]
        least = np.minimum.accumulate(cost[front])
        front = front[np.append(True, cost[front][1:] < least[:-1])]
        if len(front) > size:
            by_bound = np.argsort(-bound[front], kind="stable")
            lost = max(lost, float(bound[front[by_bound[size]]]))
            front = front[np.sort(by_bound[:size])]
        history.append((parents[front], picks[front]))
        value, cost = value[front], cost[front]
    best, place = np.zeros(len(values), int), 0
    for layer, (parents, picks) in reversed(list(enumerate(history))):
        best[layer], place = picks[place], parents[place]
    gap = max(lost - float(value[0]), 0.0)
    return Choice(best, float(value[0]), cost[:1], gap)


def _rest(per_layer: Float[np.ndarray, "L *M"]) -> Float[np.ndarray, "L+1 *M"]:
    """Sums over the layers from each one on; 0 after the last."""
    ends = np.zeros((1, *per_layer.shape[1:]))
    return np.concatenate([np.cumsum(per_layer[::-1], axis=0)[::-1], ends])


# --- several budgets: an integer program ----------------------------------------------


def _by_integer_program(knapsack: _Knapsack, count: int) -> Ranking:
    """The best choices, in order up to the rounding of sums.

    A choice found is excluded by a further constraint, and the next best is asked for.
    """
    affordable = knapsack.affordable()
    if affordable is None:
        return Ranking([])
    values, costs, fixed, limits = affordable
    layers, items = np.nonzero(affordable.offered)
    worth, rows, one_each = _linear(affordable)
    most, unit = _scale(affordable)
    units = np.maximum(affordable.room, np.finfo(float).tiny)[:, None] / _GRID
    budgets = _on_grid(np.floor(rows / units))
    others = [LinearConstraint(one_each, 1, 1)]
    found: list[Choice] = []
    excluded, lost = 0, -np.inf
    while len(found) < count and excluded <= 2 * _EXCLUDED:
        solution = milp(
            -worth / unit,
            constraints=[budgets, *others],
            integrality=np.ones(len(worth)),
            bounds=Bounds(0, 1),
            options={"time_limit": _SECONDS, "mip_rel_gap": 0.0},
        )
        if solution.x is None:
            is_proven = solution.status == _INFEASIBLE and lost == -np.inf
            return Ranking(found, excluded, is_proven)
        bound = most - unit * float(solution.mip_dual_bound)
        chosen = solution.x > 0.5
        picks = np.full(len(values), -1)
        picks[layers[chosen]] = items[chosen]
        value, spent = 0.0, np.array(fixed, float)
        for layer, pick in enumerate(picks):
            value += float(values[layer, pick])
            spent = spent + costs[:, layer, pick]
        # HiGHS of SciPy 1.14 called a choice optimal that left a layer out
        if (picks >= 0).all() and (spent <= limits).all():
            gap = max(bound, lost) - value
            is_best = gap <= _ROUNDING * (unit + abs(value))
            found.append(Choice(picks, value, spent, 0.0 if is_best else gap))
        else:
            excluded += 1
            if excluded == _EXCLUDED:
                lost = bound
                budgets = _on_grid(np.ceil(rows / units))
        all_but_one = len(values) - 1
        others.append(LinearConstraint(chosen[None].astype(float), 0, all_but_one))
    return Ranking(found, excluded, is_complete=False)


def _on_grid(rows: Float[np.ndarray, "D N"]) -> LinearConstraint:
    """Sums of whole numbers within the room, which ends half a step above."""
    return LinearConstraint(_STEP * rows, -np.inf, _STEP * (_GRID + 0.5))


def _linear(knapsack: _Knapsack) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the offered items: values below the best, costs above the cheapest; groups."""
    values, offered = knapsack.values, knapsack.offered
    layers, _ = np.nonzero(offered)
    worth = (values - values.max(axis=1, keepdims=True))[offered]
    one_each = np.equal.outer(np.arange(len(values)), layers).astype(float)
    return worth, knapsack.above_cheapest[:, offered], one_each


def _scale(knapsack: _Knapsack) -> tuple[float, float]:
    """The value of the best items, and the unit in which HiGHS counts what is below.

    So small that HiGHS, which is content within 1e-6, tells choices apart.
    """
    values = knapsack.values
    best = values.max(axis=1)
    least = np.where(knapsack.offered, values, np.inf).min(axis=1)
    return float(best.sum()), 1e-4 * float((best - least).max()) or 1.0
