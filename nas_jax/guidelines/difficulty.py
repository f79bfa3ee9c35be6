"""Descriptors measured from images, in seconds: sizes, and two difficulties.

How well a linear model and a tiny fixed network do. Both are ridge regressions onto the
classes, judged by leave-one-out, which has a closed form:
y_i - f_{-i}(x_i) = (y_i - f(x_i)) / (1 - h_i), with h the diagonal of the hat matrix
X (X'X + r I)^-1 X' (Allen 1974, PRESS). So no image is held out, and a set of 20 images
a class can be measured as well as one of 2,000.
"""

import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from nas_jax.config.checks import LARGEST, reason, require
from nas_jax.data.batches import Batch
from nas_jax.guidelines.records import Descriptors
from nas_jax.training import memory

IMAGES = 2000
"""Images measured at most: the first ones, in the order given."""
_SIDE = 12
_FILTERS = 32
_CELLS = 4
_RIDGE = 0.1


def measure(data: Batch) -> Descriptors:
    """Descriptors of a training set, labels from 0; of the images the first suffice.

    Raises:
      ValueError: for fewer than two classes, or for images that are not square.
    """
    images, labels = np.asarray(data.images), np.asarray(data.labels)
    counts = np.bincount(labels)
    require(
        len(counts) >= 2 and bool(counts.min()),
        "labels",
        "every class from 0 up, at least two",
        sorted(set(labels.tolist()))[:5],
    )
    height, width, channels = images.shape[1:]
    require(height == width, "images", "square ones", f"{height}x{width}")
    some, known = images[:IMAGES], labels[:IMAGES]
    return Descriptors(
        input_size=height,
        channels=channels,
        classes=len(counts),
        images_per_class=round(len(labels) / len(counts), 2),
        balance=round(float(counts.min() / counts.max()), 4),
        linear_accuracy=round(left_out_accuracy(_linear(some), known), 4),
        tiny_accuracy=round(left_out_accuracy(_tiny(some), known), 4),
    )


def left_out_accuracy(
    features: Float[np.ndarray, "N D"], labels: Int[np.ndarray, "N"]
) -> float:
    """Leave-one-out accuracy of a ridge regression onto one column per class.

    Features are standardised and a constant is added; the ridge is 0.1 N.
    """
    x = features - features.mean(0)
    x = x / np.maximum(x.std(0), 1e-6)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    y = 2.0 * (labels[:, None] == np.arange(labels.max() + 1)) - 1
    # the smaller of the two equal forms of the hat matrix
    if x.shape[1] <= len(x):
        gram = x.T @ x + _RIDGE * len(x) * np.eye(x.shape[1])
        hat = x @ np.linalg.solve(gram, x.T)
    else:
        kernel = x @ x.T
        hat = np.linalg.solve(kernel + _RIDGE * len(x) * np.eye(len(x)), kernel)
    residual = (y - hat @ y) / (1 - np.diag(hat))[:, None]
    return float(np.mean(np.argmax(y - residual, axis=1) == labels))


def _linear(images: Float[np.ndarray, "N H W C"]) -> Float[np.ndarray, "N D"]:
    """Pixels, averaged down to at most 12x12."""
    return _pooled(images, min(_SIDE, images.shape[1])).reshape(len(images), -1)


def _tiny(images: Float[np.ndarray, "N H W C"]) -> Float[np.ndarray, "N D"]:
    """One convolution of 32 fixed random 5x5 filters, rectified, pooled to 4x4."""
    small = _pooled(images, min(2 * _SIDE, images.shape[1]))
    patches = np.lib.stride_tricks.sliding_window_view(
        np.pad(small, [(0, 0), (2, 2), (2, 2), (0, 0)]), (5, 5), axis=(1, 2)
    )
    filters = np.random.default_rng(0).normal(size=(*patches.shape[3:], _FILTERS))
    found = np.tensordot(patches, filters / 5, axes=3)
    return _pooled(np.maximum(found, 0), _CELLS).reshape(len(images), -1)


def _pooled(images: Float[np.ndarray, "N H W C"], side: int) -> np.ndarray:
    """Means over a grid of side x side cells, as even as whole pixels allow."""
    for axis in (1, 2):
        edges = np.linspace(0, images.shape[axis], side + 1).round().astype(int)
        sums = np.add.reduceat(images, edges[:-1], axis=axis)
        sizes = np.diff(edges).reshape([-1 if a == axis else 1 for a in range(4)])
        images = sums / sizes
    return images


def load(file: Path) -> Batch:
    """A NumPy file with `images` `[N H W C]` (or `[N H W]`, grey) and `labels` `[N]`.

    Raises:
      ValueError: if the file or its arrays are something else.
    """
    try:
        _require_room(file)
        with np.load(file, allow_pickle=False) as arrays:
            images, labels = arrays["images"], arrays["labels"]
    except Exception as error:  # a damaged archive raises many kinds
        raise ValueError(
            f"{file}: expected an .npz file with images and labels ({reason(error)})"
        ) from error
    if not all(isinstance(one, np.ndarray) for one in (images, labels)):
        raise ValueError(f"{file}: expected arrays images and labels, got other bytes")
    if images.ndim == 3:
        images = images[..., None]
    if (
        images.ndim != 4
        or labels.shape != images.shape[:1]
        or not np.issubdtype(labels.dtype, np.integer)
        or not len(labels)
        or labels.min() < 0
        or labels.max() >= LARGEST
        or images.dtype.kind not in "biuf"
        or not images.size
        or not (np.abs(images.astype(np.float32)) < np.inf).all()
    ):
        raise ValueError(
            f"{file}: expected finite images [N H W C] and labels [N], integers from "
            f"0; got {images.shape} and {labels.dtype} {labels.shape}"
        )
    return Batch(images.astype(np.float32), labels.astype(np.int32))


def _require_room(file: Path) -> None:
    """Refuses what unpacks to more than the memory holds, as float32 beside bytes."""
    with zipfile.ZipFile(file) as archive:
        needed = 5 * sum(one.file_size for one in archive.infolist())
    memory.require_fit(
        {"its arrays": needed},
        {"its arrays": "the number of images"},
        memory.host_bytes(),
    )
