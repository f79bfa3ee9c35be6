"""A split of pictures that are read and decoded when they are needed, through grain.

Threads decode ahead of the step that is asked for. What a batch holds depends on (seed,
epoch, image) alone, never on the threads or on what was asked before.
"""

import dataclasses
import functools
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import grain
import numpy as np

from nas_jax.base import Labels
from nas_jax.config import provenance
from nas_jax.config.data import DataConfig
from nas_jax.data import pictures, preprocessing
from nas_jax.data.batches import Batch, Order, Shard, Split, places
from nas_jax.data.preprocessing import Preprocessing
from nas_jax.data.source import Source

AHEAD = 2
"""Batches that are decoded ahead."""


@dataclass(eq=False)
class _Reader:
    """The batches that are being read ahead: whose, and which comes next."""

    asked: tuple[Any, ...] = ()
    step: int = 0
    batches: Iterator[Any] = field(default_factory=lambda: iter(()))


@dataclass(frozen=True, eq=False)
class StreamedSplit:
    """Some pictures of a source.

    For training, a picture is cut at random, differently in every epoch, and stays in
    bytes; as evaluated it is cut in the middle and normalised.
    """

    source: Source
    indices: np.ndarray
    image_shape: tuple[int, ...]
    config: DataConfig
    seed: int
    is_training: bool = False
    is_in_bytes: bool = False
    """Whether what is not for training stays in bytes."""
    _reader: _Reader = field(default_factory=_Reader)

    @functools.cached_property
    def labels(self) -> Labels:
        return self.source.labels[self.indices]

    @functools.cached_property
    def _prepare(self) -> Preprocessing:
        return preprocessing.of(self.config, self.image_shape[0])

    def take(self, indices: np.ndarray, epoch: int = 0) -> Batch:
        read = grain.MapDataset.range(len(indices)).map(
            lambda place: self._image(int(indices[place]), epoch)
        )
        return Batch(*next(_batched(read, len(indices))))

    def batch(self, order: Order, size: int, step: int, shard: Shard) -> Batch:
        reader, asked = self._reader, (order, size, shard)
        if (reader.asked, reader.step) != (asked, step):
            reader.asked, reader.step = asked, step
            reader.batches = self._from(order, size, step, shard)
        reader.step += 1
        return Batch(*next(reader.batches))

    def _from(
        self, order: Order, size: int, step: int, shard: Shard
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The endless batches from a step on."""
        rows = shard.rows(size)
        share = rows.stop - rows.start

        def read(place: int) -> tuple[np.ndarray, np.int32]:
            at, row = divmod(place, share)
            epoch, chosen = places(len(self.indices), order, size, at)
            return self._image(int(chosen[rows.start + row]), epoch)

        last = sys.maxsize // size * share
        return _batched(grain.MapDataset.range(step * share, last).map(read), share)

    def _image(self, index: int, epoch: int) -> tuple[np.ndarray, np.int32]:
        """One picture, as it comes in this epoch."""
        number = int(self.indices[index])
        item = self.source[number]
        if self.is_training:
            # of the name, not of the place: later files move the places
            name = zlib.crc32(self.source.names[number].encode())
            numbers = np.random.default_rng((self.seed, epoch, name))
            box_of = functools.partial(
                pictures.random_box, numbers, smallest_area=self.config.crop_area
            )
            image = pictures.cut(item, self.image_shape, box_of)
        else:
            prepare = self._prepare
            image = prepare.pixels(item) if self.is_in_bytes else prepare(item)
        return image, np.int32(item.label)

    def evaluated(self) -> "StreamedSplit":
        return self._in_form(is_in_bytes=False)

    def in_bytes(self) -> "StreamedSplit":
        return self._in_form(is_in_bytes=True)

    def _in_form(self, *, is_in_bytes: bool) -> "StreamedSplit":
        return dataclasses.replace(
            self, is_training=False, is_in_bytes=is_in_bytes, _reader=_Reader()
        )

    def at(self, shape: tuple[int, ...]) -> "StreamedSplit":
        """The split with images of another shape."""
        return dataclasses.replace(self, image_shape=shape, _reader=_Reader())

    def joined(self, other: Split) -> "StreamedSplit":
        assert isinstance(other, StreamedSplit) and other.source is self.source
        indices = np.concatenate([self.indices, other.indices])
        return dataclasses.replace(self, indices=indices, _reader=_Reader())


def _batched(read: Any, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Stacks what is read, in order, by as many threads as there are cores."""
    options = grain.ReadOptions(
        num_threads=provenance.cores(), prefetch_buffer_size=AHEAD * size
    )
    return iter(read.to_iter_dataset(options).batch(size))
