"""Target and limits of a search, resolved to costs of all candidates.

The target comes first. Each is in its own unit: milliseconds by a table, multiply-adds,
parameters or bytes. Those on a peak (`search.peaks`) are resolved before all others, as
they leave out candidates.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from nas_jax.config.search import PEAKS, SIZES, TARGETS, SearchConfig, parse_limit
from nas_jax.latency import tables
from nas_jax.latency.tables import LatencyTable
from nas_jax.networks import activation_memory, counts, device_memory
from nas_jax.search import (
    baselines,
    derivation,
    elastic_census,
    objective,
    prune,
    spendable,
)
from nas_jax.search.derivation import Limit
from nas_jax.search.elastic_census import ElasticCensus
from nas_jax.search.peaks import Peaks
from nas_jax.search.targets import Costs, Targets
from nas_jax.spaces.architecture import path_of
from nas_jax.spaces.elastic import ElasticSpace
from nas_jax.spaces.space import SearchSpace

NEAR = 0.02
"""Share of a target that a network which spends it leaves at most."""
FAR = 3.0
"""Times the hand-designed network, which hardly any space's largest network takes."""
FEW = 1000
"""Fewer such networks are told: their best is hardly better than any of them."""


def resolve(
    config: SearchConfig,
    space: SearchSpace,
    table: LatencyTable | None = None,
    *,
    origin: str = "the latency table",
    z: float = 0.0,
) -> Targets:
    """Target and limits as costs, and warnings if they leave little or no choice.

    Args:
      config: names them.
      space: of the search.
      table: latencies, for a target or a limit in ms without a table of its own.
      origin: names the table in errors.
      z: a latency counts as mean + z standard deviations, by every table.

    Raises:
      ValueError: if there is no target; if one of them is below every network, with
        the reachable range; if no network keeps all of them together; if a part is
        missing in a table, or, with z, its standard deviation.
    """
    prices = _Prices(space, table, origin, z)
    by_table = None if table is None else Costs(*prices.costs("latency"))
    require_target(config)
    prices, told = prices.within_peaks(config.peaks)
    target, warning = prices.target(config)
    limits = (target, *map(prices.limit, config.sums))
    _require_common_network(prices.left, limits)
    told += [] if warning is None else [warning]
    told += _unspendable(config, prices.left, limits)
    return Targets(limits, by_table, tuple(told), prices.kept)


def check(config: SearchConfig, space: SearchSpace, *, z: float = 0.0) -> None:
    """Raises `ValueError` for what `resolve` would refuse by any table.

    Costs by the table, which is still to be measured, are left out.
    """
    require_target(config)
    prices = _Prices(space, None, "the table still to be measured", z)
    prices, _ = prices.within_peaks(config.peaks)
    limits = [] if config.cost == "latency" else [prices.target(config)[0]]
    for text in config.sums:
        spec = parse_limit(text)
        if spec.cost != "latency" or spec.table is not None:
            limits.append(prices.limit(text))
    _require_common_network(prices.left, limits)


def within_peaks(config: SearchConfig, space: SearchSpace) -> SearchSpace:
    """The space without the candidates beyond the limits on a peak.

    Raises `ValueError` as `resolve`.
    """
    prices = _Prices(space, None, "", 0.0)
    return prices.within_peaks(config.peaks)[0].left


class Bound(NamedTuple):
    """A further limit on the networks of an elastic space."""

    name: str
    """As `search.limits` has it."""
    amount: float
    costs: tuple[Costs | Peaks, ...]
    """Of every shape."""

    def keeps(self, shape: int, path: np.ndarray) -> bool:
        """Whether a network does, to rounding."""
        return self.costs[shape].of_path(path) <= self.amount * (1 + derivation.TIE)


