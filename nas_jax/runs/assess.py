"""Trained networks tested, exported, compared with JAX and timed side by side."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx

from nas_jax.config.experiment import LatencyConfig
from nas_jax.data import companions
from nas_jax.data.batches import pieces
from nas_jax.latency import tables
from nas_jax.latency.measurement import reference
from nas_jax.latency.measurement.reference import Pace
from nas_jax.latency.runtimes import onnx_runtime, open_device
from nas_jax.latency.tables import LatencyTable
from nas_jax.networks import checkpoint, counts, device_memory
from nas_jax.networks.checkpoint import Model
from nas_jax.networks.onnx import graphs
from nas_jax.runs import eight_bits, run_folder, unfinished
from nas_jax.runs.session import Run, Session, tell
from nas_jax.runs.setup import Setup, of_run
from nas_jax.spaces import architecture_json
from nas_jax.spaces.architecture import Architecture
from nas_jax.training import loop, scores
from nas_jax.training.devices import PLAIN
from nas_jax.training.progress import Progress
from nas_jax.training.scores import Scores

COMPARED = 1000
"""Test images on which an exported network must answer as in JAX."""


class Assessed(NamedTuple):
    """`networks` of result.json, and the pace of the machine that timed them."""

    networks: dict[str, Any]
    pace: Pace | None
    why_none: str | None
    """Why there is no pace."""

    def result(self) -> dict[str, Any]:
        """For result.json; without a pace the reason stands there."""
        if self.pace is None:
            return {"networks": self.networks, "pace": {"unknown": self.why_none}}
        return {"networks": self.networks, "pace": self.pace._asdict()}


def assess(
    run: Run, models: Mapping[str, Model], table: LatencyTable | None
) -> Assessed:
    """Tests, exports and times trained networks.

    Every network is exported to `export/<name>.onnx`, with labels and preprocessing
    beside it, and its logits on the first
    `COMPARED` test images compared with JAX's; all are timed interleaved, with the
    reference network of the table among them. Where `latency.runtime` is one in 8 bits,
    each is also quantised, to `export/<name>_int8.onnx`, tested so, and timed so alone.
    """
    models_onnx, differences = {}, {}
    in_8_bits: dict[str, dict[str, Any]] = {}
    out = run.folder / "export"
    out.mkdir(exist_ok=True)
    compared: dict[int, np.ndarray] = {}
    for name, model in models.items():
        side, names = model.architecture.stem.input_size, run.setup.label_names
        if side not in compared:
            test = run.setup.at(side).splits["test"]
            compared[side] = np.asarray(next(pieces(test, COMPARED)).images)
        images = compared[side]
        owner = companions.owner(run.experiment, name)
        companions.write(out, companions.of_data(run.experiment, names, side), owner)
        graph = graphs.network(model.architecture, model.params, model.batch_stats)
        onnx.save(graph, out / f"{name}.onnx")
        logits = onnx_runtime.run(graph, images)
        differences[name] = float(np.abs(logits - model(images)).max())
        if run.experiment.latency.is_int8:
            graph = eight_bits.quantised(model, run.setup)
            onnx.save(graph, out / f"{name}_int8.onnx")
            in_8_bits[name] = _tested_in_8_bits(graph, run.setup.at(side))
        models_onnx[name] = graph
    shapes = {name: model.architecture.input_shape for name, model in models.items()}
    measured, pace, why = timed(
        models_onnx, shapes, table, run.experiment.latency, run.progress
    )
    results = {}
    for name, model in models.items():
        size, timing = counts.describe(model.architecture), measured[name]
        results[name] = {
            "architecture": json.loads(architecture_json.to_json(model.architecture)),
            **asdict(tested(model, run.setup)),
            **in_8_bits.get(name, {}),
            "params": size["params"],
            "macs": size["macs"],
            **device_memory.describe(model.architecture),
            "measured_ms": timing,
            "onnx_max_abs_difference": differences[name],
        }
        if table and not tables.missing(table, model.architecture.parts):
            predicted = tables.predict_ms(table, model.architecture)
            results[name] |= {
                "predicted_ms": predicted,
                # both without the call that a whole network pays once, and at one pace
                "measured_over_predicted": (timing["mean"] - timing["overhead"])
                / (predicted - table.fixed_ms)
                / (1.0 if pace is None else pace.factor),
            }
    return Assessed(results, pace, why)


def _tested_in_8_bits(graph: onnx.ModelProto, setup: Setup) -> dict[str, Any]:
    images = len(setup.splits["train_weights"].labels)
    return {
        "test_accuracy_int8": eight_bits.accuracy(graph, setup.splits["test"]),
        "calibration_images": min(eight_bits.CALIBRATING, images),
    }


class Timed(NamedTuple):
    """Times of networks by name, and the pace of the machine or why there is none."""

    measured_ms: dict[str, dict[str, float]]
    pace: Pace | None = None
    why_none: str | None = None


def timed(
    graphs: Mapping[str, onnx.ModelProto],
    shapes: Mapping[str, tuple[int, int, int]],
    table: LatencyTable | None,
    config: LatencyConfig,
    progress: Progress,
) -> Timed:
    """Networks timed interleaved, the table's reference among them.

    `shapes` are their images' height, width and channels. A line tells the pace.
    """
    names: list[str] = []
    beside: dict[str, onnx.ModelProto] = {}
    why: str | None = "there is no table"
    if table is not None:
        device = open_device(config.runtime, config, None)
        why = reference.why_none(table, device)
        if why is None and table.reference is not None:
            one = table.reference.network
            names = [reference.name(place) for place in range(device.buildings)]
            try:
                beside = dict.fromkeys(names, _drawn(one, config))
            except ValueError as error:
                why = f"the table's reference network cannot be timed ({error})"
            shapes = {**shapes, **dict.fromkeys(names, one.input_shape)}
    measured = onnx_runtime.measure_networks(
        {**graphs, **beside},
        shapes,
        config,
        progress=progress.steps,
        copies=not config.is_int8,
    )
    if table is None or why is not None:
        progress.line(reference.not_known(str(why)))
        return Timed(measured, why_none=why)
    times = [measured.pop(name)["mean"] for name in names]
    pace = reference.pace(table, np.array(times))
    progress.line(reference.line(pace))
    return Timed(measured, pace)


def _drawn(network: Architecture, config: LatencyConfig) -> onnx.ModelProto:
    """A network with drawn weights, in the numbers of the runtime."""
    if not config.is_int8:
        return onnx_runtime.drawn(network)
    from nas_jax.latency.runtimes import onnx_int8

    return onnx_int8.drawn(network)


def tested(model: Model, setup: Setup) -> Scores:
    """The scores of a network on the test images, in one pass over them."""
    test = setup.of(model.architecture).splits["test"]
    classes = model.architecture.classifier.classes
    names = list(setup.label_names)
    names += map(str, range(len(names), classes))  # a space may have more classes
    return scores.of_guesses(loop.guesses(model, test), np.asarray(test.labels), names)


def evaluate_run(
    folder: Path, progress: Progress, data_path: Path | None = None
) -> Assessed:
    """Assesses the trained networks of a run again, from its files.

    `data_path` is where its data lie, if they were moved.
    """
    experiment = run_folder.read_experiment(folder, data_path)
    trained = sorted((folder / "checkpoints").glob("[!.]*/architecture.json"))
    if not trained:
        raise ValueError(f"{folder}: {unfinished.told(folder)}")
    models = {path.parent.name: checkpoint.load_model(path.parent) for path in trained}
    stored = folder / "latency_table.json"
    table = tables.load(stored) if stored.exists() else None
    needed = ["test"] + ["train_weights"] * experiment.latency.is_int8
    setup = of_run(experiment, folder, PLAIN, needed=needed)
    tell(setup.notes, progress)
    return assess(Run(setup, folder, Session(folder, progress)), models, table)
