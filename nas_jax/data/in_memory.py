"""A split of images held in memory as bytes."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from nas_jax.base import Labels
from nas_jax.config.data import DataConfig
from nas_jax.data import preprocessing
from nas_jax.data.batches import Batch, Order, Shard, Split, places
from nas_jax.data.source import Arrays


@dataclass(frozen=True, eq=False)
class InMemorySplit:
    """Some images of an array, which all splits share.

    A batch for training holds bytes, to be augmented inside the step; one as evaluated
    is normalised here, or inside the step if it is asked for in bytes.
    """

    source: Arrays
    images: np.ndarray
    """Of all items of the source, as `fitted`."""
    indices: np.ndarray
    config: DataConfig
    is_training: bool = False
    is_in_bytes: bool = False
    """Whether what is not for training stays in bytes."""

    @property
    def labels(self) -> Labels:
        return self.source.labels[self.indices]

    @property
    def image_shape(self) -> tuple[int, ...]:
        return tuple(self.images.shape[1:])

    def take(self, indices: np.ndarray, epoch: int = 0) -> Batch:
        chosen = self.indices[indices]
        images = self.images[chosen]
        if not (self.is_training or self.is_in_bytes):
            size = self.image_shape[0]
            images = preprocessing.of(self.config, size).normalised(images)
        return Batch(images, self.source.labels[chosen])

    def batch(self, order: Order, size: int, step: int, shard: Shard) -> Batch:
        epoch, chosen = places(len(self.indices), order, size, step)
        return self.take(chosen[shard.rows(size)], epoch)

    def evaluated(self) -> "InMemorySplit":
        return dataclasses.replace(self, is_training=False, is_in_bytes=False)

    def in_bytes(self) -> "InMemorySplit":
        return dataclasses.replace(self, is_training=False, is_in_bytes=True)

    def joined(self, other: Split) -> "InMemorySplit":
        assert isinstance(other, InMemorySplit) and other.source is self.source
        indices = np.concatenate([self.indices, other.indices])
        return dataclasses.replace(self, indices=indices)


def fitted(source: Arrays, config: DataConfig, shape: tuple[int, ...]) -> np.ndarray:
    """Uint8 `[N H W C]`: all images at the network's size, cut as any picture file is.

    So training, evaluation and `predict` on a file of the same picture see the same.
    """
    if source.images.shape[1:] == shape:
        return source.images
    pixels = preprocessing.of(config, shape[0]).pixels
    return np.stack([pixels(source[number]) for number in range(len(source))])
