"""Garments, turned: the Fashion-MNIST that the package brings, at half its side.

Each picture is turned by no, one, two or three quarters, and its class is the garment
with its turn, one of 40: of the ten garments alone, small networks know so much that
large ones hardly differ from them. Pictures to train on and to test are put together
and dealt anew, always alike.
"""

import numpy as np

from nas_jax.config.data import DataConfig
from nas_jax.data import fashion_mnist
from nas_jax.data.batches import Batch
from nas_jax.data.source import Arrays

SIDE = 14
TURNS = 4
CLASSES = 10 * TURNS
MEAN, STD = 0.286, 0.353
"""Of pixels from 0 to 1, as in `experiments/fashion_cpu.py`."""


def deal(images: dict[str, int]) -> dict[str, Batch]:
    """Splits of so many images, Float32 `[N 14 14 1]`, Int32 `[N]`; none is in two.

    A pixel is the mean of four. A label is 4 times the garment's and the turn.
    """
    data = fashion_mnist.load(DataConfig(name="fashion_mnist"))
    sources = [one for one in (data.train, data.test) if isinstance(one, Arrays)]
    whole = np.concatenate([one.images for one in sources])
    garments = np.concatenate([one.labels for one in sources]).astype(np.int32)
    pixels = whole.reshape(-1, SIDE, 2, SIDE, 2, 1).mean(axis=(2, 4)) / 255
    normalised = ((pixels - MEAN) / STD).astype(np.float32)
    rng = np.random.default_rng(0)
    turns = rng.integers(TURNS, size=len(garments), dtype=np.int32)
    turned = np.stack(
        [np.rot90(one, turn) for one, turn in zip(normalised, turns, strict=True)]
    )
    labels = garments * TURNS + turns
    parts = np.split(rng.permutation(len(labels)), np.cumsum(list(images.values())))
    return {
        name: Batch(turned[part], labels[part])
        for name, part in zip(images, parts, strict=False)  # the rest is not used
    }
