"""What an epoch of a search tells: means over its steps, costs, multipliers."""

from typing import Any

import numpy as np

from nas_jax.base import Metrics
from nas_jax.config.search import EXPECTED, TARGETS, SearchConfig
from nas_jax.search import divergence
from nas_jax.search.search_state import SearchState


def expected(config: SearchConfig, expected: np.ndarray, target: Any) -> Metrics:
    """Expected cost and target in their unit; how far further limits are exceeded."""
    first, *others = expected.ravel().tolist()
    wanted, *limits = np.ravel(target).tolist()
    return {
        f"search/{EXPECTED[config.cost]}": first,
        f"search/{TARGETS[config.cost]}": wanted,
        **{
            f"search/limit_{place}_excess": cost / limit - 1
            for place, (cost, limit) in enumerate(
                zip(others, limits, strict=True), start=1
            )
        },
    }


def multipliers(config: SearchConfig, state: SearchState) -> Metrics:
    """Those of the constraint, and its weight; none with another objective."""
    if config.objective != "constrained":
        return {}
    first, *others = state.multipliers.ravel().tolist()
    return {
        "search/multiplier": first,
        "search/penalty_weight": float(state.penalty_weight),
        **{
            f"search/limit_{place}_multiplier": multiplier
            for place, multiplier in enumerate(others, start=1)
        },
    }


def mean(collected: list[Metrics]) -> Metrics:
    """Mean of every number over the steps that reported it."""
    values: dict[str, list[float]] = {}
    for metrics in collected:
        for name, value in divergence.numbers(metrics).items():
            values.setdefault(name, []).append(value)
    return {name: float(np.mean(numbers)) for name, numbers in values.items()}
