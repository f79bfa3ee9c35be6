"""Writes the part of Fashion-MNIST that comes with the package.

    python tools/fashion_mnist_part.py /usr/share/datasets/fashion-mnist

The argument is the folder of the four original files, as Debian's package
dataset-fashion-mnist installs them. Of every class, 750 images of the training set and
250 of the test set are drawn by a fixed seed and kept in their order. The same files
come out each time (to the byte with the same zlib).
"""

import gzip
import struct
import sys
from pathlib import Path

import numpy as np

from nas_jax.data import fashion_mnist, idx

SEED = 0
OF_EVERY_CLASS = {"train": 750, "t10k": 250}


def main(whole: Path, out: Path = fashion_mnist.PART) -> None:
    numbers = np.random.default_rng(SEED)
    for split, count in OF_EVERY_CLASS.items():
        labels = idx.read(whole / f"{split}-labels-idx1-ubyte.gz")
        images = idx.read(whole / f"{split}-images-idx3-ubyte.gz")
        drawn = [
            numbers.choice(np.flatnonzero(labels == one), count, replace=False)
            for one in np.unique(labels)
        ]
        kept = np.sort(np.concatenate(drawn))
        write(out / f"{split}-labels-idx1-ubyte.gz", labels[kept])
        write(out / f"{split}-images-idx3-ubyte.gz", images[kept])


def write(path: Path, values: np.ndarray) -> None:
    """Writes an IDX file of bytes, packed without the time."""
    lengths = struct.pack(f">{values.ndim}I", *values.shape)
    content = bytes([0, 0, 8, values.ndim]) + lengths + values.tobytes()
    path.write_bytes(gzip.compress(content, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
