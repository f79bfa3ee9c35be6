"""The trainings of a run, one network after the other, resumed from snapshots."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax

from nas_jax.base import PRNGKey, PyTree, stream
from nas_jax.config.experiment import SUPERNET
from nas_jax.config.space import ElasticConfig
from nas_jax.data.batches import Split
from nas_jax.networks import checkpoint
from nas_jax.networks import network as networks
from nas_jax.networks.checkpoint import Model
from nas_jax.runs import eight_bits, finalists, pretrained, run_folder
from nas_jax.runs.finalists import SEARCHED
from nas_jax.runs.session import Run, stage
from nas_jax.runs.snapshots import Notes
from nas_jax.search import halving
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.architecture_json import to_json
from nas_jax.supernet import shared
from nas_jax.training import finite, loop

TRAINED = "checkpoints"
"""Folder of a run with its trained networks."""
TRIALS = "trials"
"""Folder of a run with the networks that were trained to be compared."""
SUPERNET_WEIGHTS = "kept"
"""Folder of what the supernet leaves to start from: the searched network with its
weights, or the widest of a shared supernet, of which the others are parts."""


class Part(NamedTuple):
    """What of a training is done, and where its network is saved."""

    group: str = TRAINED
    """Folder of the run."""
    epochs: int | None = None
    """None for all."""
    is_searched: bool = False
    """Whether the search found the network, among others."""


IN_FULL = Part()


def retrain_all(run: Run, networks: Mapping[str, Architecture]) -> dict[str, Model]:
    """Trains the networks that the run lacks; loads the others.

    Raises `ValueError` as `retrained`.
    """
    return {name: retrained(run, network) for name, network in networks.items()}


def retrained(run: Run, network: Architecture, part: Part = IN_FULL) -> Model:
    """The network as trained before, or trained now.

    Raises `ValueError` if another network lies there by the same name.
    """
    saved = run.folder / part.group / network.name
    if not saved.exists():
        run.progress.phase(f"training: {network.name.replace('_rung_', ', rung ')}")
        return retrain(run, network, part)
    model = checkpoint.load_model(saved)
    if model.architecture != network:
        raise ValueError(
            f"{saved}: expected the network {network.name!r} that the search found, "
            "got another; remove the folder to have it trained"
        )
    return model


def retrain(run: Run, network: Architecture, part: Part = IN_FULL) -> Model:
    """Trains a network on both training splits and saves it in `<group>/<name>`.

    It resumes from its newest snapshot. The key does not depend on the network: all of
    a run see the same images in the same order, shifted alike, so their accuracies are
    paired. With `train.start = "supernet"` the searched network starts from the
    supernet's weights, as do those among which trainings choose it; with a folder every
    one from weights cut from those in it.

    Raises:
      ValueError: for a snapshot of another network or configuration, if the training
        diverges, and if the device has no room left.
      Stopped: when requested, after a snapshot.
    """
    key = stream(jax.random.key(run.experiment.seed), "train")
    folder = run.folder / "snapshots" / "train" / network.name
    recipe = run.setup.of(network).recipe
    if part.epochs is not None:
        recipe = replace(recipe, config=recipe.config.lasting(part.epochs))
    per_epoch = recipe.steps_per_epoch

    def like(notes: Notes) -> PyTree:
        if notes["network"] != to_json(network):
            raise ValueError(
                f"{folder}: expected checkpoints of the network that is trained, "
                "got those of another; remove the folder"
            )
        return _saved(jax.eval_shape(lambda: loop.init(key, network, recipe)))

    with stage(run, folder) as record:
        newest = record.newest(like)
        if newest is not None:
            state = replace(newest.state, lengths=recipe.lengths.as_arrays())
            after = loop.Reached(state, newest.notes["collected"])
        else:
            weights = _weights(run, network, part, stream(key, "weights"), recipe.data)
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
            record.save(int(state.step), _saved(state), notes)

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
    checkpoint.save_model(run.folder / part.group / network.name, model)
    shutil.rmtree(folder, ignore_errors=True)
    return model


def _saved(state: loop.TrainState) -> loop.TrainState:
    """What a snapshot has of a state: the lengths are the recipe's."""
    return replace(state, lengths=())


