"""scikit-learn's bundled handwritten digits: 1,797 real scans of 8x8 pixels.

No download. Origin: UCI "Optical Recognition of Handwritten Digits" (Alpaydin, Kaynak).
Images are up-sampled bilinearly by a whole factor and normalised to mean 0, variance 1
(statistics of the whole set: two numbers, no labels).
"""

import numpy as np
from sklearn.datasets import load_digits

from nas_jax.config.data import DataConfig
from nas_jax.data import partition
from nas_jax.data.batches import Batch
from nas_jax.data.partition import SPLITS

LABELS = tuple("0123456789")
_FULL_INK = 16.0


def load(config: DataConfig, input_size: int, seed: int) -> dict[str, Batch]:
    """The four splits, disjoint, stratified by class, drawn once by `seed`.

    Args:
      config: how many images each split takes.
      input_size: side of the images, a multiple of 8.
      seed: of the split.

    Raises:
      ValueError: if the splits ask for more images than there are, or for fewer than
        one per class, or if `input_size` does not fit.
    """
    images, labels = _all(input_size)
    asked = {split: getattr(config, split) for split in SPLITS}
    sizes = partition.resolved(asked, len(labels), "digits")
    chosen = partition.four(labels, sizes, seed, "digits")
    images = _normalise(images)
    return {
        split: Batch(images[indices], labels[indices].astype(np.int32))
        for split, indices in chosen.items()
    }


def statistics(input_size: int) -> tuple[float, float]:
    """Mean and standard deviation of the images, no ink being 0 and full ink 1.

    Raises `ValueError` if `input_size` does not fit.
    """
    images, _ = _all(input_size)
    return float(images.mean()) / _FULL_INK, float(images.std()) / _FULL_INK


def _all(input_size: int) -> tuple[np.ndarray, np.ndarray]:
    """All images `[N H W]`, from 0 to full ink, and their labels."""
    if input_size % 8 or input_size < 8:
        raise ValueError(
            f"digits: expected space.input_size to be a multiple of 8, got {input_size}"
        )
    pixels, labels = load_digits(return_X_y=True)
    return _enlarge(pixels.reshape(-1, 8, 8), input_size // 8), labels


def _enlarge(images: np.ndarray, factor: int) -> np.ndarray:
    """Bilinear up-sampling of `[N h w]` by a factor, pixel centres aligned."""
    for axis in (1, 2):
        side = images.shape[axis]
        position = (np.arange(side * factor) + 0.5) / factor - 0.5
        below = np.clip(np.floor(position).astype(int), 0, side - 1)
        above = np.clip(below + 1, 0, side - 1)
        share = np.clip(position - below, 0, 1)
        share = share.reshape([-1 if a == axis else 1 for a in range(3)])
        images = (
            images.take(below, axis) * (1 - share) + images.take(above, axis) * share
        )
    return images


def _normalise(images: np.ndarray) -> np.ndarray:
    """To mean 0 and variance 1 over the whole set, Float32 `[N H W 1]`."""
    return ((images - images.mean()) / images.std()).astype(np.float32)[..., None]
