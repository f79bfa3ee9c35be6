"""The push of the button: every stage of a run, from a configuration to a report.

    measure -> search -> derive -> retrain -> test -> export -> time -> report

Each stage reads and writes the run folder, so the later ones can be run again alone
(`derive`, `train`, `evaluate`). Progress goes through `Watch`, which the command line
draws and a notebook may replace.
"""

import functools
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import onnx

from nas_jax import (
    architecture,
    baselines,
    batches,
    checkpoint,
    counts,
    derive,
    latency,
    objective,
    onnx_graph,
    provenance,
    report,
    rng,
    run_folder,
    search,
    shipped,
    space,
    tables,
    train,
)
from nas_jax.architecture import Architecture
from nas_jax.batches import Batch
from nas_jax.config import Experiment, LatencyConfig, SearchConfig
from nas_jax.data import digits
from nas_jax.measure import onnx_runtime
from nas_jax.space import SearchSpace


class Watch:
    """Hears what a run is doing; this one says nothing.

    `phase` begins a stage, `steps` wraps a loop, `note` reports its newest numbers.
    """

    def phase(self, title: str) -> None:
        """A stage begins."""

    def steps(self, iterable: Any, *, total: int, desc: str) -> Iterator[Any]:
        """A loop of `total` steps, passed through."""
        yield from iterable

    def note(self, **values: str) -> None:
        """The newest numbers of the running loop."""


class Problem(NamedTuple):
    """What an experiment's configuration stands for."""

    space: SearchSpace
    splits: dict[str, Batch]
    augment: batches.Augment


def problem(experiment: Experiment) -> Problem:
    """Builds the space and loads the data, checking that they fit each other."""
    searched = space.mobile(experiment.space)
    splits = digits.load(experiment.data, experiment.space.input_size, experiment.seed)
    for name, split in splits.items():
        check_split(name, split, searched)
    augment = functools.partial(batches.shift, pixels=experiment.data.shift_pixels)
    return Problem(searched, splits, augment)


def check_split(name: str, split: Batch, searched: SearchSpace) -> None:
    """Raises `ValueError` if images or labels do not fit the space."""
    shape = tuple(split.images.shape[1:])
    if shape != searched.input_shape:
        raise ValueError(
            f"{name}: expected images of shape {searched.input_shape} (height, width, "
            f"channels) for space {searched.name!r}, got {shape}; set "
            "space.input_size and space.input_channels"
        )
    classes = searched.classifier.classes
    low, high = int(split.labels.min()), int(split.labels.max())
    if low < 0 or high >= classes:
        raise ValueError(
            f"{name}: expected labels 0 to {classes - 1} for {classes} classes, got "
            f"labels from {low} to {high}; set space.classes to {high + 1}"
        )


def check(experiment: Experiment) -> None:
    """Raises `ValueError` for what `run` would refuse, before anything is written.

    A stored table is checked, and the target against it; a measured one in `run`.
    """
    given, stored = problem(experiment), experiment.latency.table
    baselines.hand_designed(given.space)
    if experiment.search.target_ms is None and experiment.search.target_ratio is None:
        raise ValueError(
            "no target: expected search.target_ms or search.target_ratio, got neither; "
            "give one, for example --search.target-ratio 0.5"
        )
    if stored is not None:
        table = tables.load(Path(stored))
        model = cost_model(table, given.space, stored)
        target_ms(experiment.search, given.space, model, table)


def measure(
    searched: SearchSpace, config: LatencyConfig, watch: Watch
) -> tables.LatencyTable:
    """The stored table that `config` names, or a new one measured here."""
    if config.table is not None:
        return tables.load(Path(config.table))
    return onnx_runtime.measure_table(searched, config, progress=watch.steps)


def cost_model(
    table: tables.LatencyTable, searched: SearchSpace, origin: str
) -> latency.CostModel:
    """The table as arrays."""
    costs, fixed_ms = tables.costs(table, searched, origin)
    return latency.CostModel(jnp.asarray(costs, jnp.float32), fixed_ms)


