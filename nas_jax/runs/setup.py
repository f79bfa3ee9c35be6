"""Space, images and devices of an experiment, checked against each other."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from nas_jax.config import shipped
from nas_jax.config.data import WATCHED
from nas_jax.config.experiment import Experiment
from nas_jax.data import augment, splits
from nas_jax.data.batches import Augment, Split
from nas_jax.latency import tables
from nas_jax.networks import counts, parts
from nas_jax.runs import run_folder, targets
from nas_jax.search import baselines, estimators, prune, schedule
from nas_jax.search.loop import SearchData
from nas_jax.search.targets import Targets
from nas_jax.spaces import builders, published
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.space import SearchSpace
from nas_jax.training import devices, optim
from nas_jax.training.devices import Devices
from nas_jax.training.loop import Recipe


@dataclass(frozen=True)
class Setup:
    """An experiment with its space and images loaded."""

    experiment: Experiment
    space: SearchSpace
    splits: dict[str, Split]
    augment: Augment
    label_names: tuple[str, ...] = ()
    """Meanings of the labels, in their order."""
    notes: tuple[str, ...] = ()
    """Remarks on the data for the user, one line each."""
    devices: Devices = devices.PLAIN

    @property
    def search_data(self) -> SearchData:
        """What a search reads, and its devices."""
        return SearchData(
            self.splits["train_weights"],
            self.splits["train_alphas"],
            self.splits["valid"],
            self.augment,
            self.devices,
        )

    @property
    def recipe(self) -> Recipe:
        """Training on both training splits, which only a search needs apart."""
        both = self.splits["train_weights"].joined(self.splits["train_alphas"])
        return Recipe(self.experiment.train, both, self.augment, self.devices)


def load(experiment: Experiment, on: Devices | None = None) -> Setup:
    """Builds the space and loads the data, checking that they fit each other.

    The devices are `on`, by default those that the experiment asks for.

    Raises `ValueError` if the data cannot be read, or if something does not fit.
    """
    on = devices.of(experiment) if on is None else on
    space, data = builders.build(experiment.space), experiment.data
    loaded, notes, label_names = splits.load(
        data, space.input_shape, space.classifier.classes, experiment.seed
    )
    for name, split in loaded.items():
        _check_split(name, split, space)
    sizes = {name: len(split.labels) for name, split in loaded.items()}
    experiment.require_batches(sizes["train_weights"], sizes["train_alphas"])
    if jax.process_count() > 1:  # otherwise every device may take the whole of it
        devices.require_even({"data.valid": min(sizes["valid"], WATCHED)}, on.count)
    augmentation = augment.of(data)
    return Setup(experiment, space, loaded, augmentation, label_names, notes, on)


def _check_split(name: str, split: Split, space: SearchSpace) -> None:
    """Raises `ValueError` if images or labels do not fit the space."""
    if split.image_shape != space.input_shape:
        raise ValueError(
            f"{name}: expected images of shape {space.input_shape} (height, width, "
            f"channels) for space {space.name!r}, got {split.image_shape}; set "
            "space.input_size and space.input_channels"
        )
    classes = space.classifier.classes
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
    setup, stored = load(experiment), experiment.latency.table
    for op in setup.space.candidates:
        parts.require_onnx(op)
    estimators.of(experiment.search)
    prune.require_below_chance(setup.space, experiment.search.prune_below)
    baselines.hand_designed(setup.space)
    train_images = len(setup.splits["train_weights"].labels)
    per_epoch = optim.steps_per_epoch(train_images, experiment.search.batch)
    schedule.require_arch_steps(experiment.search, per_epoch)
    if stored is None:
        targets.check(experiment.search, setup.space, z=experiment.latency.z)
    else:
        resolve_targets(setup, tables.load(shipped.table_file(stored)))


def resolve_targets(setup: Setup, table: tables.LatencyTable) -> Targets:
    """The targets of an experiment by this table; `ValueError` if out of reach."""
    config = setup.experiment.latency
    return targets.resolve(
        setup.experiment.search,
        setup.space,
        table,
        origin=config.table or "the measured table",
        z=config.z,
    )


def check_network(experiment: Experiment, network: Architecture) -> None:
    """Raises `ValueError` if a network does not take the experiment's images."""
    expected = builders.build(experiment.space)
    inputs = (*expected.input_shape, expected.classifier.classes)
    got = (*network.input_shape, network.classifier.classes)
    if got != inputs:
        raise ValueError(
            f"architecture {network.name!r}: expected height, width, channels, classes "
            f"{inputs} of experiment {experiment.name!r}, got {got}"
        )


def describe(name: str) -> dict[str, Any]:
    """Size of a preset space, a published network, a file, or an experiment's space.

    Raises `ValueError` naming the first two kinds if `name` is none of these.
    """
    if name in builders.PRESETS:
        return counts.describe_space(builders.PRESETS[name]())
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
            f"describe {name!r}: expected a space ({', '.join(builders.PRESETS)}), a "
            f"published network ({', '.join(published.NAMES)}), an architecture file "
            "(.json) or an experiment"
        ) from error
    return counts.describe_space(builders.build(experiment.space))
