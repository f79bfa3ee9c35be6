"""Tasks on which leverage is measured, with the spaces that fit their pictures."""

import dataclasses
from typing import NamedTuple

from benchmarks import glyphs
from benchmarks.quality_settings import LeverageConfig
from nas_jax.config.data import DataConfig
from nas_jax.config.space import MBCONV_CANDIDATES, ElasticConfig
from nas_jax.data import augment, folder, splits
from nas_jax.data.batches import Augment, Split

_DRAWN = (5200, 5200)
"""Letters to train and to test on, 200 a class each."""


class Task(NamedTuple):
    """Images of one side: to train on and to test on."""

    train: Split
    test: Split
    augment: Augment


def load(config: LeverageConfig, shape: tuple[int, int, int], classes: int) -> Task:
    """The images of a task, H W C. Raises `ValueError` as `data.splits.load`."""
    side, _, channels = shape
    if config.task == "letters":
        train, test = (
            glyphs.draw(images, side, seed) for seed, images in enumerate(_DRAWN)
        )
        return Task(train, test, augment.of(DataConfig()))
    data = DataConfig(
        name="folder" if config.task == "pictures" else config.task,
        path=None if config.path is None else str(config.path),
        train_weights=None,
        train_alphas=classes,
        valid=classes,
        test=None,
        geometry="whole",
        shift_pixels=side // 14,
        flip=True,
        crop_area=1.0,
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
    )
    loaded = splits.load(data, shape, classes, seed=0)
    return Task(loaded.splits["train_weights"], loaded.splits["test"], augment.of(data))


def spaces(config: LeverageConfig) -> dict[str, ElasticConfig]:
    """Spaces to compare: all choices, and those of operations in the middle shape.

    Small pictures have fewer stages than those of 64 pixels, and are stretched: with a
    stem of stride 2, a side above their own keeps more of the maps' detail.
    """
    is_small = config.task != "pictures"
    stages = ((8, 16, 24), (16, 24, 32, 48), (32, 48, 64, 96), (64, 96, 128))
    elastic = ElasticConfig(
        name="elastic",
        input_sizes=(28, 40, 56) if is_small else (48, 64, 96),
        input_channels=1 if is_small else 3,
        classes=_classes(config),
        stem_widths=(8, 16, 24),
        stage_widths=stages[:3] if is_small else stages,
        cells=(2, 3, 3) if is_small else (1, 2, 3, 2),
        strides=(1, 2, 2) if is_small else (1, 2, 2, 2),
        head_channels=128,
    )
    operations = dataclasses.replace(
        elastic,
        name="operations",
        input_sizes=elastic.input_sizes[1:2],
        stem_widths=elastic.stem_widths[1:2],
        stage_widths=tuple(one[len(one) // 2 :][:1] for one in elastic.stage_widths),
        candidates=MBCONV_CANDIDATES,
    )
    return {"elastic": elastic, "operations": operations}


def _classes(config: LeverageConfig) -> int:
    if config.task == "letters":
        return glyphs.CLASSES
    if config.task == "fashion_mnist":
        return 10
    data = DataConfig(name="folder", path=str(config.path))
    return len(folder.load(data).train.label_names)
