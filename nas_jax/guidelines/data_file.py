"""Images and labels from a NumPy file, to be measured."""

from pathlib import Path

import numpy as np

from nas_jax.batches import Batch


def load(file: Path) -> Batch:
    """The arrays `images` `[N H W C]` (or `[N H W]`, grey) and `labels` `[N]`.

    Raises:
      ValueError: if the file or its arrays are something else.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            images, labels = arrays["images"], arrays["labels"]
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"{file}: expected an .npz file with images and labels ({error})"
        ) from error
    if images.ndim == 3:
        images = images[..., None]
    if (
        images.ndim != 4
        or labels.shape != images.shape[:1]
        or not np.issubdtype(labels.dtype, np.integer)
        or not len(labels)
        or labels.min() < 0
        or not np.isfinite(images).all()
    ):
        raise ValueError(
            f"{file}: expected finite images [N H W C] and labels [N], integers from "
            f"0; got {images.shape} and {labels.dtype} {labels.shape}"
        )
    return Batch(images.astype(np.float32), labels.astype(np.int32))
