"""The four splits of a configuration, whichever data set it names."""

from typing import NamedTuple

import numpy as np

from nas_jax.config.data import TFDS, DataConfig
from nas_jax.data import cifar, digits, folder, partition, prepared
from nas_jax.data.batches import Split
from nas_jax.data.in_memory import InMemorySplit
from nas_jax.data.source import Arrays, DataSet, require_classes
from nas_jax.data.streamed import StreamedSplit


class Loaded(NamedTuple):
    """The splits by name, with notes and label names."""

    splits: dict[str, Split]
    notes: tuple[str, ...]
    """Warnings for the user, a line each."""
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
    sources = dict.fromkeys(partition.SPLITS, data.train) | {"test": data.test}
    if data.valid is not None:
        sources["valid"] = data.valid
    for source in sources.values():
        require_classes(config.name, source.label_names, classes)
    sizes = {split: getattr(config, split) for split in partition.SPLITS}
    if data.valid is not None:
        chosen: dict[str, np.ndarray] = {}
        for source in dict.fromkeys(sources.values()):
            named = [split for split in sizes if sources[split] is source]
            asked, labels = [sizes[split] for split in named], source.labels
            given = dict(zip(named, asked, strict=True))
            partition.require(len(labels), len(np.unique(labels)), given, config.name)
            parts = partition.in_proportion(labels, asked, seed)
            chosen |= dict(zip(named, map(np.sort, parts), strict=True))
    elif data.train is data.test:
        chosen = partition.four(data.train.labels, sizes, seed, config.name)
    else:
        chosen = partition.three(data.train.labels, sizes, seed, config.name)
        chosen["test"] = partition.tested(
            data.test.labels, sizes["test"], seed, f"{config.name}, test"
        )

    def split(name: str) -> Split:
        source = sources[name]
        is_training = name == "train_weights"
        if isinstance(source, Arrays):
            return InMemorySplit(source, chosen[name], config, is_training)
        return StreamedSplit(
            source, chosen[name], image_shape, config, seed, is_training
        )

    splits = {name: split(name) for name in chosen}
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
