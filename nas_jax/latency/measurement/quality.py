"""How well predicted latencies meet measured ones, with bootstrap intervals."""

from typing import Any

import numpy as np
from scipy import stats

RESAMPLES = 1000


def quality(predicted_ms: np.ndarray, measured_ms: np.ndarray) -> dict[str, Any]:
    """The validation of a latency table, of networks that it has not seen.

    With e = predicted - measured: rmse = sqrt(mean e^2), bias = mean e, mape = mean
    abs(e) / measured, `within_5_percent` the share with abs(e) <= 5 % of measured,
    Kendall's tau-b (None where all predictions are one). `additivity_residual` is what
    no common factor and offset would explain: the standard deviation about the best
    straight line measured = a + b predicted, over the mean. `mean_ms` and `std_ms` are
    of the measured latencies; shares are fractions.
    """
    error = predicted_ms - measured_ms
    share = np.abs(error) / measured_ms
    constant = np.ptp(predicted_ms) == 0
    line = np.polyfit(predicted_ms, measured_ms, 0 if constant else 1)
    rest = measured_ms - (line[0] if constant else np.polyval(line, predicted_ms))
    tau = None if constant else stats.kendalltau(predicted_ms, measured_ms).statistic
    return {
        "networks": len(measured_ms),
        "kendall_tau": None if tau is None else float(tau),
        "within_5_percent": float((share <= 0.05).mean()),
        "within_10_percent": float((share <= 0.1).mean()),
        "rmse_ms": float(np.sqrt((error**2).mean())),
        "mape": float(share.mean()),
        "bias_ms": float(error.mean()),
        "additivity_residual": float(rest.std() / measured_ms.mean()),
        "mean_ms": float(measured_ms.mean()),
        "std_ms": float(measured_ms.std()),
    }


def intervals(
    predicted_ms: np.ndarray, measured_ms: np.ndarray, rng: np.random.Generator
) -> dict[str, list[float]]:
    """Percentile bootstrap over the networks: 95 % interval of every number."""
    found: dict[str, list[float]] = {}
    for _ in range(RESAMPLES):
        drawn = rng.integers(len(measured_ms), size=len(measured_ms))
        for name, value in quality(predicted_ms[drawn], measured_ms[drawn]).items():
            if name != "networks" and value is not None:
                found.setdefault(name, []).append(value)
    return {
        name: np.percentile(values, [2.5, 97.5]).tolist()
        for name, values in found.items()
    }
