"""What a search has to keep: its target and further limits, resolved to costs.

The target comes first. Each is in its own unit: milliseconds by a table, multiply-adds
or parameters.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from nas_jax import baselines, counts, derive, latency, problem, shipped, tables
from nas_jax.architecture import path_of
from nas_jax.config import SearchConfig
from nas_jax.derive import Limit
from nas_jax.search_config import parse_limit
from nas_jax.space import SearchSpace


def resolve(
    config: SearchConfig,
    searched: SearchSpace,
    table: tables.LatencyTable | None,
    origin: str,
    z: float = 0.0,
) -> tuple[list[Limit], str | None]:
    """Target and limits, and a warning if every network meets the target.

    Args:
      config: names them.
      searched: the space.
      table: latencies, for a target or a limit in ms without a table of its own.
      origin: names the table in errors.
      z: a latency counts as mean + z standard deviations, by every table.

    Raises:
      ValueError: if a limit is below every network, with the reachable range; if no
        network keeps all of them together; if a part is missing in a table, or, with
        z, its standard deviation.
    """
    first = _counted(config.cost, searched, table, origin, z)
    model = latency.CostModel(jnp.asarray(first[0], jnp.float32), first[1])
    target, warning = problem.target(config, searched, model)
    limits = [Limit(config.cost, *first, target)]
    for text in config.limits:
        limits.append(_further(text, searched, table, origin, z))
    _require_common_network(searched, limits)
    return limits, warning


def stacked(limits: Sequence[Limit]) -> tuple[latency.CostModel, Any]:
    """Costs and targets as `search.run` takes them."""
    models = [
        latency.CostModel(jnp.asarray(limit.costs, jnp.float32), limit.fixed)
        for limit in limits
    ]
    if len(limits) == 1:
        return models[0], limits[0].target
    return latency.stack(models), np.array([limit.target for limit in limits])


def _counted(
    cost: str,
    searched: SearchSpace,
    table: tables.LatencyTable | None,
    origin: str,
    z: float,
) -> tuple[np.ndarray, float]:
    if cost != "latency":
        count = {"macs": counts.macs, "params": counts.params}[cost]
        return counts.costs(searched, count)
    if table is None:
        raise ValueError(f"{origin}: expected a latency table, got none")
    return tables.costs(table, searched, origin, z=z)


def _further(
    text: str,
    searched: SearchSpace,
    table: tables.LatencyTable | None,
    origin: str,
    z: float,
) -> Limit:
    """One of `search.limits`; its text is its name."""
    spec = parse_limit(text)
    if spec.table is not None:
        table, origin = tables.load(shipped.table_file(spec.table)), spec.table
    costs, fixed = _counted(spec.cost, searched, table, origin, z)
    path = path_of(searched, baselines.hand_designed(searched))
    of_baseline = fixed + costs[np.arange(len(costs)), path].sum()
    limit = spec.amount * of_baseline if spec.is_ratio else spec.amount
    least = fixed + np.where(searched.mask, costs, np.inf).min(axis=1).sum()
    if limit < least:
        raise ValueError(
            f"search.limits {text} ({limit:.6g}) is out of reach: networks of this "
            f"space take {least:.6g} or more, a ratio of {least / of_baseline:.2g}; "
            "raise the limit"
        )
    return Limit(text, costs, fixed, limit)


def _require_common_network(searched: SearchSpace, limits: Sequence[Limit]) -> None:
    """Refuses limits of which each can be kept, but not all together."""
    any_network = np.where(searched.mask, 0.0, -np.inf)
    if len(limits) > 1 and not derive.choose(any_network, limits):
        wanted = ", ".join(f"{limit.name} {limit.target:.6g}" for limit in limits)
        raise ValueError(
            f"search.limits: expected a network within all limits at once ({wanted}), "
            "found none; raise one of them"
        )