class ElasticGoal(NamedTuple):
    """The target of a search among several shapes, and what these cost."""

    target: float
    costs: tuple[Costs, ...]
    """Of every shape, in the unit of the target."""
    latencies: tuple[Costs, ...]
    """Likewise in ms, by the table."""
    warnings: tuple[str, ...]
    bounds: tuple[Bound, ...] = ()

    def keeps(self, shape: int, path: np.ndarray) -> bool:
        """Whether a network keeps all further limits."""
        return all(bound.keeps(shape, path) for bound in self.bounds)

    def masks(self, space: ElasticSpace) -> list[np.ndarray]:
        """The candidates of every shape that the limits on a peak leave, `[L K]`."""
        masks = [shape.mask for shape in space.shapes]
        for bound in self.bounds:
            for place, costs in enumerate(bound.costs):
                if isinstance(costs, Peaks):
                    is_within = costs.fixed <= bound.amount * (1 + derivation.TIE)
                    masks[place] = masks[place] & costs.within(bound.amount) & is_within
        return masks


def of_elastic(
    config: SearchConfig,
    space: ElasticSpace,
    table: LatencyTable,
    *,
    origin: str = "the latency table",
    z: float = 0.0,
) -> ElasticGoal:
    """The target of an elastic space; a ratio is of the middle shape's hand-designed.

    Raises `ValueError` as `resolve`.
    """
    require_target(config)
    by_table = [Costs(*one) for one in tables.shape_costs(table, space, origin, z=z)]
    costs = by_table
    if config.cost != "latency":
        prices = (_Prices(shape, table, origin, z) for shape in space.shapes)
        costs = [one.costs(config.cost) for one in prices]
    least, most, _ = zip(
        *(
            _Prices(shape, table, origin, z).range_of(each)
            for shape, each in zip(space.shapes, costs, strict=True)
        ),
        strict=True,
    )
    base = _Prices(space.middle, table, origin, z)
    of_baseline = base.range_of(base.costs(config.cost))[2]
    goal, warning = _stated(config, min(least), max(most), of_baseline)
    bounds = elastic_bounds(config, space, table, origin=origin, z=z)
    found = ElasticGoal(goal, tuple(costs), tuple(by_table), (), bounds)
    counted = elastic_census.of(space, costs, goal, found.masks(space))
    few = _few(counted, space.architectures, goal)
    return found._replace(warnings=tuple(filter(None, [warning or few])))


def elastic_bounds(
    config: SearchConfig,
    space: ElasticSpace,
    table: LatencyTable | None,
    *,
    origin: str = "the latency table",
    z: float = 0.0,
) -> tuple[Bound, ...]:
    """The further limits on the networks of an elastic space.

    A ratio is of the middle shape's hand-designed network. Without a table those on the
    latency by it are left out.

    Raises `ValueError` for one that no network keeps, with the least that one takes.
    """
    bounds = []
    for text in config.limits:
        spec, own, source = parse_limit(text), table, origin
        if spec.table is not None:
            own, source = tables.load(spec.table), spec.table
        if spec.cost == "latency" and own is None:
            continue
        prices = [_Prices(one, own, source, z) for one in (*space.shapes, space.middle)]
        count = _Prices.peak if spec.cost in PEAKS else _Prices.costs
        *costs, of_middle = (count(one, spec.cost) for one in prices)
        ranges = zip(prices, costs, strict=False)
        least = min(one.range_of(each)[0] for one, each in ranges)
        of_baseline = prices[-1].range_of(of_middle)[2]
        named = "networks of this space"
        most = _bound(text, least, of_baseline, named)
        bounds.append(Bound(text, most, tuple(costs)))
    return tuple(bounds)


def require_target(config: SearchConfig) -> None:
    """Raises `ValueError` if no target is given."""
    name = TARGETS[config.cost]
    if getattr(config, name) is None and config.target_ratio is None:
        raise ValueError(
            f"no target: expected search.{name} or search.target_ratio, got neither; "
            "give one, for example --search.target-ratio 0.5"
        )


def far(config: SearchConfig) -> str | None:
    """A line for a ratio that is plainly too high, before any table tells it."""
    ratio = config.target_ratio
    if ratio is None or ratio < FAR:
        return None
    return (
        f"warning: target {ratio:g}x: hardly any network takes {ratio:g} times the "
        "hand-designed one: the target asks for nothing; give less, as --target 0.5x"
    )


def amount(cost: str, value: float) -> str:
    """A cost with its unit.

    >>> amount("latency", 0.25), amount("macs", 1e6), amount("flash", 2e3)
    ('0.25 ms', '1,000,000 MACs', '2,000 bytes')
    """
    if cost == "latency":
        return f"{value:.4g} ms"
    unit = "bytes" if cost in SIZES else "MACs" if cost == "macs" else "parameters"
    return f"{value:,.0f} {unit}"