def target_ms(
    config: SearchConfig,
    searched: SearchSpace,
    model: latency.CostModel,
    table: tables.LatencyTable,
) -> tuple[float, str | None]:
    """The target latency, and a warning if every network of the space meets it.

    Raises `ValueError` with the reachable range if no network meets it.
    """
    baseline_ms = tables.predict_ms(table, baselines.hand_designed(searched))
    if config.target_ms is not None:
        target, given = config.target_ms, f"search.target_ms = {config.target_ms:g}"
    elif config.target_ratio is not None:
        target = config.target_ratio * baseline_ms
        given = f"search.target_ratio = {config.target_ratio:g} ({target:.4g} ms)"
    else:
        raise ValueError(
            "no target: expected search.target_ms or search.target_ratio, got neither"
        )
    smallest, largest = latency.reachable(model, searched.mask)
    reachable = (
        f"networks of this space take {smallest:.4g} to {largest:.4g} ms, a ratio of "
        f"{smallest / baseline_ms:.2g} to {largest / baseline_ms:.2g}"
    )
    if target < smallest:
        raise ValueError(f"{given} is out of reach: {reachable}; raise the target")
    if config.objective == "mul_log":
        objective.require_above_one(smallest, target)
    warning = None
    if target > largest:
        warning = f"{given} is above the maximum: {reachable}; the target binds nothing"
    return target, warning


@contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[phase] = round(time.perf_counter() - start, 2)


def run(experiment: Experiment, folder: Path, command: str, watch: Watch) -> dict:
    """Runs everything into a folder made by `run_folder.create`; returns the result.

    Raises:
      ValueError: if data, table or target do not fit; the folder then holds what was
        finished, a measured table among it.
    """
    seconds: dict[str, float] = {}
    given = problem(experiment)
    with _timed(seconds, "measure"):
        watch.phase("latency table")
        table = measure(given.space, experiment.latency, watch)
        origin = experiment.latency.table or "the measured table"
        tables.save(table, folder / "latency_table.json")
        model = cost_model(table, given.space, origin)
    try:
        target, warning = target_ms(experiment.search, given.space, model, table)
    except ValueError as error:
        raise ValueError(
            f"{error}; measured already: --latency.table "
            f"{folder / 'latency_table.json'}"
        ) from error
    if warning:
        watch.phase(f"warning: {warning}")
    with _timed(seconds, "search"):
        watch.phase(f"search, target {target:.4f} ms")
        run_search(experiment, given, model, target, folder, watch)
    found = derive_run(folder)
    networks = comparison(experiment, given.space, model, found)
    with _timed(seconds, "retrain"):
        models = {}
        for name, network in networks.items():
            watch.phase(f"retraining from scratch: {name}")
            models[name] = retrain(experiment, given, network, folder, watch)
            checkpoint.save_model(folder / "checkpoints" / name, models[name])
    with _timed(seconds, "evaluate"):
        watch.phase("test, export, timing")
        results = assess(experiment, given, models, table, folder, watch)
    result = {
        "networks": results,
        "target_ms": target,
        "seed": experiment.seed,
        "versions": provenance.versions(),
        "device": provenance.device(),
        "commit": provenance.commit(),
        "seconds_per_phase": seconds,
        "command": command,
    }
    run_folder.write_text(folder / "result.json", json.dumps(result, indent=1) + "\n")
    report.write(folder)
    return result


