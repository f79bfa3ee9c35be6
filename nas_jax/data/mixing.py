"""Images of a batch blended in pairs: mixup, and cutmix.

Both are one sum: with a map m of 0 to 1 over the pixels of image x, and the image x' of
another place in the batch,

    m x + (1 - m) x',    label y with share mean(m), y' with the rest.

Mixup's m is a constant from Beta(alpha, alpha) (Zhang et al. 2018, arXiv 1710.09412).
Cutmix's is 0 in a box and 1 around it; the box has a share of the picture from
Beta(alpha, alpha) and its centre anywhere, and what reaches over the border is cut off
(Yun et al. 2019, arXiv 1905.04899). Every image of the batch has a draw of its own.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Float

from nas_jax.base import Images, Labels, PRNGKey, stream
from nas_jax.config.experiment import TrainConfig
from nas_jax.data.batches import Batch


class Mixed(NamedTuple):
    """Labels of blended images: `share` of each is of its label, the rest of `others`.

    All `[B]`.
    """

    labels: Labels
    others: Labels
    share: Float[Array, "B"]


def of(
    config: TrainConfig, key: PRNGKey, batch: Batch
) -> tuple[Images, Labels | Mixed]:
    """Images and labels of a training step, blended if the configuration says so."""
    images, labels = jnp.asarray(batch.images), jnp.asarray(batch.labels)
    maps = []
    if config.mixup_alpha:
        maps.append(even(stream(key, "mixup"), images, config.mixup_alpha))
    if config.cutmix_alpha:
        maps.append(outside_box(stream(key, "cutmix"), images, config.cutmix_alpha))
    if not maps:
        return images, labels
    own = maps[0]
    if len(maps) == 2:
        is_mixup = jax.random.bernoulli(
            stream(key, "mixing"), shape=own[:, :1, :1].shape
        )
        own = jnp.where(is_mixup, maps[0], maps[1])
    others = jnp.roll(images, 1, axis=0)
    mixed = others + own * (images - others)
    return mixed, Mixed(labels, jnp.roll(labels, 1), own.mean((1, 2, 3)))


def even(key: PRNGKey, images: Images, alpha: float) -> Float[Array, "B H W 1"]:
    """The maps of mixup."""
    shape = (*images.shape[:3], 1)
    return jnp.broadcast_to(_beta(key, alpha, shape[0])[:, None, None, None], shape)


def outside_box(key: PRNGKey, images: Images, alpha: float) -> Float[Array, "B H W 1"]:
    """The maps of cutmix."""
    count, height, width, _ = images.shape
    size, rows, columns = jax.random.split(key, 3)
    side = jnp.sqrt(_beta(size, alpha, count))[:, None]  # of the image's

    def inside(key: PRNGKey, length: int) -> Array:
        centre = jax.random.uniform(key, (count, 1)) * length
        middles = jnp.arange(length, dtype=centre.dtype)[None] + 0.5
        return jnp.abs(middles - centre) < side * length / 2

    hidden = inside(rows, height)[:, :, None] & inside(columns, width)[:, None, :]
    return 1 - hidden[..., None].astype(images.dtype)


def _beta(key: PRNGKey, alpha: float, count: int) -> Float[Array, "B"]:
    """Draws from Beta(alpha, alpha), by its quantiles: JAX's own takes long to compile.

    >>> _beta(jax.random.key(0), 1.0, 1000).mean().round(1).item()
    0.5
    """
    at = np.linspace(0, 1, 1025, dtype=np.float32)
    quantiles = scipy.special.betaincinv(alpha, alpha, at).astype(np.float32)
    drawn = jax.random.uniform(key, (count,))
    return jnp.interp(drawn, jnp.asarray(at), jnp.asarray(quantiles))
