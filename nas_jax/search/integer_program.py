"""The best choices of one item per group within several budgets, by branch and bound.

The same problem as in `knapsack`, as an integer program: x_lk in {0, 1},

    maximise sum v_lk x_lk,  sum_k x_lk = 1 for every l,
    fixed_d + sum c_dlk x_lk <= limit_d for every d,

solved by HiGHS (`scipy.optimize.milp`). What is found is excluded by a further
constraint, and the next best is asked for. HiGHS lets a constraint be missed by a
tolerance; a choice that does so is excluded as well, and one that is none.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import Bounds, LinearConstraint, milp

SECONDS = 20.0
"""Of one solution, after which the best choice known is taken, with its bound. The
paper's space under three tight limits takes 0.4 s at most."""
_EXCLUDED = 20
"""Choices beyond a limit, within HiGHS's tolerance, after which it is given up."""


def ranked(
    values: Float[np.ndarray, "L K"],
    costs: Float[np.ndarray, "D L K"],
    fixed: Float[np.ndarray, "D"],
    limits: Float[np.ndarray, "D"],
) -> Iterator[tuple[Int[np.ndarray, "L"], float]]:
    """Picks, the best first, and what none of those still to come is worth more than.

    Arguments as `knapsack.solve` takes them.
    """
    layers, items = np.nonzero(np.isfinite(values))
    worth = values[layers, items]
    scales = np.maximum(np.abs(costs).max(axis=(1, 2)), np.finfo(float).tiny)
    rows = costs[:, layers, items] / scales[:, None]
    one_each = np.equal.outer(np.arange(len(values)), layers).astype(float)
    constraints = [
        LinearConstraint(rows, -np.inf, (limits - fixed) / scales),
        LinearConstraint(one_each, 1, 1),
    ]
    excluded = 0
    while excluded <= _EXCLUDED:
        found = milp(
            -worth,
            constraints=constraints,
            integrality=np.ones(len(worth)),
            bounds=Bounds(0, 1),
            options={"time_limit": SECONDS, "mip_rel_gap": 0.0},
        )
        if found.x is None:
            return
        chosen = found.x > 0.5
        picks = np.full(len(values), -1)
        picks[layers[chosen]] = items[chosen]
        # HiGHS of SciPy 1.14 called a choice optimal that left a layer out
        is_whole = bool((picks >= 0).all())
        if is_whole and (spent(costs, fixed, picks) <= limits).all():
            yield picks, -float(found.mip_dual_bound)
        else:
            excluded += 1
        most = len(values) - 1
        constraints.append(LinearConstraint(chosen[None].astype(float), 0, most))


def spent(
    costs: Float[np.ndarray, "D L K"],
    fixed: Float[np.ndarray, "D"],
    picks: Int[np.ndarray, "L"],
) -> Float[np.ndarray, "D"]:
    """What a choice costs; sums are taken from left to right.

    >>> spent(np.array([[[1.0, 2.0], [3.0, 4.0]]]), np.array([0.5]), np.array([1, 0]))
    array([5.5])
    """
    total = np.array(fixed, float)
    for layer, pick in enumerate(picks):
        total = total + costs[:, layer, pick]
    return total