def run_search(
    experiment: Experiment,
    given: Problem,
    model: latency.CostModel,
    target: float,
    folder: Path,
    watch: Watch,
) -> None:
    """Runs the search, one metrics line per epoch."""
    config, start = experiment.search, time.perf_counter()
    epochs = search.run(
        rng.stream(jax.random.key(experiment.seed), "search"),
        given.space,
        config,
        model,
        target,
        given.splits["train_weights"],
        given.splits["train_alphas"],
        given.splits["valid"],
        given.augment,
    )
    total = config.warmup_epochs + config.joint_epochs
    for one in watch.steps(epochs, total=total, desc="search"):
        line = {
            "step": int(one.state.step),
            "phase": one.phase,
            "epoch": one.epoch,
            "seconds": round(time.perf_counter() - start, 3),
            **one.metrics,
            "search/probs": np.asarray(one.probs).round(6).tolist(),
        }
        run_folder.append_metrics(folder, line)
        expected = one.metrics["search/expected_latency_ms"]
        watch.note(
            phase=one.phase,
            accuracy=f"{one.metrics['search/valid_accuracy']:.1%}",
            latency=f"{expected:.3f}/{target:.3f} ms",
            entropy=f"{one.metrics['search/entropy']:.2f}",
        )


def derive_run(folder: Path) -> Architecture:
    """Derives the network of a run's newest probabilities; writes architecture.json."""
    searched = space.mobile(run_folder.read_experiment(folder).space)
    probs = np.array(run_folder.last_probabilities(folder))
    table = tables.load(folder / "latency_table.json")
    costs, _ = tables.costs(table, searched, "latency_table.json")
    found = derive.derive(searched, probs, costs)
    text = architecture.to_json(found)
    run_folder.write_text(folder / "architecture.json", text)
    return found


def comparison(
    experiment: Experiment,
    searched: SearchSpace,
    model: latency.CostModel,
    found: Architecture,
) -> dict[str, Architecture]:
    """The searched network and those to hold it against."""
    path = architecture.path_of(searched, found)
    latency_ms = float(latency.of_path(model, jnp.asarray(path)))
    numbers = np.random.default_rng(experiment.seed)
    drawn = [
        baselines.random_of_latency(
            numbers, searched, model, latency_ms, name=f"random_{index + 1}"
        )
        for index in range(experiment.random_networks)
    ]
    networks = [
        found,
        baselines.hand_designed(searched),
        baselines.cheapest(searched, model),
        *drawn,
    ]
    return {network.name: network for network in networks}


def retrain(
    experiment: Experiment,
    given: Problem,
    network: Architecture,
    folder: Path,
    watch: Watch,
) -> checkpoint.Model:
    """Trains a network from scratch on both training splits.

    The key does not depend on the network: all of a run see the same images in the same
    order, shifted alike, so their accuracies are paired.
    """
    parts = [given.splits["train_weights"], given.splits["train_alphas"]]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    data = Batch(images, labels)
    key = rng.stream(jax.random.key(experiment.seed), "train")
    config, start = experiment.train, time.perf_counter()
    epochs = train.run(key, network, config, data, given.augment)
    for one in watch.steps(epochs, total=config.epochs, desc=network.name):
        line = {
            "step": int(one.state.step),
            "phase": "train",
            "network": network.name,
            "epoch": one.epoch,
            "seconds": round(time.perf_counter() - start, 3),
            **one.metrics,
        }
        run_folder.append_metrics(folder, line)
        watch.note(accuracy=f"{one.metrics['train/accuracy']:.1%}")
    return checkpoint.Model(network, one.state.params, one.state.batch_stats)


