"""Whole networks measured, and latency models held against them.

A model of latency is worth what it says about networks that it has not seen. The
networks are spread from the smallest latency to the largest (`sampling`); those held
out are in no fit. Beside the two models that make a table stand two that need none: the
mean of all measured networks, and a straight line on multiply-adds.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nas_jax.config.experiment import LatencyConfig
from nas_jax.latency import tables
from nas_jax.latency.measure import timing
from nas_jax.latency.measure.device import Device, time_groups
from nas_jax.latency.measure.fit import fit
from nas_jax.latency.measure.journal import Journal
from nas_jax.latency.measure.quality import intervals, quality
from nas_jax.latency.measure.sampling import split, spread_paths
from nas_jax.latency.tables import LatencyTable
from nas_jax.networks import counts
from nas_jax.spaces import architecture
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.space import SearchSpace

GROUP = 16
"""Networks in memory at a time, timed interleaved."""
PASSES = 2


def draw(
    table: LatencyTable, space: SearchSpace, count: int, seed: int
) -> list[Architecture]:
    """Networks spread over the latencies of a space, by rising expected latency."""
    rng = np.random.default_rng(seed)
    paths = spread_paths(rng, space, tables.costs(table, space)[0], count)
    return [
        architecture.from_path(space, path, f"network_{index}")
        for index, path in enumerate(paths)
    ]


def measure(
    device: Device,
    networks: Sequence[Architecture],
    config: LatencyConfig,
    journal: Journal,
    progress: timing.Progress | None = None,
) -> np.ndarray:
    """Milliseconds of a call, as deployed, Float `[N]`: the fastest quarter's mean.

    Neighbours in the list are not timed together, so that a slow phase of the machine
    does not look like a large network. Raises `ValueError` as `time_groups`.
    """
    groups = -(-len(networks) // GROUP)

    def build(first: int) -> Callable[[], dict[str, timing.Call]]:
        return lambda: {
            one.name: device.network(one) for one in networks[first::groups]
        }

    times = time_groups(
        {f"networks {first}": build(first) for first in range(groups)},
        journal,
        repeats=config.repeats,
        loop_ms=config.loop_ms,
        spread_s=0.0,
        passes=PASSES,
        progress=progress,
    )
    return np.array(
        [timing.steady(times[one.name]) / device.per_call for one in networks]
    )


def validate(
    table: LatencyTable,
    networks: Sequence[Architecture],
    measured_ms: np.ndarray,
    held_out: int,
    seed: int,
) -> tuple[LatencyTable, dict[str, Any]]:
    """The better founded table with its validation, and the record of all models.

    Fits from the networks that are not held out, if there are any; without, the table
    of micro-benchmarks is validated as it is. The record has `models` (quality and 95 %
    intervals of each), and `networks` (measured and predicted, held out or not).
    """
    rng = np.random.default_rng(seed)
    held = split(len(networks), held_out)
    rest = [one for one, out in zip(networks, held, strict=True) if not out]
    models = {"operations": table}
    if rest:
        models["networks"] = fit(table, rest, measured_ms[~held], rng)
    predicted = {
        name: np.array([tables.predict_ms(model, one) for one in networks])
        for name, model in models.items()
    }
    if rest:
        macs = np.array([sum(map(counts.macs, one.parts)) for one in networks])
        line = np.polyfit(macs[~held], measured_ms[~held], 1)
        predicted["macs"] = np.polyval(line, macs)
        predicted["mean"] = np.full(len(networks), measured_ms[~held].mean())
    record: dict[str, Any] = {
        "models": {
            name: {
                **quality(values[held], measured_ms[held]),
                "intervals": intervals(values[held], measured_ms[held], rng),
            }
            for name, values in predicted.items()
        },
        "networks": [
            {
                "ops": " ".join(block.op.name for block in one.blocks),
                "held_out": bool(held[index]),
                "measured_ms": float(measured_ms[index]),
                **{
                    f"{name}_ms": float(values[index])
                    for name, values in predicted.items()
                },
            }
            for index, one in enumerate(networks)
        ],
    }
    name = "networks" if rest else "operations"
    found = record["models"][name]
    chosen = dataclasses.replace(models[name], validation=found)
    return chosen, record


LABELS = {
    "operations": "sum of micro-benchmarks",
    "networks": "fitted to whole networks",
    "macs": "line on multiply-adds",
    "mean": "mean of all networks",
}
"""What the models of a record are called in tables and pictures."""
_COLUMNS = {
    "kendall_tau": "Kendall tau",
    "within_5_percent": "within 5 %",
    "within_10_percent": "within 10 %",
    "rmse_ms": "RMSE ms",
    "mape": "MAPE",
    "bias_ms": "bias ms",
    "additivity_residual": "residual",
}


def table_of(record: dict[str, Any]) -> list[tuple[str, ...]]:
    """The models side by side on the held-out networks, with 95 % intervals."""
    rows = [("model", *_COLUMNS.values())]
    for name, found in record["models"].items():
        cells = []
        for column in _COLUMNS:
            value, interval = found[column], found["intervals"].get(column)
            if value is None or interval is None:
                cells.append("-")
                continue
            low, high = interval
            cells.append(f"{value:.3f} [{low:.3f}, {high:.3f}]")
        rows.append((LABELS[name], *cells))
    return rows