@dataclass(frozen=True)
class _Prices:
    """The costs of a space, counted or by a table."""

    space: SearchSpace
    table: LatencyTable | None
    origin: str
    z: float
    peaks: tuple[str, ...] = ()
    """Limits that candidates are left out by."""
    kept: np.ndarray | None = None
    """Those that they leave, Bool `[L K]`; None for all."""

    @functools.cached_property
    def left(self) -> SearchSpace:
        """The space without the candidates left out."""
        return (
            self.space if self.kept is None else prune.restrict(self.space, self.kept)
        )

    @property
    def networks(self) -> str:
        """Those of that space, for a message."""
        within = f" within {' '.join(self.peaks)}" if self.peaks else ""
        return f"networks of this space{within}"

    def costs(self, cost: str) -> Costs:
        if cost != "latency":
            of = {"macs": counts.macs, "params": counts.params} | device_memory.FLASH
            return Costs(*counts.costs(self.space, of[cost]))
        if self.table is None:
            raise ValueError(f"{self.origin}: expected a latency table, got none")
        return Costs(*tables.costs(self.table, self.space, self.origin, z=self.z))

    def peak(self, cost: str) -> Peaks:
        """What a limit on a peak counts."""
        of, each = activation_memory.of_part, device_memory.ACTIVATION_BYTES[cost]
        numbers, _ = counts.costs(self.space, of)
        fixed = max(map(of, self.space.fixed_parts))
        return Peaks(each * numbers, float(each * fixed))

    def range_of(self, costs: Costs | Peaks) -> tuple[float, float, float]:
        """The cost of the cheapest, the dearest and the hand-designed network.

        The last may have candidates that are left out.
        """
        path = path_of(self.space, baselines.hand_designed(self.space))
        return *costs.reachable(self.left.mask), costs.of_path(path)

    def target(self, config: SearchConfig) -> tuple[Limit, str | None]:
        """The target, and a warning if every network meets it, or few spend it."""
        costs = self.costs(config.cost)
        goal, warning = _stated(config, *self.range_of(costs), self.networks)
        counted = elastic_census.of(self.left, [costs], goal)
        few = _few(counted, self.left.architectures, goal)
        return Limit(config.cost, *costs, goal), warning or few

    def limit(self, text: str) -> Limit:
        """One of `search.limits` on a sum; its text is its name."""
        spec, prices = parse_limit(text), self
        if spec.table is not None:
            table = tables.load(spec.table)
            prices = replace(self, table=table, origin=spec.table)
        costs = prices.costs(spec.cost)
        return Limit(text, *costs, prices.bound(text, costs))

    def bound(self, text: str, costs: Costs | Peaks) -> float:
        """The amount of one of `search.limits`; `ValueError` if it is out of reach."""
        least, _, of_baseline = self.range_of(costs)
        return _bound(text, least, of_baseline, self.networks)

    def within_peaks(self, limits: Sequence[str]) -> "tuple[_Prices, list[str]]":
        """The same within limits on a peak, and a line for each of what it leaves."""
        if not limits:
            return self, []
        if self.space.cells:
            raise ValueError(
                f"search.limits {limits[0]}: expected a chain of blocks, whose peak is "
                f"that of a block, got the tree cells of space {self.space.name!r}; "
                "leave the limit out"
            )
        offered = kept = self.space.mask
        lines = []
        for text in limits:
            costs = self.peak(cost := parse_limit(text).cost)
            within = costs.within(self.bound(text, costs))
            if out := int((offered & ~within).sum()):
                line = (
                    f"search.limits {text} leaves out {out} of {offered.sum()} "
                    "candidates, whose own peak is above it"
                )
            else:
                most = amount(cost, costs.reachable(offered)[1])
                line = (
                    f"search.limits {text} binds nothing: {self.networks} take at most "
                    f"{most}"
                )
            lines.append(line)
            kept = kept & within
        return replace(self, peaks=tuple(limits), kept=kept), lines


