"""Small sets of IDX files in the true format, written here from its description."""

import functools
import gzip
import lzma
import struct
from collections.abc import Callable

import numpy as np

CODES = {"u1": 8, "i1": 9, "i2": 0xB, "i4": 0xC, "f4": 0xD, "f8": 0xE}
PACKS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": functools.partial(gzip.compress, mtime=0),  # the same bytes at any time
    ".xz": lzma.compress,
}


def content(values):
    """The bytes of an IDX file."""
    kind = values.dtype.str[1:]
    head = struct.pack(">HBB", 0, CODES[kind], values.ndim)
    sizes = struct.pack(f">{values.ndim}I", *values.shape)
    return head + sizes + values.astype(f">{kind}").tobytes()


def write(path, values):
    """Writes a file, packed as the end of its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = content(np.asarray(values))
    path.write_bytes(PACKS.get(path.suffix, bytes)(plain))
    return path


def images(count, shape=(28, 28), seed=0):
    """Random bytes, which are no copies of each other."""
    numbers = np.random.default_rng(seed)
    return numbers.integers(0, 256, (count, *shape), np.uint8)


def labels(count, classes=4, first=0):
    return (np.arange(count) % classes + first).astype(np.uint8)


MNIST = {"train": "train-{}-idx{}-ubyte.gz", "test": "t10k-{}-idx{}-ubyte.gz"}


def write_set(folder, names=MNIST, counts=(40, 20), shape=(28, 28), first=0):
    """A set of two splits; `names` have places for what a file holds, and dimensions.

    Returns the images and labels that were written, by split.
    """
    written = {}
    for seed, (split, count) in enumerate(zip(names, counts, strict=False)):
        pair = images(count, shape, seed), labels(count, first=first)
        for kind, values in zip(("images", "labels"), pair, strict=True):
            write(folder / names[split].format(kind, values.ndim), values)
        written[split] = pair
    return written
