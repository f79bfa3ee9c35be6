"""Images and labels from a NumPy file, to be measured."""

import zipfile
from pathlib import Path

import numpy as np

from nas_jax import memory
from nas_jax.batches import Batch
from nas_jax.checks import LARGEST, reason


def load(file: Path) -> Batch:
    """The arrays `images` `[N H W C]` (or `[N H W]`, grey) and `labels` `[N]`.

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
