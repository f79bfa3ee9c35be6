"""`benchmarks specialisation`: one space searched for several devices.

ProxylessNAS, section 4.3: a network searched for one device is slower on another than
the one searched for that. Each device is a latency table of the paper's space at
224x224. The paper compares networks of about one accuracy; ours are compared at one
size, which all of them spend, and each device's target is as near to the least latency
that a network of this size can have there. One warm-up serves all.

Weights and alphas are trained on small images of letters, since only the alphas and the
tables meet here: what comes out tells what a device makes of the space, not how well
its network would classify photographs.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import jax
import numpy as np

from benchmarks import glyphs
from benchmarks.quality_settings import SpecialisationConfig
from nas_jax.config import provenance, shipped
from nas_jax.config.search import SearchConfig
from nas_jax.latency import tables
from nas_jax.networks import counts
from nas_jax.report import preferences
from nas_jax.runs.targets import amount
from nas_jax.search import baselines, derivation, loop
from nas_jax.search.derivation import Limit
from nas_jax.search.search_state import SearchProblem
from nas_jax.search.targets import Targets
from nas_jax.spaces import architecture, builders
from nas_jax.spaces.space import SearchSpace
from nas_jax.training.progress import Progress

_VALID = 260
"""Images on which the finalists are compared."""
_UNSPENT = 0.01
"""Share of the size that a network may leave."""
HOW_TO_READ = (
    "Rows: the network searched for a device, all of one size; columns: its latency by "
    "each device's table, as a share of the target there, so that the lowest of a "
    "column is the network to run on that device. kernels: their shares among the "
    "MBConvs, by stage from the first; expansion: the mean of those; depth: layers "
    "that are not zero."
)


def run(config: SpecialisationConfig, watch: Progress) -> dict[str, Any]:
    """Latency of each device's network on each device, ready for JSON.

    Raises:
      ValueError: for a table that does not fit the space, or a size that no network
        has.
    """
    searched = builders.mobile(config.space)
    size = Limit("macs", *counts.costs(searched, counts.macs), config.macs)
    limits = {name: _limit(config, searched, size, name) for name in config.tables}
    hand_designed = architecture.path_of(searched, baselines.hand_designed(searched))
    watch.phase("drawing letters")
    small = dataclasses.replace(
        config.space,
        input_size=config.image_size,
        input_channels=1,
        classes=glyphs.CLASSES,
    )
    weights, alphas, valid = (
        glyphs.draw(images, config.image_size, seed)
        for seed, images in enumerate((config.images, config.images, _VALID))
    )
    own = SearchConfig(
        warmup_epochs=config.warmup_epochs,
        joint_epochs=config.joint_epochs,
        arch_start_epoch=0,
        batch=config.batch,
        arch_batch=config.batch,
        arch_every=1,
        arch_lr=config.arch_lr,
        cost="macs",
        target_macs=config.macs,
        max_slack=_UNSPENT,
        limits=("latency:1",),  # that of each device takes its place
    )
    trained = builders.mobile(small)

    def epochs(name: str, after: loop.Reached | None) -> Iterator[loop.Epoch]:
        aim = Targets((size, limits[name]))
        return loop.run(
            jax.random.key(config.seed),
            SearchProblem(trained, own, aim.costs, aim.values),
            loop.SearchData(weights, alphas, valid, lambda key, images: images),
            after=after,
        )

    watch.phase("warm-up, shared by all devices")
    first = islice(epochs(config.tables[0], None), own.warmup_epochs)
    *_, warm = watch.steps(first, total=own.warmup_epochs, desc="warm-up")
    found = {}
    for name, limit in limits.items():
        watch.phase(f"search for {name}, {amount('latency', limit.target)}")
        joint = epochs(name, warm.reached)
        *_, last = watch.steps(joint, total=own.joint_epochs, desc="search")
        ranked = derivation.ranked_within(
            *(searched, np.asarray(last.probs), [size, limit]),
            *(own.max_slack, own.finalists),
        )
        accuracy = last.reached.accuracy(valid)
        found[name] = max(ranked, key=lambda one: accuracy(one.path))
    return {
        "name": "specialisation",
        "target_macs": config.macs,
        "devices": {
            name: {
                "target_ms": limit.target,
                "least_ms": limit.target / (1 + config.above_least),
                "macs": _cost(size, found[name].path),
                "slack": found[name].slack[name],
                "operations": [searched.candidates[k].name for k in found[name].path],
                "prefers": preferences.by_stage(
                    config.space.cells, searched, found[name].path
                ),
                "hand_designed_ms": _cost(limit, hand_designed),
                "ratios": {
                    other: _cost(there, found[name].path) / there.target
                    for other, there in limits.items()
                },
            }
            for name, limit in limits.items()
        },
        "config": dataclasses.asdict(config),
        **provenance.record(),
    }


def _limit(
    config: SpecialisationConfig, searched: SearchSpace, size: Limit, name: str
) -> Limit:
    """The target of a device: above the least latency of networks of this size.

    The fastest network is the most probable one where minus the milliseconds of a
    candidate are its log-probability.
    """
    table = tables.load(shipped.table_file(name))
    costs, fixed = tables.costs(table, searched, name)
    slower = costs - np.where(searched.mask, costs, np.inf).min(axis=1, keepdims=True)
    probs = np.where(searched.mask, np.exp(-slower), 0.0)
    fastest = derivation.most_probable_within(searched, probs, [size], _UNSPENT)
    if not fastest.is_spent:
        raise ValueError(
            f"macs: expected a size that networks of space {searched.name!r} have to "
            f"within {_UNSPENT:.0%}, got {config.macs:,.0f}; choose another"
        )
    least = _cost(Limit(name, costs, fixed, 0.0), fastest.path)
    return Limit(name, costs, fixed, (1 + config.above_least) * least)


def _cost(limit: Limit, path: np.ndarray) -> float:
    return float(limit.fixed + limit.costs[np.arange(len(path)), path].sum())


def table(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Header and rows, as text."""
    names = list(result["devices"])
    rows = [("searched for", *names, "kernels", "expansion", "depth")]
    for name, own in result["devices"].items():
        stages = own["prefers"]
        rows.append(
            (
                name,
                *(f"{own['ratios'][other]:.3f}" for other in names),
                " ".join(_kernels(stage["kernels"]) for stage in stages),
                " ".join(_expansion(stage["expansion"]) for stage in stages),
                " ".join(str(stage["depth"]) for stage in stages),
            )
        )
    return rows


def _kernels(shares: Mapping[str, float]) -> str:
    """`3:50%,7:50%`."""
    return ",".join(f"{kernel}:{share:.0%}" for kernel, share in shares.items())


def _expansion(mean: float | None) -> str:
    """`4.5`; `-` for a stage of which nothing is left."""
    return "-" if mean is None else f"{mean:.1f}"