def _stated(
    config: SearchConfig,
    least: float,
    most: float,
    of_baseline: float,
    networks: str = "networks of this space",
) -> tuple[float, str | None]:
    """The target in the unit of its cost; a warning if every network meets it.

    `least` and `most` cost the cheapest and the dearest of the `networks`.
    """
    cost, name = config.cost, TARGETS[config.cost]
    if config.target_ratio is not None:
        goal, ratio = config.target_ratio * of_baseline, config.target_ratio
        given = f"search.target_ratio = {ratio:g} ({amount(cost, goal)})"
    else:
        goal = getattr(config, name)
        given = f"search.{name} = {goal:g}"
    reachable = (
        f"{networks} take {amount(cost, least)} to "
        f"{amount(cost, most)}, a ratio of {least / of_baseline:.2g} to "
        f"{most / of_baseline:.2g}"
    )
    if goal < least:
        raise ValueError(f"{given} is out of reach: {reachable}; raise the target")
    if config.objective == "mul_log":
        objective.require_above_one(least, goal)
    if goal > most:
        return goal, (
            f"{given} is above the maximum: {reachable}; no network takes so much: "
            "the target asks for nothing"
        )
    return goal, None


def _bound(text: str, least: float, of_baseline: float, networks: str) -> float:
    """The amount of a limit; `ValueError` if the cheapest of `networks` is above it."""
    spec = parse_limit(text)
    limit = spec.amount * of_baseline if spec.is_ratio else spec.amount
    if limit < least:
        told, reach = (
            amount(spec.cost, one) if spec.cost in SIZES else f"{one:.6g}"
            for one in (limit, least)
        )
        raise ValueError(
            f"search.limits {text} ({told}) is out of reach: {networks} take {reach} "
            f"or more, a ratio of {least / of_baseline:.2g}; raise the limit"
        )
    return limit


def _few(counted: ElasticCensus, networks: int, goal: float) -> str | None:
    """A line where too few networks spend the target for a search to find much."""
    near = counted.between((1 - NEAR) * goal, goal)
    if near >= FEW:
        return None
    return (
        f"few networks to choose among: of {networks:,} networks "
        f"{counted.between(0, goal):,.0f} keep the target, {near:,.0f} spend "
        f"{1 - NEAR:.0%} of it or more; another target, or a space of more layers or "
        "candidates, leaves a search more to find"
    )


def _unspendable(
    config: SearchConfig, space: SearchSpace, limits: Sequence[Limit]
) -> Iterator[str]:
    """A line for a target that the limits forbid to spend, and for idle limits."""
    if len(limits) == 1:
        return
    (target, *others) = limits
    most, *rest = (
        spendable.reach(space.mask, limits, place) for place in range(len(limits))
    )
    alone = Costs(target.costs, target.fixed).reachable(space.mask)[1]
    if alone > target.target and most.bound < (1 - config.max_slack) * target.target:
        yield (
            f"search.limits: at most {most.bound / target.target:.3f} of the target "
            f"can be spent within {' '.join(config.limits)} "
            f"({amount(config.cost, most.bound)}); it is kept, not spent; raise a "
            "limit, or lower the target"
        )
    for limit, reach in zip(others, rest, strict=True):
        if reach.bound <= limit.target:
            of = parse_limit(limit.name).cost
            yield (
                f"search.limits {limit.name} binds nothing: networks within all else "
                f"take at most {amount(of, reach.bound)}"
            )


def _require_common_network(space: SearchSpace, limits: Sequence[Limit]) -> None:
    """Refuses limits of which each can be kept, but not all together."""
    if not limits:  # the table is still to be measured
        return
    any_network = np.where(space.mask, 0.0, -np.inf)
    found = derivation.choose(any_network, limits)
    if not found.choices and found.is_complete:
        ranges = (Costs(one.costs, one.fixed).reachable(space.mask) for one in limits)
        bounds = ", ".join(
            f"{limit.name} {limit.target:.6g} of {least:.6g} to {most:.6g}"
            for limit, (least, most) in zip(limits, ranges, strict=True)
        )
        raise ValueError(
            f"search.limits: expected a network within all limits at once ({bounds}), "
            "found none; raise one of them"
        )
