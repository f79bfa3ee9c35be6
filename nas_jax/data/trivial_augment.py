"""TrivialAugment: one change of every image, of a kind and strength drawn evenly.

Müller & Hutter 2021 (arXiv 2103.10158), with the strengths that the paper takes from
RandAugment. An image that has another kind gets each change at strength 0, which is
none, so that the whole batch goes through the same arithmetic. Equalisation is left
out: it needs a histogram of every image, whoever is to be equalised.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nas_jax.base import Images, PRNGKey
from nas_jax.data import colours

KINDS = (
    *("identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate"),
    *("brightness", "contrast", "saturation", "sharpness"),
    *("posterise", "solarise", "stretch"),
)
SHEAR, TRANSLATE, ROTATE = 0.3, 10 / 32, jnp.pi / 6
"""Of a pixel per pixel, of a side, in radians; at most, either way."""
COLOUR = 0.9
"""Factors are 1 - this to 1 + this."""
BITS = 4
"""That a colour loses, at most, of eight."""


def change(key: PRNGKey, images: Images) -> Images:
    """Images `[B H W C]` from 0 to 1, changed; black comes in from outside."""
    kinds, strengths, signs = jax.random.split(key, 3)
    count = images.shape[0]
    kind = jax.random.randint(kinds, (count,), 0, len(KINDS))
    strength = jax.random.uniform(strengths, (count,), images.dtype)
    sign = jax.random.rademacher(signs, (count,), images.dtype)

    def amount(name: str, reach: float = 1.0) -> Array:
        """Of this change, `[B]`: from 0 to `reach` for the images that have it."""
        return jnp.where(kind == KINDS.index(name), strength * reach, 0)

    def either(name: str, reach: float) -> Array:
        return sign * amount(name, reach)

    angle = either("rotate", ROTATE)
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    height, width = images.shape[1:3]
    matrix = [[cosine, either("shear_y", SHEAR) + sine]]
    matrix += [[either("shear_x", SHEAR) - sine, cosine]]
    down = either("translate_y", TRANSLATE * height)
    right = either("translate_x", TRANSLATE * width)
    moved = _moved(
        images,
        jnp.stack([jnp.stack(row, 1) for row in matrix], 1),
        jnp.stack([down, right], 1),
    )
    for name, base in (
        ("brightness", jnp.zeros_like),
        ("contrast", colours.mean_grey),
        ("saturation", colours.grey),
        ("sharpness", _soft),
    ):
        factor = _of_images(1 + either(name, COLOUR))
        moved = colours.scaled(moved, base(moved), factor)
        moved = _held(moved)
    lost = _of_images(jnp.exp2(jnp.round(amount("posterise", BITS))))
    fewer = jnp.floor(moved * 255 / lost + 1e-3) * lost / 255
    moved = jnp.where(lost > 1, fewer, moved)
    moved = jnp.where(moved > _of_images(1 - amount("solarise")), 1 - moved, moved)
    moved = _held(moved)
    return jnp.where(_of_images(kind) == KINDS.index("stretch"), _wide(moved), moved)


def _of_images(values: Array) -> Array:
    """A value for each image, `[B]`, beside images `[B H W C]`."""
    return _held(values)[:, None, None, None]


def _held(values: Array | Images) -> Array:
    """Values held in memory: on a CPU XLA computes them again for each that reads them.

    Without, a batch takes twice as long.
    """
    return jax.lax.optimization_barrier(values)


def _moved(
    images: Images, matrix: Float[Array, "B 2 2"], by: Float[Array, "B 2"]
) -> Images:
    """Images whose pixel p is the nearest to M (p - centre) + centre + `by`."""
    count, height, width, channels = images.shape
    rows, columns = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
    places = jnp.stack([rows.ravel(), columns.ravel()]).astype(images.dtype)
    centre = jnp.array([(height - 1) / 2, (width - 1) / 2], images.dtype)[:, None]
    source = matrix @ (places - centre)[None] + (centre[None] + by[:, :, None])
    row, column = jnp.moveaxis(jnp.round(source).astype(jnp.int32), 1, 0)
    is_inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    flat = images.reshape(count, height * width, channels)
    number = jnp.where(is_inside, row * width + column, 0)
    taken = jnp.take_along_axis(flat, number[:, :, None], axis=1)
    return jnp.where(is_inside[:, :, None], taken, 0).reshape(images.shape)


def _soft(images: Images) -> Images:
    """Every pixel the mean of the 3x3 around it, itself counted five times."""
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4 * images) / 13


def _wide(images: Images) -> Images:
    """Each channel stretched to reach from 0 to 1; one of a single value is left."""
    low, high = (f(images, (1, 2), keepdims=True) for f in (jnp.min, jnp.max))
    is_flat = high == low
    wide = (images - low) / jnp.where(is_flat, 1, high - low)
    return jnp.where(is_flat, images, wide)
