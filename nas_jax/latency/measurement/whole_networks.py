"""Whole networks measured, and latency models held against them.

A model of latency is judged by networks that it has not seen. They are spread from the
smallest latency to the largest (`sampling`); those held out are in no fit. Two models
make a table; two baselines need none: the mean of all measured networks, and a straight
line on multiply-adds.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from nas_jax.config.experiment import LatencyConfig
from nas_jax.latency import tables
from nas_jax.latency.measurement import reference, sampling, timing
from nas_jax.latency.measurement.fit import fit
from nas_jax.latency.measurement.journal import Journal
from nas_jax.latency.measurement.timing import Device
from nas_jax.latency.tables import LatencyTable
from nas_jax.networks import counts
from nas_jax.spaces import architecture
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.elastic import ElasticSpace
from nas_jax.spaces.space import SearchSpace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GROUP = 16
"""Networks in memory at a time, timed interleaved."""
_RESAMPLES = 1000
NO_REFERENCE = np.empty(0)
LEAST = 10
"""Networks held out, so that a table can be judged."""
_PASSES = 2


def draw(
    table: LatencyTable, space: SearchSpace | ElasticSpace, count: int, seed: int
) -> list[Architecture]:
    """Networks spread over the latencies of a space, by rising expected latency."""
    rng = np.random.default_rng(seed)
    spread = sampling.spread(rng, space, tables.shape_costs(table, space), count)
    return [
        architecture.from_path(space.shapes[shape], path, f"network_{index}")
        for index, (shape, path) in enumerate(spread)
    ]


def seconds_of(
    config: LatencyConfig, table: LatencyTable, space: SearchSpace | ElasticSpace
) -> float:
    """Time of a network among those of `measure_beside`, on the mean over latencies.

    A pass of a round is a call and a loop. What building takes is not counted, nor that
    rounds may be spread.
    """
    ends = [
        fixed + float(pick(np.where(shape.mask, costs, fill), axis=1).sum())
        for shape, (costs, fixed) in zip(
            space.shapes, tables.shape_costs(table, space), strict=True
        )
        for pick, fill in ((np.min, np.inf), (np.max, -np.inf))
    ]
    call_ms = (min(ends) + max(ends)) / 2
    a_pass_ms = call_ms + max(call_ms, config.loop_ms)
    passes = timing.Protocol(config.repeats, config.loop_ms).passes
    return 1e-3 * config.repeats * passes * a_pass_ms


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
    return measure_beside(device, networks, None, journal, progress)[0]


def measure_beside(
    device: Device,
    networks: Sequence[Architecture],
    compared: Architecture | None,
    journal: Journal,
    progress: timing.Progress | None = None,
    spread_s: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """As `measure`, and Float `[R]` of a network that is `compared` with another time.

    It is built anew for each of these; every group has one, at least. With `spread_s`
    the rounds of a group fill so many seconds, with as many passes as those of a table:
    hurried rounds find a machine that others use some per cent slower.
    """
    config = device.config
    protocol = timing.Protocol(config.repeats, config.loop_ms, 0.0, passes=_PASSES)
    if spread_s is not None:
        protocol = timing.Protocol(config.repeats, config.loop_ms, spread_s)
    groups = -(-len(networks) // GROUP)
    copies = 0 if compared is None else max(device.buildings, groups)
    built = [reference.name(place) for place in range(copies)]

    def build(first: int) -> Callable[[], dict[str, timing.Call]]:
        def calls() -> dict[str, timing.Call]:
            members = {each.name: each for each in networks[first::groups]}
            if compared is not None:
                members |= dict.fromkeys(built[first::groups], compared)
            return {name: device.network(each) for name, each in members.items()}

        return calls

    times = timing.time_groups(
        {f"networks {first}": build(first) for first in range(groups)},
        journal,
        protocol,
        progress,
    )

    def steady(names: Iterable[str]) -> np.ndarray:
        return np.array([timing.steady(times[one]) / device.per_call for one in names])

    return steady(network.name for network in networks), steady(built)


def hold(
    table: LatencyTable,
    space: SearchSpace | ElasticSpace,
    device: Device,
    count: int,
    *,
    seed: int,
    progress: timing.Progress | None = None,
    spread_s: float | None = None,
) -> tuple[LatencyTable, dict[str, Any]]:
    """A table judged by `count` networks of a space, timed beside its reference.

    As `validate`, without a fit. Raises `ValueError` as `measure`.
    """
    networks = draw(table, space, count, seed)
    compared = None if table.reference is None else table.reference.network
    measured_ms, reference_ms = measure_beside(
        device, networks, compared, Journal(None, {}), progress, spread_s
    )
    return validate(table, networks, measured_ms, count, seed, reference_ms)


def validate(
    table: LatencyTable,
    networks: Sequence[Architecture],
    measured_ms: np.ndarray,
    held_out: int,
    seed: int,
    reference_ms: np.ndarray = NO_REFERENCE,
) -> tuple[LatencyTable, dict[str, Any]]:
    """The fitted table, else that of micro-benchmarks, validated; all models' record.

    What the reference network took beside the others, `reference_ms`, gives the pace
    of the machine, by which `measured_ms` are divided. The fit is to the networks that
    are not held out; without any, the table of micro-benchmarks is validated as it is.
    The record has `models` (quality and 95 % intervals of each), `networks` (measured
    and predicted, held out or not), and `pace` if there is one.
    """
    beside: dict[str, Any] = {}
    record: dict[str, Any] = {}
    if len(reference_ms):
        pace = reference.pace(table, reference_ms)
        beside = {"common_sd": reference.common_sd(table, reference_ms)}
        record["pace"] = pace._asdict()
        measured_ms = measured_ms / pace.factor
    rng = np.random.default_rng(seed)
    held = sampling.split(len(networks), held_out)
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
    record |= {
        "models": {
            name: {
                **quality(values[held], measured_ms[held]),
                **beside,
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


def quality(predicted_ms: np.ndarray, measured_ms: np.ndarray) -> dict[str, Any]:
    """The validation of a latency table, of networks that it has not seen.

    With e = predicted - measured: rmse = sqrt(mean e^2), bias = mean e, mape = mean
    abs(e) / measured, `within_5_percent` the share with abs(e) <= 5 % of measured,
    Kendall's tau-b (None where all predictions are one). `additivity_residual` is what
    no common factor and offset would explain: the standard deviation about the best
    straight line measured = a + b predicted, over the mean. `mean_ms` and `std_ms` are
    of the measured latencies, `log_ratio` and `log_ratio_sd` of log(measured /
    predicted), None where a prediction is not above 0; shares are fractions.
    """
    logs = np.log(measured_ms / predicted_ms) if predicted_ms.min() > 0 else None
    error = predicted_ms - measured_ms
    share = np.abs(error) / measured_ms
    constant = np.ptp(predicted_ms) == 0
    line = np.polyfit(predicted_ms, measured_ms, 0 if constant else 1)
    rest = measured_ms - (line[0] if constant else np.polyval(line, predicted_ms))
    tau = None if constant else stats.kendalltau(predicted_ms, measured_ms).statistic
    return {
        "networks": len(measured_ms),
        "kendall_tau": None if tau is None else float(tau),
        "within_5_percent": float((share <= 0.05).mean()),
        "within_10_percent": float((share <= 0.1).mean()),
        "rmse_ms": float(np.sqrt((error**2).mean())),
        "mape": float(share.mean()),
        "bias_ms": float(error.mean()),
        "additivity_residual": float(rest.std() / measured_ms.mean()),
        "mean_ms": float(measured_ms.mean()),
        "std_ms": float(measured_ms.std()),
        "log_ratio": None if logs is None else float(logs.mean()),
        "log_ratio_sd": None if logs is None else float(logs.std(ddof=1)),
    }


def intervals(
    predicted_ms: np.ndarray, measured_ms: np.ndarray, rng: np.random.Generator
) -> dict[str, list[float]]:
    """Percentile bootstrap over the networks: 95 % interval of every number."""
    samples: dict[str, list[float]] = {}
    for _ in range(_RESAMPLES):
        drawn = rng.integers(len(measured_ms), size=len(measured_ms))
        for name, value in quality(predicted_ms[drawn], measured_ms[drawn]).items():
            if name != "networks" and value is not None:
                samples.setdefault(name, []).append(value)
    return {
        name: np.percentile(values, [2.5, 97.5]).tolist()
        for name, values in samples.items()
    }


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


def plot(record: dict[str, Any]) -> "Figure":
    """Predicted against measured latency of held-out networks, a panel per model.

    The line is perfect prediction, the band within 10 %.
    """
    from matplotlib.figure import Figure

    held = [row for row in record["networks"] if row["held_out"]]
    measured = [row["measured_ms"] for row in held]
    models = list(record["models"])
    figure = Figure(figsize=(3.4 * len(models), 3.6), layout="constrained")
    panels = figure.subplots(1, len(models), squeeze=False, sharex=True, sharey=True)
    ends = [0.95 * min(measured), 1.05 * max(measured)]
    for axes, name in zip(panels[0], models, strict=True):
        predicted = [row[f"{name}_ms"] for row in held]
        axes.fill_between(
            ends, [0.9 * x for x in ends], [1.1 * x for x in ends], color="0.92"
        )
        axes.plot(ends, ends, color="0.6", linewidth=1)
        axes.scatter(measured, predicted, s=12, color="tab:blue")
        share = record["models"][name]["within_10_percent"]
        axes.set_title(f"{LABELS[name]}\n{share:.0%} within 10 %", fontsize=10)
        axes.set_xlabel("measured, ms")
    panels[0, 0].set_ylabel("predicted, ms")
    return figure
