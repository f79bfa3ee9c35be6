"""Augmentation of byte images inside the jitted step.

Crop, mirror image, colour jitter, normalisation, cutout; each a pure function of
(key, images). The order is torchvision's in the reference: colours change before
normalisation, and cutout sets the mean.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from nas_jax.base import Images, PRNGKey, stream
from nas_jax.config.data import DataConfig
from nas_jax.data.batches import Augment, shift

GREY = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey (ITU-R 601-2), as in Pillow."""


def of(config: DataConfig) -> Augment:
    """What a training step does to its images.

    Digits come normalised and are only shifted, with the edge repeated. Bytes
    `[B H W C]` become normalised Float32.
    """
    if config.name == "digits":
        return functools.partial(shift, pixels=config.shift_pixels)

    def augment(key: PRNGKey, images: Images) -> Images:
        # black comes in, as in the usual crop of a padded image
        moved = shift(stream(key, "shift"), images, config.shift_pixels, False)
        if config.flip:
            moved = flip(stream(key, "flip"), moved)
        light: Images = jnp.asarray(moved, jnp.float32) / 255
        if config.brightness or config.saturation:
            light = jitter(
                stream(key, "jitter"), light, config.brightness, config.saturation
            )
        mean, std = (_per_channel(one, light) for one in (config.mean, config.std))
        normal = (light - mean) / std
        return cutout(stream(key, "cutout"), normal, config.cutout_pixels)

    return augment


def _per_channel(values: Sequence[float], images: Images) -> Images:
    return jnp.asarray(values, images.dtype)[None, None, None]


def flip(key: PRNGKey, images: Images) -> Images:
    """Every image `[B H W C]` as it is, or mirrored left to right, one half each."""
    is_mirrored = jax.random.bernoulli(key, shape=(images.shape[0], 1, 1, 1))
    return jnp.where(is_mirrored, images[:, :, ::-1], images)


def cutout(key: PRNGKey, images: Images, side: int) -> Images:
    """Sets a square of every image to 0, the mean of normalised images.

    Its centre is drawn anywhere in the image, so it may reach over the border
    (DeVries & Taylor 2017, arXiv 1708.04552).
    """
    if side == 0:
        return images
    batch, height, width, _ = images.shape
    rows, columns = jax.random.split(key)

    def inside(key: PRNGKey, length: int) -> jax.Array:
        start = jax.random.randint(key, (batch, 1), 0, length) - side // 2
        place = jnp.arange(length, dtype=start.dtype)[None]
        return (place >= start) & (place < start + side)

    hidden = inside(rows, height)[:, :, None] & inside(columns, width)[:, None, :]
    return jnp.where(hidden[..., None], 0, images)


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
    # one loop over the pixels: brightness before and after, once by a factor of 1;
    # grey channel by channel, as a sum over an axis would be a loop of its own
    light = jnp.clip(images * jnp.where(is_bright_first, b, 1), 0, 1)
    if images.shape[-1] == 3:
        red, green, blue = jnp.split(light, 3, axis=-1)
        grey = GREY[0] * red + GREY[1] * green + GREY[2] * blue
        light = jnp.clip(grey + s * (light - grey), 0, 1)
    return jnp.clip(light * jnp.where(is_bright_first, 1, b), 0, 1)
