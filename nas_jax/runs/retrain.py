"""The trainings of a run, one network after the other, resumed from snapshots."""

import shutil
from collections.abc import Mapping

import jax

from nas_jax.base import PyTree, stream
from nas_jax.networks import checkpoint
from nas_jax.networks.checkpoint import Model
from nas_jax.runs import finalists, run_folder
from nas_jax.runs.finalists import SEARCHED
from nas_jax.runs.session import Run, stage
from nas_jax.runs.snapshots import Notes
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.architecture_json import to_json
from nas_jax.training import finite, loop

TRAINED = "checkpoints"
"""Folder of a run with its trained networks."""
TRIALS = "trials"
"""Folder of a run with the networks that were trained to be compared."""
SUPERNET_WEIGHTS = "kept"
"""Folder of the searched network with the weights of the supernet, to start from."""


def retrain_all(
    run: Run, networks: Mapping[str, Architecture], group: str = TRAINED
) -> dict[str, Model]:
    """Trains the networks that the folder `group` of the run lacks; loads the others.

    Raises `ValueError` if another network lies there by the same name.
    """
    models = {}
    for name, network in networks.items():
        saved = run.folder / group / name
        if saved.exists():
            models[name] = checkpoint.load_model(saved)
            if models[name].architecture != network:
                raise ValueError(
                    f"{saved}: expected the network {name!r} that the search found, "
                    "got another; remove the folder to have it trained"
                )
            continue
        run.progress.phase(f"retraining: {name}")
        models[name] = retrain(run, network, group)
    return models


def retrain(run: Run, network: Architecture, group: str = TRAINED) -> Model:
    """Trains a network on both training splits and saves it in `<group>/<name>`.

    It resumes from its newest snapshot. The key does not depend on the network: all of
    a run see the same images in the same order, shifted alike, so their accuracies are
    paired. With `train.start = "supernet"` the searched network starts from the
    supernet's weights.

    Raises:
      ValueError: for a snapshot of another network or configuration, if the training
        diverges, and if the device has no room left.
      Stopped: when requested, after a snapshot.
    """
    key = stream(jax.random.key(run.experiment.seed), "train")
    recipe, folder = run.setup.recipe, run.folder / "snapshots" / "train" / network.name
    per_epoch = recipe.steps_per_epoch

    def like(notes: Notes) -> PyTree:
        if notes["network"] != to_json(network):
            raise ValueError(
                f"{folder}: expected checkpoints of the network that is trained, "
                "got those of another; remove the folder"
            )
        return jax.eval_shape(lambda: loop.init(key, network, recipe))

    with stage(run, folder) as record:
        newest = record.newest(like)
        if newest is not None:
            after = loop.Reached(newest.state, newest.notes["collected"])
        else:
            weights = None
            if run.experiment.train.start == "supernet" and network.name == SEARCHED:
                model = checkpoint.load_model(run.folder / SUPERNET_WEIGHTS)
                weights = model.params, model.batch_stats
            after = loop.Reached(loop.init(key, network, recipe, weights))
        begun = int(after.state.step)
        run_folder.cut_metrics(
            run.folder,
            lambda line: line.get("network") != network.name or line["step"] <= begun,
        )

        def save_if_due(reached: loop.Reached) -> None:
            if not record.is_due():
                return
            collected = jax.tree.map(float, jax.device_get(reached.collected))
            state = recipe.devices.local(reached.state)
            losses = [metrics["train/loss"] for metrics in collected]
            weights = (state.params, state.batch_stats)
            finite.require(network.name, losses, weights, int(state.step), per_epoch)
            notes = {"network": to_json(network), "collected": collected}
            record.save(int(state.step), state, notes)

        running = loop.run(
            key,
            network,
            recipe,
            compile=run.session.compiler,
            after=after,
            save=save_if_due,
        )
        left = recipe.config.epochs - begun // per_epoch
        for epoch in run.progress.steps(running, total=left, desc=network.name):
            step, name = int(epoch.state.step), network.name
            place = {"step": step, "phase": "train", "network": name}
            record.log(place | {"epoch": epoch.epoch}, epoch.metrics)
            run.progress.note(accuracy=f"{epoch.metrics['train/accuracy']:.1%}")
            after = loop.Reached(epoch.state)
            save_if_due(after)
    model = loop.trained(network, after.state, recipe.devices)
    checkpoint.save_model(run.folder / group / network.name, model)
    shutil.rmtree(folder, ignore_errors=True)
    return model


def run_trials(run: Run) -> None:
    """Trains the best `search.trials` finalists in full and records their losses.

    Where networks differ by less than a seed changes one of them, a supernet ranks them
    hardly better than chance and a few full trainings decide: DARTS (Liu et al., ICLR
    2019, section 3), too, takes the best of four by validation. Cross-entropy on
    `valid` counts, as it also ranks networks that classify every image right.
    """
    valid = run.setup.splits["valid"].evaluated()
    best = finalists.best(run.folder, run.experiment.search.trials)
    networks = {network.name: network for network in best}
    for name, model in retrain_all(run, networks, TRIALS).items():
        loss = loop.loss(model, valid)
        run.progress.line(f"{name}: loss on validation images {loss:.4g}")
        finalists.add_trial(run.folder, networks[name], loss)
