"""What a configuration stands for: space, data, target; checked against each other."""

import functools
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp

from nas_jax import (
    baselines,
    batches,
    counts,
    latency,
    objective,
    optim,
    published,
    run_folder,
    shipped,
    space,
    tables,
)
from nas_jax.architecture import Architecture
from nas_jax.batches import Batch
from nas_jax.config import Experiment, SearchConfig
from nas_jax.data import digits
from nas_jax.space import SearchSpace


class Problem(NamedTuple):
    """What an experiment's configuration stands for."""

    space: SearchSpace
    splits: dict[str, Batch]
    augment: batches.Augment


def load(experiment: Experiment) -> Problem:
    """Builds the space and loads the data, checking that they fit each other.

    Raises `ValueError` for a data set without a loader, or if the two do not fit.
    """
    searched = space.mobile(experiment.space)
    if experiment.data.name != "digits":
        raise ValueError(
            f"data set {experiment.data.name!r}: expected one that this version reads "
            "(digits); for ImageNet register at image-net.org, download ILSVRC 2012 "
            "and add a loader to nas_jax/data"
        )
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
    """Raises `ValueError` for what a run would refuse, before anything is written.

    A stored table is checked, and the target against it; the run itself checks one
    that is still to be measured.
    """
    given, stored = load(experiment), experiment.latency.table
    baselines.hand_designed(given.space)
    train_images = len(given.splits["train_weights"].labels)
    per_epoch = optim.steps_per_epoch(train_images, experiment.search.batch)
    optim.require_arch_steps(experiment.search, per_epoch)
    if experiment.search.target_ms is None and experiment.search.target_ratio is None:
        raise ValueError(
            "no target: expected search.target_ms or search.target_ratio, got neither; "
            "give one, for example --search.target-ratio 0.5"
        )
    if stored is not None:
        table = tables.load(Path(stored))
        model = cost_model(table, given.space, stored)
        target_ms(experiment.search, given.space, model, table)


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
    return counts.describe_space(space.mobile(experiment.space))