def _weights(
    run: Run, network: Architecture, part: Part, key: PRNGKey, data: Split
) -> tuple[PyTree, PyTree] | None:
    """Parameters and batch statistics that a training starts from; None to draw them.

    Of a shared supernet the batch statistics are drawn: a training has its own soon.
    """
    start = run.experiment.train.weights
    if run.experiment.train.start == SUPERNET:
        if network.name == SEARCHED or part.is_searched:
            model = checkpoint.load_model(run.folder / SUPERNET_WEIGHTS)
            if not isinstance(run.experiment.space, ElasticConfig):
                return model.params, model.batch_stats
            _, stats = networks.init(key, network)
            return shared.extract(model.params, network), stats
        start = run.experiment.search.weights
    if start is None:
        return None
    return pretrained.weights(start, network, key, data, run.progress)


def run_trials(run: Run) -> None:
    """Trains the best `search.trials` finalists in rungs and records their losses.

    A supernet ranks networks that differ little hardly better than chance; trainings
    decide, short ones first.
    """

    def record(network: Architecture, rung: int, loss: float) -> None:
        finalists.add_trial(run.folder, network, rung, loss)

    tried = finalists.best(run.folder, run.experiment.search.trials)
    in_rungs(run, tried, record, is_searched=True)


def best_scaled(run: Run, networks: Sequence[Architecture]) -> dict[str, Architecture]:
    """The best of the scaled hand-designed networks, as `scaled`; nothing of none."""
    if not networks:
        run.progress.line("no scaled hand-designed network has this latency")
        return {}
    best, *_ = in_rungs(run, networks, lambda *_: None)
    scaled = replace(best, name="scaled")
    if rungs := halving.rungs(len(networks), run.experiment.train.epochs):
        take_over(run, scaled, in_rung(run.folder, best.name, len(rungs)))
    return {"scaled": scaled}


def in_rungs(
    run: Run,
    networks: Sequence[Architecture],
    record: Callable[[Architecture, int, float], None],
    *,
    is_searched: bool = False,
) -> list[Architecture]:
    """Networks compared by trainings in rungs (`search.halving`), the best one first.

    Cross-entropy on `valid` counts, as it also ranks networks that classify every image
    right; in the last rung of a run in 8 bits that of the networks as quantised, in
    float32 otherwise. `record` gets each network with its rung, from 1, and its loss.
    """
    left = list(networks)
    rungs = halving.rungs(len(left), run.experiment.train.epochs)
    for place, rung in enumerate(rungs, start=1):
        entered, losses = left[: rung.networks], dict[str, float]()
        is_int8 = run.experiment.latency.is_int8 and place == len(rungs)
        for network in entered:
            saved = in_rung(run.folder, network.name, place)
            named = replace(network, name=saved.name)
            part = Part(TRIALS, rung.epochs, is_searched)
            model = retrained(run, named, part)
            if is_int8:
                loss = eight_bits.loss(model, run.setup)
            else:
                valid = run.setup.of(network).splits["valid"].evaluated()
                loss = loop.loss(model, valid)
            losses[network.name] = loss
            how = f"{loss:.4g}{' in 8 bits' if is_int8 else ''}"
            run.progress.line(f"{network.name}: loss on validation images {how}")
            record(network, place, loss)
        left = sorted(entered, key=lambda network: losses[network.name])
    return left


def take_over(run: Run, network: Architecture, tried: Path) -> None:
    """A training in the last rung, saved in `tried`, as that of the network in full.

    Copies its weights and the lines of its metrics, unless the network is trained.
    """
    saved = run.folder / TRAINED / network.name
    if not saved.exists():
        model = checkpoint.load_model(tried)
        lines = run_folder.metrics_of(tried.parents[1], tried.name)
        run_folder.cut_metrics(
            run.folder, lambda line: line.get("network") != network.name
        )
        for line in lines:
            run_folder.append_metrics(run.folder, line | {"network": network.name})
        checkpoint.save_model(saved, replace(model, architecture=network))


def in_rung(folder: Path, name: str, rung: int) -> Path:
    """Where a run saves a network trained in a rung."""
    return folder / TRIALS / f"{name}_rung_{rung}"
