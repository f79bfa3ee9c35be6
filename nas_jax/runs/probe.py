"""Whether mirrored and heavily cropped pictures are of the same class: a short trial.

A mirrored cat is a cat, a mirrored b is a d, and a corner of a letter is none. A small
network trains for some hundred steps with the augmentation of an experiment, and once
without each of the two, on the same images in the same order. One is left out if the
images of `valid` then tell their class better by more than chance would have it. A
short training favours weak augmentation, so doubt keeps it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from nas_jax.config import recipes
from nas_jax.config.data import DataConfig
from nas_jax.config.experiment import Experiment
from nas_jax.config.space import SpaceConfig
from nas_jax.runs import setup
from nas_jax.spaces import architecture, builders
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.operations import OpSpec
from nas_jax.spaces.space import SearchSpace
from nas_jax.training import loop, optim
from nas_jax.training.progress import Progress

STEPS = 300
"""Of every training, at least."""
DOUBT = 2.0
"""Standard errors of the mean difference below which nothing is left out."""
_WITHOUT: Mapping[str, dict[str, Any]] = {
    "flips": {"flip": False},
    "crops": {"crop_area": 1.0},
}


@dataclass(frozen=True)
class Probed:
    """What the trial says."""

    data: DataConfig
    """That of the experiment, without what does harm."""
    notes: tuple[str, ...]
    """A line for each of the two that was tried."""


def augmentation(
    experiment: Experiment, progress: Progress, steps: int = STEPS
) -> Probed:
    """Tries an experiment without its flips, and without its crops.

    Without crops the pictures are moved by a sixteenth of their side.

    Raises:
      ValueError: as `setup.load`; and if a training diverges.
    """
    data, side = experiment.data, experiment.space.input_size
    tried = {
        name: without
        for name, without in _WITHOUT.items()
        if any(getattr(data, field) != value for field, value in without.items())
    }
    if "crops" in tried:
        shift = max(data.shift_pixels, side // 16)
        tried["crops"] = tried["crops"] | {"shift_pixels": shift}
    if not tried:
        return Probed(data, ())
    progress.phase(f"whether {' and '.join(tried)} help: short trainings")
    given, notes = _losses(experiment, steps, progress, "with all"), []
    for name, without in tried.items():
        other = replace(experiment, data=replace(experiment.data, **without))
        gains = given - _losses(other, steps, progress, f"without {name}")
        error = gains.std(ddof=1) / math.sqrt(len(gains))
        is_harmful = gains.mean() > DOUBT * error
        if is_harmful:
            data = replace(data, **without)
        told = "do harm here: left out" if is_harmful else "stay: no harm beyond chance"
        notes.append(
            f"{name} {told} (loss of a small network {given.mean():.3g} with them, "
            f"{(given - gains).mean():.3g} without, give or take {error:.2g})"
        )
    return Probed(data, tuple(notes))


def _losses(
    experiment: Experiment, steps: int, progress: Progress, name: str
) -> np.ndarray:
    """The cross-entropy of every image of `valid` after a short training, `[N]`."""
    loaded = setup.load(experiment)
    batch = experiment.train.batch
    per_epoch = optim.steps_per_epoch(len(loaded.recipe.data.labels), batch)
    train = recipes.small_data(math.ceil(steps / per_epoch), batch)
    recipe = replace(loaded.recipe, config=train)
    network, key = _small_network(loaded.space), jax.random.key(experiment.seed)
    epochs = loop.run(key, network, recipe)
    *_, last = progress.steps(epochs, total=train.epochs, desc=name)
    model = loop.trained(network, last.state, recipe.devices)
    return loop.image_losses(model, loaded.splits["valid"].evaluated())


def _small_network(space: SearchSpace) -> Architecture:
    """Three inverted bottlenecks for the images of a space, from some 16 pixels on."""
    side, _, channels = space.input_shape
    small = SpaceConfig(
        name="probe",
        input_size=side,
        input_channels=channels,
        classes=space.classifier.classes,
        stem_channels=16,
        stem_stride=max(1, side // 16),
        first_block_channels=None,
        stage_widths=(16, 32, 64),
        cells=(1, 1, 1),
        strides=(1, 2, 2),
        candidates=("mb3_k3", "mb6_k3"),
        head_channels=128,
    )
    built = builders.mobile(small)
    ops = [OpSpec.parse("mb3_k3")] * len(built.layers)
    return architecture.from_ops(built, ops, "probe")
