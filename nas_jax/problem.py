"""What a configuration stands for: space, data, target; checked against each other."""

from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp

from nas_jax import (
    augment,
    baselines,
    counts,
    devices,
    estimators,
    limits,
    onnx_parts,
    optim,
    prune,
    published,
    run_folder,
    schedule,
    shipped,
    space,
    tables,
)
from nas_jax.architecture import Architecture
from nas_jax.batches import Augment, Split
from nas_jax.config import Experiment
from nas_jax.cost import CostModel
from nas_jax.data import splits
from nas_jax.execution import PLAIN, Execution
from nas_jax.parts import OWN_OPERATIONS
from nas_jax.space import SearchSpace


class Problem(NamedTuple):
    """What an experiment's configuration stands for."""

    space: SearchSpace
    splits: dict[str, Split]
    augment: Augment
    label_names: tuple[str, ...]
    """What the labels stand for, in their order."""
    notes: tuple[str, ...] = ()
    """What the user should hear of the data, one line each."""
    execution: Execution = PLAIN


def load(experiment: Experiment, execution: Execution = PLAIN) -> Problem:
    """Builds the space and loads the data, checking that they fit each other.

    Raises `ValueError` if the data cannot be read, or if the two do not fit.
    """
    searched = space.build(experiment.space)
    given, notes, label_names = splits.load(
        experiment.data,
        searched.input_shape,
        searched.classifier.classes,
        experiment.seed,
    )
    for name, split in given.items():
        check_split(name, split, searched)
    return Problem(
        *(searched, given, augment.of(experiment.data), label_names, notes),
        execution,
    )


def check_split(name: str, split: Split, searched: SearchSpace) -> None:
    """Raises `ValueError` if images or labels do not fit the space."""
    shape = split.image_shape
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
    """Raises `ValueError` for what a run would refuse, before anything is written.

    A stored table is checked, and target and limits against it; the run itself checks
    a table that is still to be measured.
    """
    estimators.of(experiment.search)
    devices.execution_of(experiment)
    given, stored = load(experiment), experiment.latency.table
    for op in given.space.candidates:
        if op.kind in OWN_OPERATIONS:
            onnx_parts.own_form(op.kind)
    prune.require_below_chance(given.space, experiment.search.prune_below)
    baselines.hand_designed(given.space)
    train_images = len(given.splits["train_weights"].labels)
    per_epoch = optim.steps_per_epoch(train_images, experiment.search.batch)
    schedule.require_arch_steps(experiment.search, per_epoch)
    table, origin = None, "the table still to be measured"
    if stored is not None:
        table, origin = tables.load(shipped.table_file(stored)), stored
        # whatever the search counts, its networks are predicted by the table
        tables.costs(table, given.space, origin, z=experiment.latency.z)
    limits.check(experiment.search, given.space, table, origin, experiment.latency.z)


def cost_model(
    table: tables.LatencyTable, searched: SearchSpace, origin: str, z: float
) -> CostModel:
    """The table as arrays, mean + z standard deviations."""
    costs, fixed_ms = tables.costs(table, searched, origin, z=z)
    return CostModel(jnp.asarray(costs, jnp.float32), fixed_ms)


def check_network(experiment: Experiment, network: Architecture) -> None:
    """Raises `ValueError` if a network does not take the experiment's images."""
    expected = space.build(experiment.space)
    got = (*network.input_shape, network.classifier.classes)
    wanted = (*expected.input_shape, expected.classifier.classes)
    if got != wanted:
        raise ValueError(
            f"architecture {network.name!r}: expected height, width, channels, classes "
            f"{wanted} of experiment {experiment.name!r}, got {got}"
        )


def describe(name: str) -> dict[str, Any]:
    """Size of what a name stands for, for JSON.

    A preset space, a published network, an architecture file, or an experiment's space.
    Raises `ValueError` naming the first two kinds if `name` is none of these.
    """
    if name in space.PRESETS:
        return counts.describe_space(space.PRESETS[name]())
    if name in published.NAMES:
        return counts.describe(published.get(name))
    if name.endswith(".json"):
        return counts.describe(run_folder.read_architecture(Path(name)))
    try:
        experiment = shipped.load_experiment(name)
    except ValueError as error:
        if Path(name).is_file():
            raise
        raise ValueError(
            f"describe {name!r}: expected a space ({', '.join(space.PRESETS)}), a "
            f"published network ({', '.join(published.NAMES)}), an architecture file "
            "(.json) or an experiment"
        ) from error
    return counts.describe_space(space.build(experiment.space))
