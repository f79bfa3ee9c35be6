"""What a search has to keep: its target and further limits, resolved to costs.

The target comes first. Each is in its own unit: milliseconds by a table, multiply-adds
or parameters.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from nas_jax import baselines, counts, derive, objective, shipped, tables
from nas_jax.architecture import path_of
from nas_jax.config import SearchConfig
from nas_jax.cost import CostModel, stack
from nas_jax.derive import Limit
from nas_jax.search_config import TARGETS, parse_limit
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
      ValueError: if there is no target; if one of them is below every network, with
        the reachable range; if no network keeps all of them together; if a part is
        missing in a table, or, with z, its standard deviation.
    """
    require_target(config)
    target, warning = _target(config, searched, table, origin, z)
    limits = [target]
    for text in config.limits:
        limits.append(_further(text, searched, table, origin, z))
    _require_common_network(searched, limits)
    return limits, warning


def check(
    config: SearchConfig,
    searched: SearchSpace,
    table: tables.LatencyTable | None,
    origin: str,
    z: float = 0.0,
) -> None:
    """Raises `ValueError` for what `resolve` would refuse, as far as it is known.

    Without a table those in milliseconds by it are left out: it is still to be
    measured.
    """
    require_target(config)
    limits = []
    if table is not None or config.cost != "latency":
        limits.append(_target(config, searched, table, origin, z)[0])
    for text in config.limits:
        spec = parse_limit(text)
        if table is not None or spec.cost != "latency" or spec.table is not None:
            limits.append(_further(text, searched, table, origin, z))
    _require_common_network(searched, limits)


def require_target(config: SearchConfig) -> None:
    """Raises `ValueError` if no target is given."""
    name = TARGETS[config.cost]
    if getattr(config, name) is None and config.target_ratio is None:
        raise ValueError(
            f"no target: expected search.{name} or search.target_ratio, got neither; "
            "give one, for example --search.target-ratio 0.5"
        )


def amount(cost: str, value: float) -> str:
    """A cost with its unit.

    >>> amount("latency", 0.25), amount("macs", 1e6)
    ('0.25 ms', '1,000,000 MACs')
    """
    if cost == "latency":
        return f"{value:.4g} ms"
    return f"{value:,.0f} {'MACs' if cost == 'macs' else 'parameters'}"


def stacked(limits: Sequence[Limit]) -> tuple[CostModel, Any]:
    """Costs and targets as a `SearchProblem` has them."""
    models = [
        CostModel(jnp.asarray(limit.costs, jnp.float32), limit.fixed)
        for limit in limits
    ]
    if len(limits) == 1:
        return models[0], limits[0].target
    return stack(models), np.array([limit.target for limit in limits])


class _Counted(NamedTuple):
    """One cost of all candidates, and what networks of the space come to."""

    costs: np.ndarray
    fixed: float
    least: float
    most: float
    of_baseline: float


def _counted(
    cost: str,
    searched: SearchSpace,
    table: tables.LatencyTable | None,
    origin: str,
    z: float,
) -> _Counted:
    if cost != "latency":
        count = {"macs": counts.macs, "params": counts.params}[cost]
        costs, fixed = counts.costs(searched, count)
    elif table is not None:
        costs, fixed = tables.costs(table, searched, origin, z=z)
    else:
        raise ValueError(f"{origin}: expected a latency table, got none")
    path = path_of(searched, baselines.hand_designed(searched))
    return _Counted(
        costs,
        fixed,
        float(fixed + np.where(searched.mask, costs, np.inf).min(axis=1).sum()),
        float(fixed + np.where(searched.mask, costs, -np.inf).max(axis=1).sum()),
        float(fixed + costs[np.arange(len(costs)), path].sum()),
    )


def _target(
    config: SearchConfig,
    searched: SearchSpace,
    table: tables.LatencyTable | None,
    origin: str,
    z: float,
) -> tuple[Limit, str | None]:
    """The target, and a warning if every network meets it."""
    cost, name = config.cost, TARGETS[config.cost]
    costs, fixed, least, most, of_baseline = _counted(cost, searched, table, origin, z)
    if config.target_ratio is not None:
        goal = config.target_ratio * of_baseline
        given = f"search.target_ratio = {config.target_ratio:g} ({amount(cost, goal)})"
    else:
        goal = getattr(config, name)
        given = f"search.{name} = {goal:g}"
    reachable = (
        f"networks of this space take {amount(cost, least)} to {amount(cost, most)}, a "
        f"ratio of {least / of_baseline:.2g} to {most / of_baseline:.2g}"
    )
    if goal < least:
        raise ValueError(f"{given} is out of reach: {reachable}; raise the target")
    if config.objective == "mul_log":
        objective.require_above_one(least, goal)
    warning = None
    if goal > most:
        warning = f"{given} is above the maximum: {reachable}; the target binds nothing"
    return Limit(cost, costs, fixed, goal), warning


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
    found = _counted(spec.cost, searched, table, origin, z)
    limit = spec.amount * found.of_baseline if spec.is_ratio else spec.amount
    if limit < found.least:
        raise ValueError(
            f"search.limits {text} ({limit:.6g}) is out of reach: networks of this "
            f"space take {found.least:.6g} or more, a ratio of "
            f"{found.least / found.of_baseline:.2g}; raise the limit"
        )
    return Limit(text, found.costs, found.fixed, limit)


def _require_common_network(searched: SearchSpace, limits: Sequence[Limit]) -> None:
    """Refuses limits of which each can be kept, but not all together."""
    any_network = np.where(searched.mask, 0.0, -np.inf)
    if len(limits) > 1 and not derive.choose(any_network, limits):
        wanted = ", ".join(f"{limit.name} {limit.target:.6g}" for limit in limits)
        raise ValueError(
            f"search.limits: expected a network within all limits at once ({wanted}), "
            "found none; raise one of them"
        )
