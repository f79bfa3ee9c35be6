"""Changes of the colours of images `[B H W C]` from 0 to 1.

Most are one formula: with a picture g of the same size and a factor f,

    x <- g + f (x - g), cut to [0, 1],

changes brightness (g = 0), contrast (the mean grey) and saturation (each pixel's grey).
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array

from nas_jax.base import Images, PRNGKey
from nas_jax.config.data import DataConfig

GREY = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey (ITU-R 601-2), as in Pillow."""


def scaled(images: Images, base: Images, factor: Array) -> Images:
    """Images whose distance from `base` is multiplied."""
    return jnp.clip(base + factor * (images - base), 0, 1)


def grey(images: Images) -> Images:
    """Images `[B H W 1]`; other than three channels are taken as they are."""
    if images.shape[-1] != 3:
        return images
    # channel by channel, as a sum over an axis would be a loop of its own
    red, green, blue = jnp.split(images, 3, axis=-1)
    return GREY[0] * red + GREY[1] * green + GREY[2] * blue


def mean_grey(images: Images) -> Images:
    """The mean grey of every image, `[B 1 1 1]` of three channels or one."""
    return grey(images.mean((1, 2), keepdims=True))


def turned(images: Images, by: Array) -> Images:
    """Images of three channels whose hues are turned by a share of the circle.

    With value V = max, chroma C = max - min and hue H from 0 to 6 (Smith 1978),

        channel n = V - C max(0, min(k, 4 - k, 1)),  k = (n + H + 6 by) mod 6,

    n = 5, 3, 1 for red, green, blue.
    """
    if images.shape[-1] != 3:
        return images
    red, green, blue = jnp.split(images, 3, axis=-1)
    value = images.max(-1, keepdims=True)
    chroma = value - images.min(-1, keepdims=True)
    per = 1 / jnp.where(chroma > 0, chroma, 1)
    hue = jnp.where(value == green, 2 + (blue - red) * per, 4 + (red - green) * per)
    hue = jnp.where(value == red, (green - blue) * per, hue) + 6 * by
    k = jnp.array([5, 3, 1], images.dtype)[None, None, None] + hue
    k = k - 6 * jnp.floor(k / 6)  # as %, which takes ten times as long
    return value - chroma * jnp.clip(jnp.minimum(k, 4 - k), 0, 1)


def jitter(
    key: PRNGKey, images: Images, brightness: float, saturation: float
) -> Images:
    """Colour jitter of images `[B H W C]` from 0 to 1, as torchvision's.

    Saturation changes three channels only.

    Brightness multiplies all values by b; saturation draws every pixel x to its grey g:
    g + s (x - g). b is uniform in 1 -+ brightness, s in 1 -+ saturation, one each per
    image, in random order; values are cut to [0, 1] after each. The reference's
    "normal" distortion is 32 / 255 and 0.5.
    """
    shape = (images.shape[0], 1, 1, 1)
    keys = jax.random.split(key, 3)
    draw = functools.partial(jax.random.uniform, shape=shape, dtype=images.dtype)
    b = draw(keys[0], minval=1 - brightness, maxval=1 + brightness)
    s = draw(keys[1], minval=1 - saturation, maxval=1 + saturation)
    is_bright_first = jax.random.bernoulli(keys[2], shape=shape)
    # one loop over the pixels: brightness before and after, once by a factor of 1
    light: Images = jnp.clip(images * jnp.where(is_bright_first, b, 1), 0, 1)
    if images.shape[-1] == 3:
        light = scaled(light, grey(light), s)
    return jnp.clip(light * jnp.where(is_bright_first, 1, b), 0, 1)


def full_jitter(key: PRNGKey, images: Images, config: DataConfig) -> Images:
    """Jitter of brightness, contrast, saturation and hue, as torchvision's.

    Factors are uniform in 1 -+ the field of their name, the turn of the hue in -+ its
    field, one each per image, in an order drawn for each. Where an image's turn comes,
    all four are computed and one is taken.
    """
    count = images.shape[0]
    drawn = jax.random.uniform(key, (count, 8), images.dtype)
    order = jnp.argsort(drawn[:, 4:], axis=1)

    def part(index: int, reach: float) -> Array:
        return reach * (2 * drawn[:, index, None, None, None] - 1)

    def change(x: Images, which: Array) -> tuple[Images, None]:
        bases = jnp.zeros_like(x), mean_grey(x), grey(x)
        reaches = config.brightness, config.contrast, config.saturation
        pairs = enumerate(zip(bases, reaches, strict=True))
        changed = [scaled(x, base, 1 + part(i, reach)) for i, (base, reach) in pairs]
        changed.append(turned(x, part(3, config.hue)))
        chosen = [which[:, None, None, None] == i for i in range(4)]
        return jnp.select(chosen, changed), None

    return jax.lax.scan(change, images, order.T)[0]