def assess(
    experiment: Experiment,
    given: Problem,
    models: dict[str, checkpoint.Model],
    table: tables.LatencyTable | None,
    folder: Path,
    watch: Watch,
) -> dict[str, Any]:
    """Tests, exports and times trained networks: the `networks` of result.json.

    Every network is exported to `export/<name>.onnx` and its logits on the test images
    compared with JAX's; all are timed interleaved.
    """
    graphs, differences = {}, {}
    test = given.splits["test"]
    for name, model in models.items():
        graph = onnx_graph.network(model.architecture, model.params, model.batch_stats)
        (folder / "export").mkdir(exist_ok=True)
        onnx.save(graph, folder / "export" / f"{name}.onnx")
        logits = onnx_runtime.run(graph, np.asarray(test.images))
        differences[name] = float(np.abs(logits - model(test.images)).max())
        graphs[name] = graph
    measured = onnx_runtime.measure_networks(
        graphs, given.space.input_shape, experiment.latency, progress=watch.steps
    )
    results = {}
    for name, model in models.items():
        size = counts.describe(model.architecture)
        timing = measured[name]
        results[name] = {
            "architecture": json.loads(architecture.to_json(model.architecture)),
            "test_accuracy": train.evaluate(*_weights(model), test),
            "test_images": len(test.labels),
            "params": size["params"],
            "macs": size["macs"],
            "measured_ms": timing,
            "onnx_max_abs_difference": differences[name],
        }
        if table is not None:
            predicted = tables.predict_ms(table, model.architecture)
            results[name] |= {
                "predicted_ms": predicted,
                # a table entry is net of the call that a whole network pays once
                "measured_over_predicted": (timing["mean"] - timing["overhead"])
                / predicted,
            }
    return results


def train_network(
    experiment: Experiment, network: Architecture, folder: Path, watch: Watch
) -> tuple[Path, float]:
    """Trains and saves one network; returns its folder and its test accuracy."""
    given = problem(experiment)
    saved = folder / "checkpoints" / network.name
    if saved.exists():
        raise ValueError(
            f"{saved} exists: this network is trained already; 'nas_jax evaluate "
            f"{folder}' tests it"
        )
    watch.phase(f"training from scratch: {network.name}")
    model = retrain(experiment, given, network, folder, watch)
    checkpoint.save_model(saved, model)
    return saved, train.evaluate(*_weights(model), given.splits["test"])


def read_architecture(path: Path) -> Architecture:
    """An architecture file; `ValueError` if there is none or it is not one."""
    if not path.is_file():
        raise ValueError(f"{path}: expected an architecture file, found none")
    return architecture.from_json(path.read_text(encoding="utf-8"))


def check_network(experiment: Experiment, network: Architecture) -> None:
    """Raises `ValueError` if a network does not take the experiment's images."""
    expected = space.mobile(experiment.space)
    got = (*network.input_shape, network.classifier.classes)
    wanted = (*expected.input_shape, expected.classifier.classes)
    if got != wanted:
        raise ValueError(
            f"architecture {network.name!r}: expected height, width, channels, classes "
            f"{wanted} of experiment {experiment.name!r}, got {got}"
        )


def describe(name: str) -> dict[str, Any]:
    """Size of a preset space, an experiment's space or an architecture file, for JSON.

    Raises `ValueError` naming the presets if `name` is none of these.
    """
    if name in space.PRESETS:
        return counts.describe_space(space.PRESETS[name]())
    if name.endswith(".json"):
        return counts.describe(read_architecture(Path(name)))
    try:
        experiment = shipped.load_experiment(name)
    except ValueError as error:
        if Path(name).is_file():
            raise
        raise ValueError(
            f"describe {name!r}: expected a space ({', '.join(space.PRESETS)}), an "
            "architecture file (.json) or an experiment"
        ) from error
    return counts.describe_space(space.mobile(experiment.space))


def _weights(model: checkpoint.Model) -> tuple[Architecture, Any, Any]:
    return model.architecture, model.params, model.batch_stats


def evaluate_run(folder: Path, watch: Watch) -> dict[str, Any]:
    """Assesses the trained networks of a run again, from its files."""
    experiment = run_folder.read_experiment(folder)
    trained = sorted((folder / "checkpoints").glob("[!.]*/architecture.json"))
    if not trained:
        raise ValueError(
            f"{folder}: expected trained networks in checkpoints/, found none; train "
            f"one with 'nas_jax train {folder}'"
        )
    models = {path.parent.name: checkpoint.load_model(path.parent) for path in trained}
    stored = folder / "latency_table.json"
    table = tables.load(stored) if stored.exists() else None
    return assess(experiment, problem(experiment), models, table, folder, watch)
