"""Trained networks tested, exported, compared with JAX and timed side by side."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from nas_jax.data import companions
from nas_jax.data.batches import pieces
from nas_jax.latency import tables
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.networks import checkpoint, counts
from nas_jax.networks.checkpoint import Model
from nas_jax.networks.onnx import graphs
from nas_jax.runs import run_folder
from nas_jax.runs.session import Run, Session, tell
from nas_jax.runs.setup import Setup, of_run
from nas_jax.spaces import architecture_json
from nas_jax.training import loop, scores
from nas_jax.training.devices import PLAIN
from nas_jax.training.progress import Progress
from nas_jax.training.scores import Scores

COMPARED = 1000
"""Test images on which an exported network must answer as in JAX."""


def assess(
    run: Run, models: Mapping[str, Model], table: tables.LatencyTable | None
) -> dict[str, Any]:
    """Tests, exports and times trained networks: the `networks` of result.json.

    Every network is exported to `export/<name>.onnx`, with labels and preprocessing
    beside it, and its logits on the first
    `COMPARED` test images compared with JAX's; all are timed interleaved.
    """
    models_onnx, differences = {}, {}
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
        models_onnx[name] = graph
    measured = onnx_runtime.measure_networks(
        models_onnx,
        {name: model.architecture.input_shape for name, model in models.items()},
        run.experiment.latency,
        progress=run.progress.steps,
    )
    results = {}
    for name, model in models.items():
        size, timing = counts.describe(model.architecture), measured[name]
        results[name] = {
            "architecture": json.loads(architecture_json.to_json(model.architecture)),
            **asdict(tested(model, run.setup)),
            "params": size["params"],
            "macs": size["macs"],
            "measured_ms": timing,
            "onnx_max_abs_difference": differences[name],
        }
        if table is not None:
            predicted = tables.predict_ms(table, model.architecture)
            results[name] |= {
                "predicted_ms": predicted,
                # both without the call that a whole network pays once
                "measured_over_predicted": (timing["mean"] - timing["overhead"])
                / (predicted - table.fixed_ms),
            }
    return results


def tested(model: Model, setup: Setup) -> Scores:
    """The scores of a network on the test images, in one pass over them."""
    test = setup.of(model.architecture).splits["test"]
    classes = model.architecture.classifier.classes
    names = list(setup.label_names)
    names += map(str, range(len(names), classes))  # a space may have more classes
    return scores.of_guesses(loop.guesses(model, test), np.asarray(test.labels), names)


def evaluate_run(
    folder: Path, progress: Progress, data_path: Path | None = None
) -> dict[str, Any]:
    """Assesses the trained networks of a run again, from its files.

    `data_path` is where its data lie, if they were moved.
    """
    experiment = run_folder.read_experiment(folder, data_path)
    trained = sorted((folder / "checkpoints").glob("[!.]*/architecture.json"))
    if not trained:
        raise ValueError(
            f"{folder}: expected trained networks in checkpoints/, found none; train "
            f"one with 'nas_jax train {folder}'"
        )
    models = {path.parent.name: checkpoint.load_model(path.parent) for path in trained}
    stored = folder / "latency_table.json"
    table = tables.load(stored) if stored.exists() else None
    setup = of_run(experiment, folder, PLAIN, needed=("test",))
    tell(setup.notes, progress)
    return assess(Run(setup, folder, Session(folder, progress)), models, table)
