"""Batches: their images, the order of these, and the shard of each process.

Order is a pure function of (key, epoch) and a batch one of (split, order, step), so
the step is the only cursor: a run that resumes at any step sees what an uninterrupted
one would have seen.
"""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.base import Images, Labels, PRNGKey, stream

Order = Callable[[int], np.ndarray]
Augment = Callable[[PRNGKey, Images], Images]


class Shard(NamedTuple):
    """The part of every batch that one process of several reads."""

    process: int = 0
    processes: int = 1

    def rows(self, size: int) -> slice:
        """Which of a batch of `size`: equal blocks, in the order of the processes.

        Raises:
          ValueError: if the batch cannot be divided so, or there is no such part.
        """
        if size % self.processes or not 0 <= self.process < self.processes:
            raise ValueError(
                f"expected a batch that {self.processes} processes share evenly, "
                f"numbered from 0, got one of {size} and process {self.process}"
            )
        share = size // self.processes
        return slice(self.process * share, (self.process + 1) * share)


WHOLE = Shard()


class Split(Protocol):
    """Labelled images of one split, wherever they lie. `Batch` is one, in memory.

    A split comes in one of two forms. As evaluated, its images are normalised and the
    same at every call. For training they are what `augment` of the same problem takes:
    they may be bytes, and cut differently in every epoch.
    """

    @property
    def labels(self) -> Labels:
        """Of all images, `[N]`."""

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width, channels of the images of a batch."""

    def take(self, indices: np.ndarray, epoch: int = 0) -> "Batch":
        """The images of these numbers; `epoch` counts in the form for training."""

    def batch(self, order: Order, size: int, step: int, shard: Shard) -> "Batch":
        """What `batch_at` returns; a split may read ahead of the step asked for."""

    def evaluated(self) -> "Split":
        """The split in the form as evaluated."""

    def in_bytes(self) -> "Split":
        """As evaluated, but for the normalisation of what holds bytes.

        A step normalises it (`augment.normalise_of`): bytes travel four times faster.
        """

    def joined(self, other: "Split") -> "Split":
        """Both splits, in the form of this one."""


class Batch(NamedTuple):
    """Images `[B H W C]` and labels `[B]`: normalised, but for bytes to augment."""

    images: Images
    labels: Labels

    @property
    def image_shape(self) -> tuple[int, ...]:
        return tuple(self.images.shape[1:])

    def take(self, indices: np.ndarray, epoch: int = 0) -> "Batch":
        return Batch(self.images[indices], self.labels[indices])

    def batch(self, order: Order, size: int, step: int, shard: Shard) -> "Batch":
        epoch, chosen = places(len(self.labels), order, size, step)
        return self.take(chosen[shard.rows(size)], epoch)

    def evaluated(self) -> "Batch":
        return self

    def in_bytes(self) -> "Batch":
        return self

    def joined(self, other: Split) -> "Batch":
        every = other.take(np.arange(len(other.labels)))
        pairs = zip(self, every, strict=True)
        return Batch(*(np.concatenate(pair) for pair in pairs))


def permutations(key: PRNGKey, name: str, images: int) -> Order:
    """Order of the images in each pass through the data, a function of the epoch."""

    # who reads ahead is in two epochs at once
    @functools.lru_cache(maxsize=2)
    def order(epoch: int) -> np.ndarray:
        return np.asarray(jax.random.permutation(stream(key, name, epoch), images))

    return order


def places(images: int, order: Order, size: int, step: int) -> tuple[int, np.ndarray]:
    """Epoch and image numbers of batch `step`, counted over all passes."""
    epoch, place = divmod(step, images // size)
    return epoch, order(epoch)[place * size : (place + 1) * size]


def require_full(name: str, size: int, split: str, images: int) -> None:
    """Raises `ValueError` for a batch, by the field of its size, larger than its split.

    >>> require_full("train.batch", 64, "train", images=50)
    Traceback (most recent call last):
    ...
    ValueError: train.batch: expected at most the 50 images of train, got 64; lower it
    """
    if size > images:
        raise ValueError(
            f"{name}: expected at most the {images} images of {split}, got {size}; "
            "lower it"
        )


def batch_at(
    data: Split, order: Order, size: int, step: int, shard: Shard = WHOLE
) -> Batch:
    """Batch number `step`, counted over all passes through the data.

    `size` is that of the whole batch; a `shard` of it has its equal part.
    """
    return data.batch(order, size, step, shard)


def pieces(data: Split, size: int, shard: Shard = WHOLE) -> Iterator[Batch]:
    """All images in their order, in batches of `size`; the last may be smaller.

    A `shard` has its equal part of each; `ValueError` if it cannot be divided so.
    """
    for start in range(0, len(data.labels), size):
        piece = np.arange(start, min(start + size, len(data.labels)))
        yield data.take(piece[shard.rows(len(piece))])


def spread(split: Split, most: int) -> Batch:
    """At most so many images as evaluated, evenly over a split that may be sorted."""
    return split.evaluated().take(spread_places(len(split.labels), most))


def spread_places(size: int, most: int) -> np.ndarray:
    """At most so many numbers from 0 to below `size`, evenly.

    >>> spread_places(10, 4).tolist(), spread_places(2, 4).tolist()
    ([0, 3, 6, 9], [0, 1])
    """
    return np.unique(np.linspace(0, size - 1, min(most, size)).round().astype(int))


def shift(
    key: PRNGKey, images: Images, pixels: int, is_edge_repeated: bool = True
) -> Images:
    """Moves every image by up to `pixels` in each direction.

    What comes in is the repeated edge, or 0.
    """
    if pixels == 0:
        return images
    batch, height, width, channels = images.shape
    sides = ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0))
    padded = jnp.pad(images, sides, mode="edge" if is_edge_repeated else "constant")
    corners = jax.random.randint(key, (batch, 2), 0, 2 * pixels + 1)

    def crop(image: jax.Array, corner: jax.Array) -> jax.Array:
        start = (corner[0], corner[1], 0)
        return jax.lax.dynamic_slice(image, start, (height, width, channels))

    return jax.vmap(crop)(padded, corners)
