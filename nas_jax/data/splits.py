"""The four splits of a configuration, whichever data set it names."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from nas_jax.config.data import TFDS, DataConfig
from nas_jax.data import cifar, digits, folder, partition, prepared, record
from nas_jax.data.batches import Split
from nas_jax.data.in_memory import InMemorySplit
from nas_jax.data.record import Record
from nas_jax.data.source import Arrays, DataSet, Source, require_classes
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

    apart = {"test": data.test}
    splits = {
        name: _split(
            name, apart.get(name, data.train), numbers, image_shape, config, seed
        )
        for name, numbers in chosen.items()
    }
    return Loaded(splits, data.notes, data.train.label_names)


def recall(
    config: DataConfig,
    image_shape: tuple[int, ...],
    seed: int,
    began: Record,
    needed: Collection[str] = partition.SPLITS,
) -> Loaded:
    """The splits of a run that goes on, those that it began with.

    Args:
      config, image_shape, seed: as of `load`.
      began: the run's record.
      needed: the splits to load.

    Raises:
      ValueError: as `record.recall`, if a split is not what it was.
    """
    where = config.name if config.path is None else config.path
    if config.name == "digits":
        drawn = digits.load(config, image_shape[0], seed)
        record.require_same(began, record.of(drawn, digits.LABELS), where)
        return Loaded({name: drawn[name] for name in needed}, (), digits.LABELS)
    data = _read(config, image_shape)
    apart = {"test": data.test, "valid": data.valid or data.train}
    known: dict[int, Source] = {}
    sources = {}
    for name in partition.SPLITS:
        source = apart.get(name, data.train)
        sources[name] = known.setdefault(id(source), record.relabelled(source, began))
    numbers, notes = record.recall(began, sources, needed, where)
    splits = {
        name: _split(name, sources[name], numbers[name], image_shape, config, seed)
        for name in needed
    }
    return Loaded(splits, data.notes + notes, began.label_names)


def _split(
    name: str,
    source: Source,
    numbers: np.ndarray,
    image_shape: tuple[int, ...],
    config: DataConfig,
    seed: int,
) -> Split:
    is_training = name == "train_weights"
    if isinstance(source, Arrays):
        return InMemorySplit(source, numbers, config, is_training)
    return StreamedSplit(source, numbers, image_shape, config, seed, is_training)


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
