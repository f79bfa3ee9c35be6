"""How good a network is among all that were allowed, once all are known.

N networks, S seeds. Percentiles run from 0 (the best) to 100 (the worst).
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int


def percentiles(truth: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """Share of the other networks that are better, in percent; equals count as half.

    >>> percentiles(np.array([0.5, 0.9, 0.7, 0.7, 0.1]))
    array([ 75. ,   0. ,  37.5,  37.5, 100. ])
    """
    better = (truth[None, :] > truth[:, None]).sum(axis=1)
    equal = (truth[None, :] == truth[:, None]).sum(axis=1) - 1
    return 100 * (better + equal / 2) / max(len(truth) - 1, 1)


def seed_sd(accuracies: Float[np.ndarray, "N S"]) -> float:
    """Standard deviation over the seeds of a network, pooled over all networks."""
    return float(np.sqrt(accuracies.var(axis=1, ddof=1).mean()))


class Spread(NamedTuple):
    """Whether networks differ by more than their seeds: a ratio of 5 is asked for.

    `p10`, `p90` are of the networks' mean accuracies, `ratio` is (p90 - p10) / sd.
    """

    p10: float
    median: float
    p90: float
    seed_sd: float
    ratio: float


def spread(accuracies: Float[np.ndarray, "N S"]) -> Spread:
    """The spread of `[N S]` accuracies."""
    p10, median, p90 = np.percentile(accuracies.mean(axis=1), [10, 50, 90])
    sd = seed_sd(accuracies)
    return Spread(float(p10), float(median), float(p90), sd, float((p90 - p10) / sd))


def of_others(accuracies: Float[np.ndarray, "N S"]) -> Float[np.ndarray, "S N"]:
    """Percentiles by the mean of all seeds but one, for each that is left out.

    By these, and not by the mean of all, a choice that rests on the training of one
    seed is ranked by truth it has not seen; what it is held against has to be ranked
    by them as well, since fewer seeds are noisier truth.
    """
    return np.stack(
        [
            percentiles(np.delete(accuracies, seed, axis=1).mean(axis=1))
            for seed in range(accuracies.shape[1])
        ]
    )


def noise_ceiling(accuracies: Float[np.ndarray, "N S"]) -> float:
    """Percentile of the network that one seed finds best, by the other seeds' mean.

    What a search that trained every network once would reach; mean over the seeds.
    """
    ranks = of_others(accuracies)
    return float(ranks[np.arange(len(ranks)), accuracies.argmax(axis=0)].mean())


def best_of(
    chosen_by: Float[np.ndarray, "N"], values: Float[np.ndarray, "N"], networks: int
) -> float:
    """Expected value of the best by `chosen_by` of `networks` drawn without return.

    Exact, nothing is drawn: the network with r worse ones is the best of n with
    probability C(r, n - 1) / C(N, n). Ties go to the lower index.

    >>> best = best_of(np.array([1.0, 2.0, 3.0]), np.array([20.0, 10.0, 0.0]), 2)
    >>> round(best, 3)
    3.333
    """
    total = len(values)
    order = np.argsort(-np.asarray(chosen_by), kind="stable")[::-1]
    ways = [math.comb(worse, networks - 1) for worse in range(total)]
    chances = np.array([way / math.comb(total, networks) for way in ways])
    return float(chances @ np.asarray(values)[order])


def most_probable(
    probs: Float[np.ndarray, "L K"],
    paths: np.ndarray,
    allowed: Bool[np.ndarray, "N"],
    costs: Float[np.ndarray, "N"],
    count: int = 1,
) -> Int[np.ndarray, "count"]:
    """Indices of the most probable networks among those allowed, the first the most.

    Exact, since all are listed; ties go to the cheaper one. P = prod_l p_l(path_l).

    Raises:
      ValueError: if none is allowed or a probability is not finite.
    """
    if not allowed.any() or not np.isfinite(probs).all():
        raise ValueError(
            "derivation: expected finite probabilities and an allowed network, got "
            f"{int((~np.isfinite(probs)).sum())} non-finite ones and "
            f"{int(allowed.sum())} networks; lower the rates or raise the target"
        )
    with np.errstate(divide="ignore"):
        logs = np.log(np.asarray(probs, np.float64))
    scores = logs[np.arange(paths.shape[1]), paths].sum(axis=1)
    order = np.lexsort((costs, -scores))
    return order[allowed[order]][:count]
