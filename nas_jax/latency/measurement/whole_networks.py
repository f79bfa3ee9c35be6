"""Whole networks measured, and latency models held against them.

A model of latency is judged by networks that it has not seen. They are spread from the
smallest latency to the largest (`sampling`); those held out are in no fit. Two models
make a table; two baselines need none: the mean of all measured networks, and a straight
line on multiply-adds.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nas_jax.latency import tables
from nas_jax.latency.measurement import timing
from nas_jax.latency.measurement.fit import fit
from nas_jax.latency.measurement.journal import Journal
from nas_jax.latency.measurement.quality import intervals, quality
from nas_jax.latency.measurement.sampling import split, spread_paths
from nas_jax.latency.measurement.timing import Device
from nas_jax.latency.tables import LatencyTable
from nas_jax.networks import counts
from nas_jax.spaces import architecture
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.space import SearchSpace

GROUP = 16
"""Networks in memory at a time, timed interleaved."""


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
    journal: Journal,
    progress: timing.Progress | None = None,
) -> np.ndarray:
    """Milliseconds of a call, as deployed, Float `[N]`: the fastest quarter's mean.

    Neighbours in the list are not timed together, so that a slow phase of the machine
    does not look like a large network. Raises `ValueError` as `time_groups`.
    """
    groups = -(-len(networks) // GROUP)

    def build(first: int) -> Callable[[], dict[str, timing.Call]]:
        members = networks[first::groups]
        return lambda: {network.name: device.network(network) for network in members}

    times = timing.time_groups(
        {f"networks {first}": build(first) for first in range(groups)},
        journal,
        timing.Protocol(device.config.repeats, device.config.loop_ms, 0.0, passes=2),
        progress,
    )
    return np.array(
        [timing.steady(times[network.name]) / device.per_call for network in networks]
    )


def validate(
    table: LatencyTable,
    networks: Sequence[Architecture],
    measured_ms: np.ndarray,
    held_out: int,
    seed: int,
) -> tuple[LatencyTable, dict[str, Any]]:
    """The fitted table, else that of micro-benchmarks, validated; all models' record.

    The fit is to the networks that are not held out; without any, the table of
    micro-benchmarks is validated as it is. The record has `models` (quality and 95 %
    intervals of each), and `networks` (measured and predicted, held out or not).
    """
    rng = np.random.default_rng(seed)
    held = split(len(networks), held_out)
    rest = [each for each, out in zip(networks, held, strict=True) if not out]
    models = {"operations": table}
    if rest:
        models["networks"] = fit(table, rest, measured_ms[~held], rng)
    predicted = {
        name: np.array([tables.predict_ms(model, each) for each in networks])
        for name, model in models.items()
    }
    if rest:
        macs = np.array([sum(map(counts.macs, each.parts)) for each in networks])
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
                "ops": " ".join(block.op.name for block in network.blocks),
                "held_out": bool(held[index]),
                "measured_ms": float(measured_ms[index]),
                **{
                    f"{name}_ms": float(values[index])
                    for name, values in predicted.items()
                },
            }
            for index, network in enumerate(networks)
        ],
    }
    name = "networks" if rest else "operations"
    validated = dataclasses.replace(models[name], validation=record["models"][name])
    return validated, record


LABELS = {
    "operations": "sum of micro-benchmarks",
    "networks": "fitted to whole networks",
    "macs": "line on multiply-adds",
    "mean": "mean of all networks",
}
"""Names of a record's models in tables and pictures."""
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
    """Rows of the models' quality on the held-out networks, with 95 % intervals."""
    rows = [("model", *_COLUMNS.values())]
    for name, model in record["models"].items():
        cells = []
        for column in _COLUMNS:
            value, interval = model[column], model["intervals"].get(column)
            if value is None or interval is None:
                cells.append("-")
                continue
            low, high = interval
            cells.append(f"{value:.3f} [{low:.3f}, {high:.3f}]")
        rows.append((LABELS[name], *cells))
    return rows
