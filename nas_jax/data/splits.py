"""From a configuration to the four splits, whichever data set it names."""

from typing import NamedTuple

import numpy as np

from nas_jax.config.data import TFDS, DataConfig
from nas_jax.data import cifar, digits, folder, in_memory, partition, prepared, streamed
from nas_jax.data.batches import Split
from nas_jax.data.source import Arrays, DataSet, Source, require_classes


class Loaded(NamedTuple):
    """The splits by name, and what there is to know of the data."""

    splits: dict[str, Split]
    notes: tuple[str, ...]
    """What a user should hear, a line each."""
    label_names: tuple[str, ...]
    """What the labels stand for, in their order."""


def load(
    config: DataConfig, image_shape: tuple[int, ...], classes: int, seed: int
) -> Loaded:
    """The splits, disjoint, stratified by class.

    `train_weights` is in the form for training, the others are as evaluated. Images of
    CIFAR, and of data sets whose images all have the size of the space, are held in
    memory; others are decoded when they are needed.

    Args:
      config: which data set, and how many images each split takes.
      image_shape: height, width, channels that the space takes.
      classes: of the space.
      seed: of the splits and of random cuts.

    Raises:
      ValueError: if the data set is not there, is broken, or does not fit.
    """
    if config.name == "digits":
        drawn = digits.load(config, image_shape[0], seed)
        return Loaded({**drawn}, (), digits.LABELS)
    data = _read(config, image_shape)
    for source in (data.train, data.test):
        require_classes(config.name, source.label_names, classes)
    sizes = {split: getattr(config, split) for split in partition.SPLITS}
    if data.train is data.test:
        chosen = partition.four(data.train.labels, sizes, seed, config.name)
    else:
        chosen = partition.three(data.train.labels, sizes, seed, config.name)
        chosen["test"] = partition.tested(
            data.test.labels, sizes["test"], seed, f"{config.name}, test"
        )
    splits = {
        name: _split(
            data.test if name == "test" else data.train,
            indices,
            image_shape,
            config,
            seed,
            is_training=name == "train_weights",
        )
        for name, indices in chosen.items()
    }
    return Loaded(splits, data.notes, data.train.label_names)


def _read(config: DataConfig, image_shape: tuple[int, ...]) -> DataSet:
    channels = image_shape[-1]
    if len(config.mean) != channels:
        raise ValueError(
            f"data.mean, data.std: expected {channels} values each, one per channel of "
            f"the space, got {len(config.mean)}"
        )
    if config.saturation and channels != 3:
        raise ValueError(
            f"data.saturation: expected 0 with images of {channels} channels, got "
            f"{config.saturation}"
        )
    if config.name in cifar.LAYOUTS:
        return cifar.load(config.name, config.path)
    if config.name == "folder":
        return folder.load(config)
    assert config.name.startswith(TFDS)
    return prepared.load(config, image_shape)


def _split(
    source: Source,
    indices: np.ndarray,
    image_shape: tuple[int, ...],
    config: DataConfig,
    seed: int,
    is_training: bool,
) -> Split:
    if isinstance(source, Arrays):
        return in_memory.InMemorySplit(source, indices, config, is_training)
    return streamed.StreamedSplit(
        source, indices, image_shape, config, seed, is_training
    )
