"""The trainings of a run, one network after the other, each on from its snapshot."""

import dataclasses
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import jax

from nas_jax import (
    checkpoint,
    config_changes,
    finite,
    optim,
    rng,
    run_folder,
    train,
)
from nas_jax.architecture import Architecture
from nas_jax.architecture_json import to_json
from nas_jax.base import PyTree
from nas_jax.batches import Split
from nas_jax.config import Experiment
from nas_jax.config_json import from_json
from nas_jax.derivation import SEARCHED
from nas_jax.problem import Problem
from nas_jax.session import Keeper, Session
from nas_jax.snapshots import Notes, Snapshots

TRAINED = "checkpoints"
"""Folder of a run with its trained networks."""
KEPT = "kept"
"""Folder of the searched network with the weights of the supernet, if a run keeps them.
"""


def train_images(given: Problem) -> Split:
    """Both training splits; only a search needs them apart."""
    return given.splits["train_weights"].joined(given.splits["train_alphas"])


def retrain_all(
    experiment: Experiment,
    given: Problem,
    networks: Mapping[str, Architecture],
    folder: Path,
    session: Session,
    group: str = TRAINED,
) -> dict[str, checkpoint.Model]:
    """Trains the networks that the folder does not hold trained yet; loads the others.

    They lie in its folder `group`. Raises `ValueError` if what it holds by a name is
    another network.
    """
    models = {}
    for name, network in networks.items():
        saved = folder / group / name
        if saved.exists():
            models[name] = checkpoint.load_model(saved)
            if models[name].architecture != network:
                raise ValueError(
                    f"{saved}: expected the network {name!r} that the search found, "
                    "got another; remove the folder to have it trained"
                )
            continue
        session.watch.phase(f"retraining: {name}")
        models[name] = retrain(experiment, given, network, folder, session, group)
    return models


def retrain(
    experiment: Experiment,
    given: Problem,
    network: Architecture,
    folder: Path,
    session: Session,
    group: str = TRAINED,
) -> checkpoint.Model:
    """Trains a network on both training splits and saves it in `<group>/<name>`.

    From its newest snapshot on, if there is one. The key does not depend on the
    network: all of a run see the same images in the same order, shifted alike, so their
    accuracies are paired. With `train.start = "supernet"` the searched network goes on
    from the weights that the search kept.

    Raises:
      ValueError: for a snapshot of another network or configuration, if the training
        diverges, and if the device has no room left.
      Stopped: when asked, after a snapshot.
    """
    key = rng.stream(jax.random.key(experiment.seed), "train")
    config, data = experiment.train, train_images(given)
    per_epoch = optim.steps_per_epoch(len(data.labels), config.batch)
    where = folder / "snapshots" / "train" / network.name
    with (
        session.stop.held(),
        session.compiler.within_memory(),
        Snapshots(where, experiment.checkpoints_kept) as snapshots,
    ):

        def like(notes: Notes) -> PyTree:
            saved = from_json(Experiment, notes["config"])
            origin = f"{where}: a checkpoint"
            config_changes.require_same(saved, experiment, origin, config_changes.RATES)
            if notes["network"] != to_json(network):
                raise ValueError(
                    f"{where}: expected checkpoints of the network that is trained, "
                    "got those of another; remove the folder"
                )
            tx = optim.train_weights(config, per_epoch)
            return jax.eval_shape(lambda: train.init(key, network, tx))

        found = snapshots.newest(like, session.watch.line)
        after, start = None, time.perf_counter()
        if found is not None:
            after = train.Reached(found.state, found.notes["collected"])
            start -= found.notes["seconds"]
            session.watch.line(f"goes on from the checkpoint of step {found.step}")
        begun = 0 if found is None else found.step
        run_folder.cut_metrics(
            folder,
            lambda line: line.get("network") != network.name or line["step"] <= begun,
        )
        keeper = Keeper(snapshots, experiment.checkpoint_every_s, session)

        def keep(reached: train.Reached) -> None:
            if not keeper.is_due():
                return
            collected = jax.tree.map(float, jax.device_get(reached.collected))
            state = given.execution.local(reached.state)
            losses = [one["train/loss"] for one in collected]
            weights = (state.params, state.batch_stats)
            finite.require(network.name, losses, weights, int(state.step), per_epoch)
            notes = {
                "config": dataclasses.asdict(experiment),
                "network": to_json(network),
                "collected": collected,
                "seconds": time.perf_counter() - start,
            }
            run_folder.sync_metrics(folder)
            keeper.save(int(state.step), state, notes)

        weights = None if after else _kept_weights(experiment, network, folder)
        epochs = train.run(
            *(key, network, config, data, given.augment),
            *(weights, session.compiler, after, keep, given.execution),
        )
        left = config.epochs - begun // per_epoch
        for one in session.watch.steps(epochs, total=left, desc=network.name):
            line = {
                "step": int(one.state.step),
                "phase": "train",
                "network": network.name,
                "epoch": one.epoch,
                "seconds": round(time.perf_counter() - start, 3),
                **one.metrics,
            }
            run_folder.append_metrics(folder, line)
            session.watch.note(accuracy=f"{one.metrics['train/accuracy']:.1%}")
            after = train.Reached(one.state)
            keep(after)
        assert after is not None  # a training has an epoch at least
    end = given.execution.local(after.state)
    model = checkpoint.Model(network, end.params, end.batch_stats)
    checkpoint.save_model(folder / group / network.name, model)
    shutil.rmtree(where, ignore_errors=True)
    return model


def _kept_weights(
    experiment: Experiment, network: Architecture, folder: Path
) -> tuple[PyTree, PyTree] | None:
    if experiment.train.start != "supernet" or network.name != SEARCHED:
        return None
    model = checkpoint.load_model(folder / KEPT)
    return model.params, model.batch_stats
