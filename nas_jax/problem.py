"""What a configuration stands for: space, data, target; checked against each other."""

from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp

from nas_jax import (
    augment,
    baselines,
    counts,
    latency,
    objective,
    onnx_parts,
    optim,
    prune,
    published,
    run_folder,
    shipped,
    space,
    tables,
)
from nas_jax.architecture import Architecture, path_of
from nas_jax.batches import Augment, Split
from nas_jax.config import Experiment, SearchConfig
from nas_jax.data import splits
from nas_jax.parts import OWN_OPERATIONS
from nas_jax.search_config import TARGETS
from nas_jax.space import SearchSpace


class Problem(NamedTuple):
    """What an experiment's configuration stands for."""

    space: SearchSpace
    splits: dict[str, Split]
    augment: Augment
    notes: tuple[str, ...] = ()
    """What the user should hear of the data, one line each."""


def load(experiment: Experiment) -> Problem:
    """Builds the space and loads the data, checking that they fit each other.

    Raises `ValueError` if the data cannot be read, or if the two do not fit.
    """
    searched = space.build(experiment.space)
    given, notes = splits.load(
        experiment.data,
        searched.input_shape,
        searched.classifier.classes,
        experiment.seed,
    )
    for name, split in given.items():
        check_split(name, split, searched)
    return Problem(searched, given, augment.of(experiment.data), notes)


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

    A stored table is checked, and the target against it; the run itself checks one
    that is still to be measured.
    """
    given, stored = load(experiment), experiment.latency.table
    for op in given.space.candidates:
        if op.kind in OWN_OPERATIONS:
            onnx_parts.own_form(op.kind)
    prune.require_below_chance(given.space, experiment.search.prune_below)
    baselines.hand_designed(given.space)
    train_images = len(given.splits["train_weights"].labels)
    per_epoch = optim.steps_per_epoch(train_images, experiment.search.batch)
    optim.require_arch_steps(experiment.search, per_epoch)
    require_target(experiment.search)
    if stored is not None:
        table, z = tables.load(shipped.table_file(stored)), experiment.latency.z
        by_table = cost_model(table, given.space, stored, z)
        cost = searched_cost(experiment.search, given.space, by_table)
        target(experiment.search, given.space, cost)
    elif experiment.search.cost != "latency":
        cost = counted_cost(experiment.search, given.space)
        target(experiment.search, given.space, cost)


def require_target(config: SearchConfig) -> None:
    """Raises `ValueError` if no target is given."""
    name = TARGETS[config.cost]
    if getattr(config, name) is None and config.target_ratio is None:
        raise ValueError(
            f"no target: expected search.{name} or search.target_ratio, got neither; "
            "give one, for example --search.target-ratio 0.5"
        )


def cost_model(
    table: tables.LatencyTable, searched: SearchSpace, origin: str, z: float
) -> latency.CostModel:
    """The table as arrays, mean + z standard deviations."""
    costs, fixed_ms = tables.costs(table, searched, origin, z=z)
    return latency.CostModel(jnp.asarray(costs, jnp.float32), fixed_ms)


def counted_cost(config: SearchConfig, searched: SearchSpace) -> latency.CostModel:
    """Multiply-adds or parameters in the place of a table."""
    count = {"macs": counts.macs, "params": counts.params}[config.cost]
    costs, fixed = counts.costs(searched, count)
    return latency.CostModel(jnp.asarray(costs, jnp.float32), fixed)


def searched_cost(
    config: SearchConfig, searched: SearchSpace, by_table: latency.CostModel
) -> latency.CostModel:
    """What the objective counts, in the unit of `config.cost`."""
    return by_table if config.cost == "latency" else counted_cost(config, searched)


def amount(config: SearchConfig, value: float) -> str:
    """A cost with its unit."""
    if config.cost == "latency":
        return f"{value:.4g} ms"
    return f"{value:,.0f} {'MACs' if config.cost == 'macs' else 'parameters'}"


def target(
    config: SearchConfig, searched: SearchSpace, cost: latency.CostModel
) -> tuple[float, str | None]:
    """The target in the unit of the cost, and a warning if every network meets it.

    Raises `ValueError` with the reachable range if no network meets it.
    """
    require_target(config)
    baseline = path_of(searched, baselines.hand_designed(searched))
    of_baseline = float(latency.of_path(cost, jnp.asarray(baseline)))
    name = TARGETS[config.cost]
    if config.target_ratio is not None:
        goal = config.target_ratio * of_baseline
        given = (
            f"search.target_ratio = {config.target_ratio:g} ({amount(config, goal)})"
        )
    else:
        goal = getattr(config, name)
        given = f"search.{name} = {goal:g}"
    smallest, largest = latency.reachable(cost, searched.mask)
    reachable = (
        f"networks of this space take {amount(config, smallest)} to "
        f"{amount(config, largest)}, a ratio of {smallest / of_baseline:.2g} to "
        f"{largest / of_baseline:.2g}"
    )
    if goal < smallest:
        raise ValueError(f"{given} is out of reach: {reachable}; raise the target")
    if config.objective == "mul_log":
        objective.require_above_one(smallest, goal)
    warning = None
    if goal > largest:
        warning = f"{given} is above the maximum: {reachable}; the target binds nothing"
    return goal, warning


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
