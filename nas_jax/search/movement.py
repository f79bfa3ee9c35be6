"""How far the alphas of a search can move, and whether that takes it to its targets.

Adam without momentum moves an alpha by about `arch_lr` in a step, however small its
gradient: by arch_lr times steps at most, from where all candidates are alike. With all
alphas of a layer in [-A, A] the expected cost is least where the cheapest so many are
at A and all others at -A: it is a ratio of linear functions of the weights exp(alpha),
which is extreme at a corner of the box. So every target needs an A.

A search that moves less misses its targets; the network derived from it keeps them all
the same. That is told, not refused, since short searches are made to try things; nor is
the rate raised unasked, which is the paper's for a long search.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float

from nas_jax.config.search import SearchConfig
from nas_jax.search import schedule
from nas_jax.search.derivation import Limit

OFF = 0.02
"""Share of a target by which an expected cost may miss it untold."""
THERE_AND_BACK = 2.0
"""Of the way that a target needs, what alphas have to be able to move: to come to rest
there they go one way and the other. Below it made-up searches missed by up to 10 %."""
_COARSE = 0.1
"""A rate above which single steps would move the expected cost by some percent."""
_FURTHEST = 15.0


def needed(mask: Bool[np.ndarray, "L K"], limit: Limit, is_spent: bool = True) -> float:
    """How far alphas must move for an expected cost at the target, 15 at most.

    Or below it, if that is not to be spent.
    """
    room = limit.target - limit.fixed
    rows = [row[offered] for row, offered in zip(limit.costs, mask, strict=True)]
    above = sum(float(row.mean()) for row in rows) - room
    if above <= 0 and not is_spent:
        return 0.0
    sign = 1.0 if above > 0 else -1.0
    low, high = 0.0, _FURTHEST
    while high - low > 1e-3:
        middle = (low + high) / 2
        least = sum(_least(np.sort(sign * row), middle) for row in rows)
        low, high = (middle, high) if least > sign * room else (low, middle)
    return high


def _least(costs: Float[np.ndarray, "K"], reach: float) -> float:
    """The least expected cost of a layer, costs in order, alphas up to `reach`."""
    rest = math.exp(-2 * reach)
    chosen = np.tril(np.ones((len(costs), len(costs))))
    weights = chosen + rest * (1 - chosen)
    return float((weights @ costs / weights.sum(axis=1)).min())


def before(
    config: SearchConfig,
    steps_per_epoch: int,
    mask: Bool[np.ndarray, "L K"],
    limits: Sequence[Limit],
    is_spent: Sequence[bool],
) -> Iterator[str]:
    """A line if a search would move its alphas too little, with what to change."""
    if config.objective != "constrained":
        return
    pairs = zip(limits, is_spent, strict=True)
    way, name = max((needed(mask, *pair), pair[0].name) for pair in pairs)
    moved = _moved(config, steps_per_epoch)
    if moved < THERE_AND_BACK * way:
        yield (
            f"search.arch_lr {config.arch_lr:g} moves an alpha by about {moved:.2g} in "
            f"this search, {THERE_AND_BACK * way:.2g} or more are needed to hold "
            f"{name} at its target: the search may miss it, the derived network "
            f"keeps it; {_cure(config, steps_per_epoch, way)}"
        )


def after(
    config: SearchConfig,
    steps_per_epoch: int,
    mask: Bool[np.ndarray, "L K"],
    limits: Sequence[Limit],
    is_spent: Sequence[bool],
    probs: Float[np.ndarray, "L K"],
) -> Iterator[str]:
    """A line for every constraint that a search ended off, with what to change."""
    if config.objective != "constrained":
        return
    for limit, is_equality in zip(limits, is_spent, strict=True):
        expected = limit.fixed + float((probs * limit.costs)[mask].sum())
        share = expected / limit.target
        if share > 1 + OFF or (is_equality and share < 1 - OFF):
            way = needed(mask, limit, is_equality)
            yield (
                f"the search ended with {share:.3g} of its target of {limit.name} "
                "expected, so it weighed networks of another cost than those derived; "
                f"{_cure(config, steps_per_epoch, way)}"
            )


def _moved(config: SearchConfig, steps_per_epoch: int) -> float:
    epochs = config.warmup_epochs + config.joint_epochs
    end = epochs * steps_per_epoch
    return config.arch_lr * schedule.arch_steps_before(config, steps_per_epoch, end)


def _cure(config: SearchConfig, steps_per_epoch: int, way: float) -> str:
    """The field to change, for alphas that can move twice so far."""
    moved = _moved(config, steps_per_epoch)
    wanted = THERE_AND_BACK * way
    rate = config.arch_lr * wanted / moved if moved else math.inf
    if rate <= config.arch_lr:
        return "raise search.joint_epochs, for more architecture steps"
    if rate <= _COARSE:
        return f"raise search.arch_lr to {_rounded_up(rate):g}"
    longer = max(config.arch_lr, _COARSE)
    per_epoch = longer * (steps_per_epoch // config.arch_every)
    epochs = config.arch_start_epoch + math.ceil(wanted / per_epoch)
    return f"raise search.joint_epochs to {epochs} with search.arch_lr {longer:g}"


def _rounded_up(rate: float) -> float:
    """To one digit.

    >>> _rounded_up(0.0123), _rounded_up(0.02)
    (0.02, 0.02)
    """
    unit = 10.0 ** math.floor(math.log10(rate))
    return float(f"{math.ceil(rate / unit - 1e-9) * unit:.1g}")
