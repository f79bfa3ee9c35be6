"""`nas_jax bench specialisation`: one space searched for several devices.

ProxylessNAS, section 4.3: a network searched for one device is slower on another than
the one searched for that. Each device is a latency table of the paper's space at
224x224; the target is the latency that the same share of all networks keeps on each.
One warm-up serves all.

Weights and alphas are trained on small images of letters, since only the alphas and the
tables meet here: what comes out tells what a device makes of the space, not how well
its network would classify photographs.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import (
    architecture,
    baselines,
    derive,
    latency,
    preferences,
    provenance,
    search,
    shipped,
    space,
    tables,
)
from nas_jax.bench.quality_settings import SpecialisationConfig
from nas_jax.config import SearchConfig
from nas_jax.data import glyphs
from nas_jax.derive import Limit
from nas_jax.problem import cost_model
from nas_jax.space import SearchSpace
from nas_jax.watch import Watch

_VALID = 260
"""Images on which the finalists are compared."""
_DRAWS = 20_000
"""Networks whose latencies set the targets."""
HOW_TO_READ = (
    "Rows: the network searched for a device; columns: its latency by each device's "
    "table, as a share of the target there. kernels: their shares "
    "among the MBConvs, by stage from the first; expansion: the mean of those; depth: "
    "layers that are not zero."
)


def run(config: SpecialisationConfig, watch: Watch) -> dict[str, Any]:
    """Latency of each device's network on each device, ready for JSON.

    Raises:
      ValueError: for a table that does not fit the space.
    """
    searched = space.mobile(config.space)
    limits = {name: _limit(config, searched, name) for name in config.tables}
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
        target_ratio=1.0,  # replaced by that of each device
    )
    trained = space.mobile(small)

    def epochs(name: str, after: search.Reached | None) -> Iterator[search.Epoch]:
        table = tables.load(shipped.table_file(name))
        return search.run(
            jax.random.key(config.seed),
            trained,
            own,
            cost_model(table, searched, name, z=0.0),
            limits[name].target,
            weights,
            alphas,
            valid,
            lambda key, images: images,
            after=after,
        )

    watch.phase("warm-up, shared by all devices")
    first = islice(epochs(config.tables[0], None), own.warmup_epochs)
    *_, warm = watch.steps(first, total=own.warmup_epochs, desc="warm-up")
    found = {}
    for name, limit in limits.items():
        watch.phase(f"search for {name}, {limit.target:.4g} ms")
        joint = epochs(name, warm.reached)
        *_, last = watch.steps(joint, total=own.joint_epochs, desc="search")
        ranked = derive.ranked_within(
            searched, np.asarray(last.probs), [limit], own.max_slack, own.finalists
        )
        accuracy = last.reached.accuracy(valid)
        found[name] = max(ranked, key=lambda one: accuracy(one.path))
    return {
        "name": "specialisation",
        "target_quantile": config.target_quantile,
        "devices": {
            name: {
                "target_ms": limit.target,
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


def _limit(config: SpecialisationConfig, searched: SearchSpace, name: str) -> Limit:
    """The target of a device: a quantile of the latencies of random networks."""
    table = tables.load(shipped.table_file(name))
    costs, fixed = tables.costs(table, searched, name)
    numbers = np.random.default_rng(config.seed)
    paths = np.stack(
        [numbers.choice(np.flatnonzero(ok), size=_DRAWS) for ok in searched.mask],
        axis=1,
    )
    model = latency.CostModel(jnp.asarray(costs), fixed)
    drawn = latency.of_paths(model, paths)
    return Limit(name, costs, fixed, float(np.quantile(drawn, config.target_quantile)))


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
