"""`benchmarks families`: one task searched with the blocks of several families.

The task is `fashion_cpu`'s: its pictures, widths and sides, with other blocks. The
first family is searched at its own target, a share of its hand-designed network's
latency; the others at the same milliseconds. So for a float runtime, and for one in 8
bits, where the networks compared are quantised ones. Every network found is then
quantised, and all of a seed are timed side by side in both.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from matplotlib.figure import Figure

from benchmarks import ledger
from benchmarks.intervals import interval
from benchmarks.quality_settings import FamiliesConfig
from nas_jax.config import families, provenance, shipped
from nas_jax.config.experiment import Experiment, LatencyConfig, SearchedRuntime
from nas_jax.config.space import ElasticConfig
from nas_jax.networks import checkpoint
from nas_jax.networks.onnx import graphs
from nas_jax.runs import assess, eight_bits, pipeline, retrain, run_folder, setup
from nas_jax.training.progress import Progress

FLOAT, INT8 = "onnxruntime", "onnxruntime-int8"
HOW_TO_READ = (
    "searched for: the runtime of the search and of its target. Accuracy on the test "
    "images in float32 and in 8 bits, mean over the seeds with its 95 % interval (t); "
    "ms: median in each runtime, those of a seed timed side by side."
)


def run(config: FamiliesConfig, watch: Progress) -> dict[str, Any]:
    """Runs what the file lacks; a row per network found, ready for JSON."""
    settings = dataclasses.asdict(config) | {"file": None, "folder": None}
    settings |= {"seeds": None}
    found = ledger.begin(config.file, settings, dict(provenance.record()))
    done = {row["seed"] for row in found.rows}
    rows = list(found.rows)
    for seed in config.seeds:
        if seed not in done:
            watch.phase(f"seed {seed}")
            rows += ledger.extended(config.file, _of_seed(config, seed, watch))
    return {
        "settings": found.settings,
        "provenance": found.provenance,
        "rows": rows,
    }


def table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row per family and runtime: means over the seeds."""
    head = (
        "family",
        "searched for",
        "float, %",
        "8 bits, %",
        "float, ms",
        "8 bits, ms",
    )
    rows: list[tuple[str, ...]] = [(*head, "params", "MACs")]
    for (family, runtime), own in _grouped(result).items():
        ms = (f"{np.mean([one[name] for one in own]):.3f}" for name in _TIMES.values())
        sizes = (f"{np.mean([one[name] for one in own]):,.0f}" for name in _SIZES)
        shares = (_percent([one[name] for one in own]) for name in _ACCURACIES)
        rows.append((family, runtime, *shares, *ms, *sizes))
    return rows


