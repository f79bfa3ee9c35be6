"""The four splits of a configuration, whichever data set it names."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from nas_jax.config.data import TFDS, DataConfig
from nas_jax.data import (
    cifar,
    copies,
    digits,
    fashion_mnist,
    folder,
    groups,
    idx_sets,
    in_memory,
    near_copies,
    partition,
    prepared,
    record,
    things,
)
from nas_jax.data.batches import Split
from nas_jax.data.in_memory import InMemorySplit
from nas_jax.data.record import Record
from nas_jax.data.source import Arrays, DataSet, Source, require_classes
from nas_jax.data.streamed import StreamedSplit


class Drawn(NamedTuple):
    """Which items the splits hold."""

    numbers: dict[str, np.ndarray]
    """Of the items of each split, in their source."""
    notes: tuple[str, ...]
    """What was found about copies and groups, a line each."""


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
    CIFAR and of IDX files, and of data sets whose images all have the size of the
    space, are held in memory; others are decoded when they are needed.

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
    sources = _sources(data)
    for source in sources.values():
        require_classes(config.name, source.label_names, classes)
    chosen, notes = draw(config, data, seed)
    splits = _splits(config, image_shape, seed, sources, chosen)
    return Loaded(splits, data.notes + notes, data.train.label_names)


def draw(config: DataConfig, data: DataSet, seed: int) -> Drawn:
    """The items of all splits: disjoint, of every class, copies and groups in one.

    Raises `ValueError` as `partition` and `groups`, with what was left out.
    """
    items = things.distinct(data)
    sizes = {split: getattr(config, split) for split in partition.SPLITS}
    drawn: dict[str, np.ndarray] = {}
    try:
        for part in items.sources:
            drawn |= _of_part(items, part, sizes, seed, config.name)
    except ValueError as error:
        raise ValueError(f"{error}{items.loss(part)}") from error
    numbers = {split: drawn[split] for split in sizes}
    together = "groups and copies" if data.groups else "copies"
    moved = tuple(
        f"data.{split} = {size} became {len(numbers[split])}: {together} stay together"
        for split, size in sizes.items()
        if size not in (None, len(numbers[split]))
    )
    weights, alphas, valid, test = numbers.values()
    training = np.concatenate([weights, alphas])
    near = near_copies.notes_on(
        items, {"training": training, "valid": valid, "test": test}
    )
    return Drawn(numbers, items.notes + moved + near)


def _of_part(
    items: copies.Distinct, part: str, sizes: partition.Sizes, seed: int, what: str
) -> dict[str, np.ndarray]:
    """The splits that are drawn from one source: a test or valid set is one."""
    source, numbers = items.sources[part], items.numbers[part]
    labels, names = source.labels[numbers], source.label_names
    for label in np.setdiff1d(source.labels, labels):
        raise ValueError(
            f"{what}: expected {part} pictures of class {names[label]!r} that no other "
            "set has, got none"
        )
    if part in sizes:
        what = f"{what}, {part}"
        (size,) = partition.resolved({part: sizes[part]}, len(labels), what).values()
        drawn = {part: partition.tested(labels, size, seed, what, part)}
    else:
        here = {split: n for split, n in sizes.items() if split not in items.sources}
        whole = partition.resolved(here, len(labels), what)
        # as many of every class, as the paper has of CIFAR and ImageNet
        is_standard = what in cifar.LAYOUTS or what.startswith(TFDS)
        is_equal = "test" not in here and is_standard
        divide = partition.three if is_equal else partition.four
        drawn = divide(labels, whole, seed, what, names)
        drawn = groups.together(labels, drawn, items.groups, seed, names)
    return {split: numbers[places] for split, places in drawn.items()}


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
    if config.name == "folder" and config.path is not None:
        kept = folder.of_run(config.path, began)
        data = DataSet(kept, kept)
    else:
        data = _read(config, image_shape)
    parts = data.train, data.test, data.valid
    known = {
        id(part): record.relabelled(part, began) for part in parts if part is not None
    }
    sources = {name: known[id(source)] for name, source in _sources(data).items()}
    numbers, notes = record.recall(began, sources, needed, where)
    of_needed = {name: sources[name] for name in needed}
    splits = _splits(config, image_shape, seed, of_needed, numbers)
    return Loaded(splits, data.notes + notes, began.label_names)


def at_side(splits: Mapping[str, Split], side: int) -> dict[str, Split]:
    """The same pictures, brought to another side.

    Raises `ValueError` for a split that holds no pictures.
    """
    resized: dict[str, Split] = {}
    fitted: dict[int, np.ndarray] = {}
    for name, split in splits.items():
        shape = (side, side, split.image_shape[-1])
        if isinstance(split, InMemorySplit):
            key = id(split.source)
            if key not in fitted:
                fitted[key] = in_memory.fitted(split.source, split.config, shape)
            resized[name] = dataclasses.replace(split, images=fitted[key])
        elif isinstance(split, StreamedSplit):
            resized[name] = split.at(shape)
        else:
            raise ValueError(
                f"{name}: expected pictures, which can be brought to {side} pixels, "
                "got images of one size"
            )
    return resized


def _sources(data: DataSet) -> dict[str, Source]:
    """Where each split comes from."""
    sources = dict.fromkeys(partition.SPLITS, data.train) | {"test": data.test}
    return sources if data.valid is None else sources | {"valid": data.valid}


def _splits(
    config: DataConfig,
    image_shape: tuple[int, ...],
    seed: int,
    sources: Mapping[str, Source],
    numbers: Mapping[str, np.ndarray],
) -> dict[str, Split]:
    """The splits that hold these items of their sources."""
    splits: dict[str, Split] = {}
    fitted: dict[int, np.ndarray] = {}
    for name, source in sources.items():
        is_training, chosen = name == "train_weights", numbers[name]
        if not isinstance(source, Arrays):
            splits[name] = StreamedSplit(
                source, chosen, image_shape, config, seed, is_training
            )
            continue
        if id(source) not in fitted:
            fitted[id(source)] = in_memory.fitted(source, config, image_shape)
        images = fitted[id(source)]
        splits[name] = InMemorySplit(source, images, chosen, config, is_training)
    return splits


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
    if config.name == "idx":
        return idx_sets.load(config)
    if config.name == "fashion_mnist":
        return fashion_mnist.load(config)
    assert config.name.startswith(TFDS)
    return prepared.load(config, image_shape)
