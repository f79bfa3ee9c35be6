"""Batches of data held in memory: which images, in which order, how shifted.

Order and augmentation are pure functions of (key, epoch) and (key, step), so a run that
resumes at any step sees what an uninterrupted one would have seen.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import rng
from nas_jax.base import Images, Labels, PRNGKey

Order = Callable[[int], np.ndarray]
Augment = Callable[[PRNGKey, Images], Images]


class Batch(NamedTuple):
    """Normalised images `[B H W C]` and labels `[B]`."""

    images: Images
    labels: Labels


def permutations(key: PRNGKey, name: str, images: int) -> Order:
    """Order of the images in each pass through the data, a function of the epoch."""

    @functools.lru_cache(maxsize=1)
    def order(epoch: int) -> np.ndarray:
        return np.asarray(jax.random.permutation(rng.stream(key, name, epoch), images))

    return order


def batch_at(data: Batch, order: Order, size: int, step: int) -> Batch:
    """Batch number `step`, counted over all passes through the data."""
    epoch, place = divmod(step, len(data.labels) // size)
    chosen = order(epoch)[place * size : (place + 1) * size]
    return Batch(data.images[chosen], data.labels[chosen])


def shift(key: PRNGKey, images: Images, pixels: int) -> Images:
    """Moves every image by up to `pixels` in each direction; the edge is repeated."""
    if pixels == 0:
        return images
    batch, height, width, channels = images.shape
    sides = ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0))
    padded = jnp.pad(images, sides, mode="edge")
    corners = jax.random.randint(key, (batch, 2), 0, 2 * pixels + 1)

    def crop(image: jax.Array, corner: jax.Array) -> jax.Array:
        start = (corner[0], corner[1], 0)
        return jax.lax.dynamic_slice(image, start, (height, width, channels))

    return jax.vmap(crop)(padded, corners)
