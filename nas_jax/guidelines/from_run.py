"""A finished run as records: the network found, and those trained beside it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from nas_jax.config import files
from nas_jax.config.experiment import Experiment
from nas_jax.config.search import TARGETS
from nas_jax.data.batches import Batch
from nas_jax.guidelines import difficulty, records
from nas_jax.guidelines.records import Record
from nas_jax.runs import run_folder, setup, unfinished
from nas_jax.runs.setup import Setup
from nas_jax.training import scores
from nas_jax.training.devices import PLAIN

_SEARCHED = "searched"
TRAINING = ("train_weights", "train_alphas")


def of_run(folder: Path) -> list[Record]:
    """A record per trained network of a run; only named fields are taken from it.

    The task is what the networks were trained on: both training splits of the data.

    Raises:
      ValueError: if the run is not finished, or its result cannot be understood.
    """
    experiment = run_folder.read_experiment(folder)
    path = folder / "result.json"
    if not path.is_file():
        raise ValueError(
            f"{folder}: expected a finished run with result.json, found none; "
            f"{unfinished.told(folder)}"
        )
    train = trained_on(setup.of_run(experiment, folder, PLAIN, TRAINING))
    given = difficulty.measure(train)
    data = experiment.data.name
    task = {
        "name": f"{data}_{given.input_size}px_{round(given.images_per_class)}",
        "family": data,
        "descriptors": asdict(given),
    }
    try:
        result = files.read_object(path)
        fields = [
            _fields(name, one, result, experiment, task, len(train.labels))
            for name, one in result["networks"].items()
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected the result of a search, got "
            f"{type(error).__name__}: {error}"
        ) from error
    return [records.sealed(one) for one in fields]


def trained_on(loaded: Setup) -> Batch:
    """What the networks of an experiment are trained on, as `difficulty` looks at it.

    All labels; the images of the first of them, as evaluated. Pictures of a folder come
    class by class, so data sets are shuffled, but for the digits, which are.
    """
    weights, alphas = (loaded.splits[name] for name in TRAINING)
    whole = weights.evaluated().joined(alphas.evaluated())
    order = np.arange(len(whole.labels))
    if not isinstance(whole, Batch):
        order = np.random.default_rng(0).permutation(order)
    images, _ = whole.take(order[: difficulty.IMAGES])
    return Batch(images, whole.labels[order])


def _fields(
    name: str,
    found: dict[str, Any],
    result: dict[str, Any],
    experiment: Experiment,
    task: dict[str, Any],
    images: int,
) -> Record:
    seconds, versions = result["seconds_per_phase"], result["versions"]
    runtime = experiment.latency.runtime
    retrained = seconds.get("retrain")
    search = target = None
    if name == _SEARCHED:
        config = experiment.search
        search = {
            "method": f"ProxylessNAS, {config.estimator}",
            "networks": None,
            "seconds": seconds["search"],
        }
        is_latency = config.cost == "latency"
        target = {
            "cost": config.cost,
            "value": result[TARGETS[config.cost]],
            "device": result["device"] if is_latency else None,
        }
    steps = experiment.train.epochs * (images // experiment.train.batch)
    return {
        "task": task,
        "network": {key: found[key] for key in ("architecture", "params", "macs")},
        "latencies": [
            {
                "device": result["device"],
                "runtime": f"{runtime} {versions.get('onnxruntime', '')}".strip(),
                "batch": experiment.latency.batch,
                "ms": found["measured_ms"]["median"],
                "source": "measured",
            }
        ],
        "result": {
            "accuracy": scores.shipped(found),
            "test_images": found["test_images"],
            "trainings": 1,
        },
        "target": target,
        "search": search,
        "training": {
            "steps": steps,
            "seconds": None
            if retrained is None
            else round(retrained / len(result["networks"]), 2),
        },
        "origin": {
            "source": "trained here",
            "seeds": [result["seed"]],
            "versions": versions,
            "device": result["device"],
            "commit": result["commit"],
        },
    }
