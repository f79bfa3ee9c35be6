"""Networks of an elastic space within a target, at random or by what they keep.

A table errs by some per cent for all networks of about one latency; with a clock some
are timed first, and the others taken where the target is met by it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from nas_jax.config import provenance
from nas_jax.latency import tables
from nas_jax.latency.measurement import reference, whole_networks
from nas_jax.latency.measurement.journal import Journal
from nas_jax.latency.runtimes import open_device
from nas_jax.latency.tables import LatencyTable
from nas_jax.runs import pretrained
from nas_jax.runs.session import Run
from nas_jax.runs.targets import ElasticGoal
from nas_jax.search import baselines, elastic_census, saliency
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.elastic import ElasticSpace

ASKED = 256
"""Images by which networks with weights of another are held against it."""
SPREAD_S = 2.0
"""Seconds that the rounds of a group of networks take, at least."""
PROBED = 8
"""Networks by which a table is corrected."""
TRIED = 50
"""Networks that are drawn for one that keeps `search.limits`, at most."""


class Clock:
    """Latencies measured here, in the milliseconds of the table.

    The hand-designed network is timed beside the others. Where the target is a share of
    its latency, what it takes over its prediction divides all; otherwise, where it is
    the table's reference, what it takes over what it took then.
    """

    def __init__(self, work: Run, space: ElasticSpace, table: LatencyTable) -> None:
        self._work, self._table = work, table
        self._base = baselines.hand_designed(space.middle)

    def measure(self, networks: Sequence[Architecture]) -> np.ndarray:
        work, table, base = self._work, self._table, self._base
        every = [
            replace(network, name=f"timed_{place}")
            for place, network in enumerate(networks)
        ]
        config = work.experiment.latency
        device = open_device(config.runtime, config, None)
        times, base_ms = whole_networks.measure_beside(
            device, every, base, Journal(None, {}), work.progress.steps, SPREAD_S
        )
        why, factor = reference.why_none(table, device, base), 1.0
        if why is None:
            pace = reference.pace(table, base_ms)
            factor = pace.factor
            if reference.is_told(pace):
                work.progress.line(reference.line(pace))
        else:
            work.progress.line(reference.not_known(why))
        if work.experiment.search.target_ratio is not None:
            factor = base_ms.mean() / tables.predict_ms(table, base)
        return times / factor

    def bias(self, networks: Sequence[Architecture]) -> float:
        """Measured over predicted, the median of some networks."""
        predicted = [tables.predict_ms(self._table, network) for network in networks]
        return float(np.median(self.measure(networks) / predicted))


class Drawn(NamedTuple):
    """A network within the target: its shape, and its path through it."""

    shape: int
    path: np.ndarray
    lost: float | None = None
    """Of the answers of the network whose weights it starts from (`saliency`)."""


def draw(
    work: Run, space: ElasticSpace, goal: ElasticGoal, clock: Clock | None
) -> list[Drawn]:
    """Different networks that spend the target (`ElasticCensus.draw`).

    As many as `search.drawn`, without a supernet as many as can be finalists; fewer
    where there are not as many. They leave at most the share `search.max_slack` of it.
    Where trainings start from weights and there is no supernet, instead those that keep
    most of what the weights know.

    With a clock the first `PROBED` are timed, which corrects the table.
    """
    config, start = work.experiment.search, work.experiment.train.weights
    wanted = config.drawn if config.warmup_epochs else 2 * config.finalists
    if start is None or config.warmup_epochs:
        pick = _at_random(work, space, goal)
    else:
        pick = _keeping_most(work, space, goal, start)
    aim = goal.target
    if clock is not None:
        work.progress.phase(f"{PROBED} networks timed, to correct the table")
        probed = pick(aim, PROBED)
        bias = clock.bias([space.network(*one[:2], "probed") for one in probed])
        aim = goal.target / bias
        work.progress.line(
            f"against the hand-designed one, these take {abs(bias - 1):.1%} "
            f"{'longer' if bias >= 1 else 'less'} than the table says: those of "
            f"{aim:.4g} ms by table are drawn"
        )
    return pick(aim, wanted)


Pick = Callable[[float, int], list[Drawn]]
"""Networks that cost an amount: so many."""


def _keeping_most(
    work: Run, space: ElasticSpace, goal: ElasticGoal, start: Path
) -> Pick:
    """Those that answer most alike the network in a folder (`search.saliency`)."""
    side, key = max(space.sides), jax.random.key(work.experiment.seed)
    data = {one: work.setup.shared_data(one).train for one in space.sides}
    shape = side, side, space.middle.stem.in_channels
    given = pretrained.fitted(start, shape, None, key, data[side], work.progress)
    images = len(data[side].labels)
    some = np.linspace(0, images - 1, min(ASKED, images)).round().astype(int)
    asked = {one: split.evaluated().take(some).images for one, split in data.items()}
    judge = saliency.Judge(given, space, asked, key)
    tried = saliency.cuts(space, given.architecture)
    work.progress.phase(f"{len(tried)} cuts of the given network, and what each loses")
    watched = work.progress.steps(tried.items(), total=len(tried), desc="cut")
    losses = {choice: judge.lost(one) for choice, one in watched}
    found = saliency.of(space, given.architecture, losses)

    masks = goal.masks(space)

    def pick(aim: float, wanted: int) -> list[Drawn]:
        asked = wanted * (TRIED if goal.bounds else 1)
        ranked = saliency.ranked(space, found, goal.costs, aim, asked, masks)
        best = [one for one in ranked if goal.keeps(*one)][:wanted]
        _require_some(goal, len(best), len(ranked))
        every = [Drawn(*one, judge.lost(space.network(*one, "kept"))) for one in best]
        return sorted(every, key=lambda one: one.lost or 0.0)

    return pick


def _at_random(work: Run, space: ElasticSpace, goal: ElasticGoal) -> Pick:
    rng = np.random.default_rng((work.experiment.seed, 19))
    slack = work.experiment.search.max_slack

    def pick(aim: float, wanted: int) -> list[Drawn]:
        found, tried = _draw(rng, space, goal, aim, slack, wanted)
        _require_some(goal, len(found), tried)
        if goal.bounds:
            names = " ".join(bound.name for bound in goal.bounds)
            work.progress.line(
                f"{len(found)} networks at the target keep {names}, of {tried} drawn"
            )
        return found

    return pick


def _require_some(goal: ElasticGoal, kept: int, tried: int) -> None:
    """Raises `ValueError` if there are limits that no network tried keeps."""
    if goal.bounds and not kept:
        names = " ".join(bound.name for bound in goal.bounds)
        raise ValueError(
            f"search.limits {names}: expected networks at the target that keep it, "
            f"found none among {tried}; raise a limit or lower the target"
        )


def _draw(
    rng: np.random.Generator,
    space: ElasticSpace,
    goal: ElasticGoal,
    aim: float,
    slack: float,
    wanted: int,
) -> tuple[list[Drawn], int]:
    """Different networks that keep all limits, and how many different ones were tried.

    Those on a peak are kept by every network of the census.
    """
    counted = elastic_census.of(space, goal.costs, aim, goal.masks(space))
    low = aim * (1 - slack)
    if not counted.between(low, aim):
        low = counted.nearest(aim)
    tried: dict[tuple[int, ...], Drawn] = {}
    found: list[Drawn] = []
    for _ in range(20 * wanted * (TRIED if goal.bounds else 1)):
        shape, path = counted.draw(rng, low, aim)
        key = (shape, *path.tolist())
        if key not in tried:
            tried[key] = Drawn(shape, path)
            found += [tried[key]] * goal.keeps(shape, path)
        if len(found) == wanted:
            break
    return found, len(tried)


def is_here(table: LatencyTable, runtime: str) -> bool:
    """Whether a table was measured on this machine, in the runtime that times."""
    made = table.provenance.get("device"), table.provenance.get("runtime")
    return made == (provenance.device(), runtime)
