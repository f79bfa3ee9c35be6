"""Tasks on which leverage is measured, with the spaces that fit their pictures."""

import dataclasses
from typing import NamedTuple

from benchmarks import glyphs
from benchmarks.quality_settings import LeverageConfig
from nas_jax.base import PRNGKey, stream
from nas_jax.config import recipes
from nas_jax.config.data import DataConfig
from nas_jax.config.experiment import TrainConfig
from nas_jax.config.space import MBCONV_CANDIDATES, ElasticConfig
from nas_jax.data import augment, folder, splits
from nas_jax.data.batches import Augment, Split
from nas_jax.runs import pretrained
from nas_jax.spaces import around
from nas_jax.spaces.architecture import Architecture
from nas_jax.training import loop
from nas_jax.training.loop import Reached, Recipe
from nas_jax.training.progress import Progress

_DRAWN = (5200, 5200, 1040)
"""Letters to train, to test and to rank on: 200, 200 and 40 a class."""
_BATCH = 32
_RANKED = 1000
"""Other pictures by which networks are ranked before they are trained."""


class Task(NamedTuple):
    """Images of one side: to train on, to test on, and others to rank by."""

    train: Split
    test: Split
    augment: Augment
    valid: Split


def load(config: LeverageConfig, shape: tuple[int, int, int], classes: int) -> Task:
    """The images of a task, H W C. Raises `ValueError` as `data.splits.load`."""
    side, _, channels = shape
    if config.task == "letters":
        train, test, valid = (
            glyphs.draw(images, side, seed) for seed, images in enumerate(_DRAWN)
        )
        return Task(train, test, augment.of(DataConfig()), valid)
    mean, std = (0.5,) * channels, (0.25,) * channels
    if config.weights is not None:
        mean, std = pretrained.statistics(config.weights, channels) or (mean, std)
    data = DataConfig(
        name="folder" if config.task == "pictures" else config.task,
        path=None if config.path is None else str(config.path),
        group_pattern=config.group_pattern,
        train_weights=config.train_images,
        train_alphas=classes,
        valid=_RANKED,
        test=None,
        geometry="whole",
        shift_pixels=side // 14,
        flip=True,
        crop_area=1.0,
        mean=mean,
        std=std,
    )
    found = splits.load(data, shape, classes, seed=0).splits
    return Task(found["train_weights"], found["test"], augment.of(data), found["valid"])


def spaces(config: LeverageConfig) -> dict[str, ElasticConfig]:
    """Spaces to compare: all choices, and those of operations in the middle shape.

    With weights the space around their network alone.

    Small pictures have fewer stages than those of 64 pixels, and are stretched: with a
    stem of stride 2, a side above their own keeps more of the maps' detail.
    """
    is_small = config.task != "pictures"
    channels, classes = 1 if is_small else 3, _classes(config)
    if config.weights is not None:
        network = pretrained.read(config.weights).architecture
        return {"around": around.space(network, (config.side,), channels, classes)}
    stages = ((8, 16, 24), (16, 24, 32, 48), (32, 48, 64, 96), (64, 96, 128))
    elastic = ElasticConfig(
        name="elastic",
        input_sizes=(28, 40, 56) if is_small else (48, 64, 96),
        input_channels=channels,
        classes=classes,
        stem_widths=(8, 16, 24),
        stage_choices=stages[:3] if is_small else stages,
        cells=(2, 3, 3) if is_small else (1, 2, 3, 2),
        strides=(1, 2, 2) if is_small else (1, 2, 2, 2),
        head_channels=128,
    )
    operations = dataclasses.replace(
        elastic,
        name="operations",
        input_sizes=elastic.input_sizes[1:2],
        stem_widths=elastic.stem_widths[1:2],
        stage_choices=tuple(one[len(one) // 2 :][:1] for one in elastic.stage_choices),
        candidates=MBCONV_CANDIDATES,
    )
    return {"elastic": elastic, "operations": operations}


def recipe(config: LeverageConfig) -> TrainConfig:
    """Of the trainings: that of `nas_jax start`."""
    if config.weights is not None:
        return recipes.fine_tuning(config.epochs, _BATCH)
    return recipes.small_data(config.epochs, _BATCH)


def begun(
    config: LeverageConfig, network: Architecture, recipe: Recipe, key: PRNGKey
) -> Reached:
    """The place where a training begins: from weights, if there are any."""
    weights, draw = None, stream(key, "weights")
    if config.weights is not None:
        data = recipe.data
        weights = pretrained.weights(config.weights, network, draw, data, Progress())
    return Reached(loop.init(key, network, recipe, weights))


def _classes(config: LeverageConfig) -> int:
    if config.task == "letters":
        return glyphs.CLASSES
    if config.task == "fashion_mnist":
        return 10
    data = DataConfig(name="folder", path=str(config.path))
    return len(folder.load(data).train.label_names)
