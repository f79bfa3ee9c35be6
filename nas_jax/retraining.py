"""Training of the networks that a run compares, each from scratch and all alike."""

import time
from pathlib import Path

import jax

from nas_jax import (
    assessment,
    checkpoint,
    problem,
    rng,
    run_folder,
    search,
    supernet,
    train,
)
from nas_jax.architecture import Architecture
from nas_jax.batches import Split
from nas_jax.compilation import Compiler
from nas_jax.config import Experiment
from nas_jax.derivation import SEARCHED
from nas_jax.problem import Problem
from nas_jax.watch import Watch

KEPT = "kept"
"""Folder of that network with the weights of the supernet, if a run keeps them."""


def kept(
    experiment: Experiment, given: Problem, last: search.Epoch, found: Architecture
) -> checkpoint.Model:
    """The derived network with the supernet's weights, statistics estimated anew."""
    params, _ = supernet.extract(
        last.space, last.state.params, last.state.batch_stats, found
    )
    data = _train_images(given).evaluated()
    batch_stats = train.reestimate(found, params, data, experiment.train.batch)
    return checkpoint.Model(found, params, batch_stats)


def _train_images(given: Problem) -> Split:
    """Both training splits; only a search needs them apart."""
    return given.splits["train_weights"].joined(given.splits["train_alphas"])


def retrain(
    experiment: Experiment,
    given: Problem,
    network: Architecture,
    folder: Path,
    watch: Watch,
    compiler: Compiler,
) -> checkpoint.Model:
    """Trains a network on both training splits.

    The key does not depend on the network: all of a run see the same images in the same
    order, shifted alike, so their accuracies are paired. With `train.start =
    "supernet"` the searched network goes on from the weights that the search kept.
    """
    key = rng.stream(jax.random.key(experiment.seed), "train")
    config, start = experiment.train, time.perf_counter()
    weights = None
    if config.start == "supernet" and network.name == SEARCHED:
        model = checkpoint.load_model(folder / KEPT)
        weights = (model.params, model.batch_stats)
    data = _train_images(given)
    epochs = train.run(key, network, config, data, given.augment, weights, compiler)
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


def train_network(
    experiment: Experiment, network: Architecture, folder: Path, watch: Watch
) -> tuple[Path, float]:
    """Trains and saves one network; returns its folder and its test accuracy."""
    given = problem.load(experiment)
    saved = folder / "checkpoints" / network.name
    if saved.exists():
        raise ValueError(
            f"{saved} exists: this network is trained already; 'nas_jax evaluate "
            f"{folder}' tests it"
        )
    watch.phase(f"training: {network.name}")
    model = retrain(experiment, given, network, folder, watch, Compiler(watch))
    checkpoint.save_model(saved, model)
    return saved, assessment.test_accuracy(model, given.splits["test"])