def _grouped(result: dict[str, Any]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The rows of each family and runtime searched for."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in result["rows"]:
        groups.setdefault((row["family"], row["runtime"]), []).append(row)
    return groups


def plot(result: dict[str, Any], file: Path) -> None:
    """Draws accuracy against latency in both runtimes, seed by seed, into a file."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    groups = _grouped(result)
    names = list(dict.fromkeys(family for family, _ in groups))
    for axes, accuracy, time, title in zip(
        panels, _ACCURACIES, _TIMES.values(), ("in float32", "in 8 bits"), strict=True
    ):
        by_family = sorted(groups.items(), key=lambda one: names.index(one[0][0]))
        for (family, runtime), own in by_family:
            place, is_float = names.index(family), runtime == FLOAT
            axes.plot(
                [row[time] for row in own],
                [100 * row[accuracy] for row in own],
                "os^D"[place % 4],
                color=f"C{place}",
                fillstyle="none" if is_float else "full",
                label=f"{family}, searched for {'float32' if is_float else '8 bits'}",
            )
        axes.set(title=title, xlabel="measured latency, ms", xlim=(0, None))
        axes.grid(color="0.9")
    panels[0].set_ylabel("test accuracy, %")
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=3,
        frameon=False,
    )
    figure.savefig(file, dpi=110)


_TIMES = {FLOAT: "float_ms", INT8: "int8_ms"}
_SIZES = ("params", "macs")
_ACCURACIES = ("test_accuracy", "test_accuracy_int8")


def _percent(values: Sequence[float]) -> str:
    mean = f"{100 * np.mean(values):.2f}"
    if len(values) < 2:
        return mean
    found = interval(list(values), [0.0] * len(values))
    return f"{mean} ± {100 * found['half_width']:.2f}"


_Found = tuple[Experiment, Path, dict[str, Any]]


def _of_seed(
    config: FamiliesConfig, seed: int, watch: Progress
) -> Iterator[dict[str, Any]]:
    found: dict[tuple[str, SearchedRuntime], _Found] = {}
    for runtime in config.runtimes:
        target_ms = None
        for family in config.families:
            watch.phase(f"{family} for {runtime}, seed {seed}")
            experiment = _experiment(config, family, runtime, seed, target_ms)
            folder = config.folder / f"{family}-{runtime}-{seed}"
            if not (folder / "config.json").is_file():
                run_folder.create(experiment, folder, config.folder)
            result = pipeline.run(
                experiment, folder, command="benchmarks families", progress=watch
            )
            target_ms = result["target_ms"]
            found[family, runtime] = experiment, folder, result
    read = {key: _read(*one[:2]) for key, one in found.items()}
    times = _times(config, experiment.latency, read, watch)
    for (family, runtime), (_, _, result) in found.items():
        searched = result["networks"]["searched"]
        yield {
            "family": family,
            "runtime": runtime,
            "seed": seed,
            "test_accuracy": searched["test_accuracy"],
            "test_accuracy_int8": read[family, runtime].accuracy_int8,
            "test_images": searched["test_images"],
            "baseline": result["networks"]["baseline"]["test_accuracy"],
            "target_ms": result["target_ms"],
            "predicted_ms": searched["predicted_ms"],
            **times[family, runtime],
            **{name: searched[name] for name in _SIZES},
            "ops": [block["op"] for block in searched["architecture"]["blocks"]],
            "seconds": sum(result["seconds_per_phase"].values()),
        }


def _experiment(
    config: FamiliesConfig,
    family: str,
    runtime: SearchedRuntime,
    seed: int,
    target_ms: float | None,
) -> Experiment:
    made, blocks = shipped.load_experiment("fashion_cpu"), families.BLOCKS[family]
    assert isinstance(made.space, ElasticConfig)
    search = dataclasses.replace(
        made.search, trials=config.trials, finalists=2 * config.trials
    )
    if target_ms is not None:
        search = dataclasses.replace(search, target_ms=target_ms, target_ratio=None)
    return dataclasses.replace(
        made,
        name=f"fashion_{family}",
        seed=seed,
        space=dataclasses.replace(
            made.space, name=family, candidates=blocks.candidates, ends=blocks.ends
        ),
        search=search,
        latency=dataclasses.replace(made.latency, runtime=runtime),
        train=dataclasses.replace(made.train, epochs=config.epochs),
        random_networks=0,
        scaled_networks=0,
    )


class _Read(NamedTuple):
    """A network found: its graph for each runtime, and its accuracy in 8 bits."""

    graphs: dict[str, onnx.ModelProto]
    accuracy_int8: float
    shape: tuple[int, int, int]


def _read(experiment: Experiment, folder: Path) -> _Read:
    model = checkpoint.load_model(folder / retrain.TRAINED / "searched")
    loaded = setup.of_run(experiment, folder, needed=("train_weights", "test"))
    plain = graphs.network(model.architecture, model.params, model.batch_stats)
    in_8_bits = eight_bits.quantised(model, loaded)
    test = loaded.of(model.architecture).splits["test"]
    accuracy = eight_bits.accuracy(in_8_bits, test)
    shape = model.architecture.input_shape
    return _Read({FLOAT: plain, INT8: in_8_bits}, accuracy, shape)


def _times(
    config: FamiliesConfig,
    latency: LatencyConfig,
    read: Mapping[Any, _Read],
    watch: Progress,
) -> dict[Any, dict[str, float]]:
    """Median milliseconds of all networks of a seed, in each runtime side by side."""
    times: dict[Any, dict[str, float]] = {key: {} for key in read}
    names = {key: " ".join(key) for key in read}
    shapes = {names[key]: one.shape for key, one in read.items()}
    for runtime in config.runtimes:
        drawn = {names[key]: one.graphs[runtime] for key, one in read.items()}
        of_runtime = dataclasses.replace(latency, runtime=runtime)
        measured = assess.timed(drawn, shapes, None, of_runtime, watch).measured_ms
        for key, name in names.items():
            times[key][_TIMES[runtime]] = measured[name]["median"]
    return times
