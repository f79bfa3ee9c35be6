"""What a table and the networks held against it say of a network's latency.

An interval, and the probability that a deadline is kept. Without held-out networks
nothing is known of how far sums over parts are off, and neither is stated: how the
times of parts scatter says nothing of it.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from scipy.special import stdtr, stdtrit

from nas_jax.latency import tables
from nas_jax.latency.measurement.reference import Pace
from nas_jax.latency.tables import LatencyTable
from nas_jax.spaces.architecture import Architecture

LEVEL = 0.8
"""Of the intervals that are stated."""
MOST = 100.0
"""Of a logarithm; beyond, no table is meant, and products overflow."""


class Prediction(NamedTuple):
    """Latency to expect, its relative deviation, and by how many networks it is known.

    With p the sum of the table, m and s mean and deviation of log(measured / predicted)
    over n held-out networks whose session's pace is divided out,

        log latency = log p + m + log f + sqrt(s^2 (1 + 1/n) + c^2) t,

    t of Student's distribution with n - 1 degrees of freedom. f and c are of what all
    parts share (clock, heat, other work on the machine). In a session that timed the
    reference network f is its pace and c the standard error of that. Otherwise f is 1:
    the latency at the pace of the table, with c how far the reference was off in the
    session of the held-out networks.
    """

    mean_ms: float
    sd: float
    networks: int
    has_common: bool = True
    """Whether c is known; of older tables it is not, and `sd` is without it."""

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """The middle `level` of the distribution, ms."""
        t = float(stdtrit(self.networks - 1, (1 + level) / 2))
        spread = math.exp(t * self.sd)
        return self.mean_ms / spread, self.mean_ms * spread

    def probability(self, deadline_ms: float) -> float | None:
        """P(latency <= deadline); None where what all parts share is not known."""
        if not self.has_common:
            return None
        off = math.log(deadline_ms / self.mean_ms)
        if self.sd == 0:
            return float(off >= 0)
        return float(stdtr(self.networks - 1, off / self.sd))


def prediction(
    table: LatencyTable, architecture: Architecture, pace: Pace | None = None
) -> Prediction | None:
    """What the table says, in a session of a `pace` if given; None if `unknown`.

    Raises `ValueError` for a network with a part that the table lacks.
    """
    if unknown(table) is not None or (seen := table.validation) is None:
        return None
    mean, sd = _error(seen)
    networks, common = seen["networks"], seen.get("common_sd")
    factor = 1.0
    if pace is not None:
        factor, common = pace.factor, pace.sd
    sd = math.hypot(sd * math.sqrt(1 + 1 / networks), common or 0.0)
    expected = factor * math.exp(mean) * tables.predict_ms(table, architecture)
    return Prediction(expected, sd, networks, common is not None)


def _has_logs(seen: Mapping[str, Any]) -> bool:
    return None not in (seen.get("log_ratio"), seen.get("log_ratio_sd"))


def _error(seen: Mapping[str, Any]) -> tuple[float, float]:
    """Mean and deviation of log(measured / predicted) by a validation.

    Those of older tables are from its errors in ms, over the mean *prediction*.
    """
    if _has_logs(seen):
        return seen["log_ratio"], seen["log_ratio_sd"]
    predicted = seen["mean_ms"] + seen["bias_ms"]
    spread = math.sqrt(max(seen["rmse_ms"] ** 2 - seen["bias_ms"] ** 2, 0))
    return math.log(seen["mean_ms"] / predicted), spread / predicted


def unknown(table: LatencyTable) -> str | None:
    """The reason why the table's error is not known; None if it is."""
    seen = table.validation
    if seen is None:
        return "the table was not held against whole networks"
    if seen["networks"] < 2:
        return "the table was held against one network alone"
    if not _has_logs(seen) and (
        "mean_ms" not in seen or seen["mean_ms"] + seen["bias_ms"] <= 0
    ):
        return "the table's validation states no mean latency"
    if max(map(abs, _error(seen))) > MOST:
        return f"the table's validation states that it errs e^{MOST:g} times"
    return None


class Risk(NamedTuple):
    """What is stated of a network that was searched for, ready for `result.json`."""

    mean_ms: float
    low_ms: float
    """80 % of such networks take from here to `high_ms`, at the pace of the session."""
    high_ms: float
    probability: float | None
    """P(latency <= target) at the pace of the table, of which the target is."""
    networks: int
    """Held out, by which this is known."""


def within(
    table: LatencyTable,
    architecture: Architecture,
    deadline_ms: float,
    pace: Pace | None = None,
) -> Risk | None:
    """The chance to keep a deadline; None where the table's error is not known.

    Raises `ValueError` as `prediction`, and for a deadline that is none.
    """
    if not (math.isfinite(deadline_ms) and deadline_ms > 0):
        raise ValueError(
            f"deadline: expected a finite number of ms above 0, got {deadline_ms}"
        )
    now, ever = (prediction(table, architecture, one) for one in (pace, None))
    if now is None or ever is None:
        return None
    chance = ever.probability(deadline_ms)
    return Risk(now.mean_ms, *now.interval(), chance, now.networks)
