"""Augmentation of byte images inside the jitted step.

Crop, mirror image, colours, normalisation, cutout; each a pure function of
(key, images). The order is torchvision's in the reference: colours change before
normalisation, and cutout sets the mean.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp

from nas_jax.base import Images, PRNGKey, stream
from nas_jax.config.data import DataConfig
from nas_jax.data import colours, trivial_augment
from nas_jax.data.batches import Augment, shift

STRONG_JITTER: dict[str, Any] = {
    **{"brightness": 0.4, "contrast": 0.4, "saturation": 0.4},
    "hue": 0.1,
}
"""The reference's "strong" distortion, with which it trains what it found."""


def of(
    config: DataConfig, kind: Literal["data", "strong_jitter", "trivial"] = "data"
) -> Augment:
    """What a training step does to its images.

    Digits come normalised and are only shifted, with the edge repeated. Bytes
    `[B H W C]` become normalised Float32. `kind` is `TrainConfig.augmentation`.
    """
    if kind == "strong_jitter":
        config = dataclasses.replace(config, **STRONG_JITTER)
    if config.name == "digits":
        return functools.partial(shift, pixels=config.shift_pixels)
    return OfBytes(config, kind == "trivial")


def normalise_of(config: DataConfig) -> Callable[[Images], Images]:
    """What an architecture step does to images that come in bytes (`Split.in_bytes`).

    The numbers are those of `Preprocessing.normalised`; digits are normalised already.
    """
    if config.name == "digits":
        return as_they_are
    return functools.partial(normalised, mean=config.mean, std=config.std)


def as_they_are(images: Images) -> Images:
    """Images that need nothing."""
    return images


def normalised(images: Images, mean: Sequence[float], std: Sequence[float]) -> Images:
    """Bytes `[B H W C]` as the network takes them, inside a step."""
    return _standard(jnp.asarray(images, jnp.float32) / 255, mean, std)


def _standard(light: Images, mean: Sequence[float], std: Sequence[float]) -> Images:
    """Images from 0 to 1, less their mean, over their deviation."""
    return (light - _per_channel(mean, light)) / _per_channel(std, light)


@dataclass(frozen=True)
class OfBytes:
    """The augmentation of byte images by the numbers of a configuration."""

    config: DataConfig
    is_trivial: bool = False
    """TrivialAugment in place of the colour jitter."""

    def __call__(self, key: PRNGKey, images: Images) -> Images:
        config = self.config
        # black comes in, as in the usual crop of a padded image
        moved = shift(stream(key, "shift"), images, config.shift_pixels, False)
        if config.flip:
            moved = flip(stream(key, "flip"), moved)
        light: Images = jnp.asarray(moved, jnp.float32) / 255
        if self.is_trivial:
            light = trivial_augment.change(stream(key, "trivial"), light)
        elif config.contrast or config.hue:
            light = colours.full_jitter(stream(key, "jitter"), light, config)
        elif config.brightness or config.saturation:
            light = colours.jitter(
                stream(key, "jitter"), light, config.brightness, config.saturation
            )
        normal = _standard(light, config.mean, config.std)
        return cutout(stream(key, "cutout"), normal, config.cutout_pixels)


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
