"""Intervals of what pairs of measurements differ by."""

import numpy as np
import scipy.stats


def interval(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """The mean difference of pairs, and the half width of its 95 % interval.

    >>> found = interval([0.5, 0.6, 0.7], [0.4, 0.4, 0.4])
    >>> round(found["mean"], 3), round(found["half_width"], 3)
    (0.2, 0.248)
    """
    gaps = np.subtract(ours, theirs)
    t = scipy.stats.t.ppf(0.975, len(gaps) - 1)
    half = t * gaps.std(ddof=1) / len(gaps) ** 0.5
    return {"mean": float(gaps.mean()), "half_width": float(half)}
