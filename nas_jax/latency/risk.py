"""The probability that a network keeps a deadline, by a table with a known error.

The latency is taken as normal: N(predicted + bias, sd). With a validation, bias and sd
are those of the held-out networks, sd^2 = rmse^2 - bias^2, as shares of their mean
latency. Without, the bias is taken as 0 and only the spread of the measured parts is
known, sd^2 = sum over distinct parts of (times used * sd)^2 (an entry that is off is
off wherever it is used): a lower bound, which says nothing about whether latencies add.
"""

import math
from collections import Counter
from statistics import NormalDist
from typing import NamedTuple

from nas_jax.latency import tables
from nas_jax.latency.tables import LatencyTable
from nas_jax.spaces.architecture import Architecture


class Prediction(NamedTuple):
    """Latency to expect and its standard deviation, ms."""

    mean_ms: float
    std_ms: float
    source: str
    """"validation", or "spread of the parts"."""


class Risk(NamedTuple):
    """Latency to expect, ms, and P(latency <= deadline)."""

    mean_ms: float
    std_ms: float
    probability: float
    source: str
    """"validation", or "spread of the parts"."""


def prediction(table: LatencyTable, architecture: Architecture) -> Prediction | None:
    """Latency to expect; None if the table states neither error nor spread.

    Raises `ValueError` for a network with a part that the table lacks.
    """
    predicted = tables.predict_ms(table, architecture)
    if (seen := table.validation) is not None and "mean_ms" in seen:
        share = predicted / seen["mean_ms"]
        bias = share * seen["bias_ms"]
        std = share * math.sqrt(max(seen["rmse_ms"] ** 2 - seen["bias_ms"] ** 2, 0.0))
        # bias is predicted - measured
        mean, source = predicted - bias, "validation"
    else:
        used = Counter(part.key for part in architecture.parts)
        spreads = [
            None if (std := table.entries[key].std_ms) is None else times * std
            for key, times in used.items()
            if key in table.entries
        ]
        known = [spread for spread in spreads if spread is not None]
        if len(known) < len(spreads):
            return None
        mean, std, source = predicted, math.hypot(*known), "spread of the parts"
    return Prediction(mean, std, source)


def within(
    table: LatencyTable, architecture: Architecture, deadline_ms: float
) -> Risk | None:
    """P(latency <= deadline); None where `prediction` is.

    Raises `ValueError` for a network with a part that the table lacks.
    """
    expected = prediction(table, architecture)
    if expected is None:
        return None
    mean, std, source = expected
    known = NormalDist(mean, std).cdf(deadline_ms) if std else mean <= deadline_ms
    return Risk(mean, std, float(known), source)


def line(risk: Risk | None) -> str:
    """A risk as a line for people."""
    if risk is None:
        return "P(latency <= target): not known, the table states no spread"
    return (
        f"P(latency <= target) = {risk.probability:.0%} by table ("
        f"{risk.mean_ms:.4g} +- {risk.std_ms:.2g} ms, from the {risk.source})"
    )
