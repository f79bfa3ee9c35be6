"""Fashion-MNIST: grey pictures of 28 x 28 pixels of things to wear, in ten classes.

Xiao, Rasul, Vollgraf, "Fashion-MNIST", 2017, arXiv 1708.07747. A part of it comes with
the package: of each class 750 of the 6,000 images to train on and 250 of the 1,000 to
test (`tools/fashion_mnist_part.py`).
"""

from dataclasses import replace
from pathlib import Path

from nas_jax.config.data import DataConfig
from nas_jax.data import idx_sets
from nas_jax.data.source import DataSet

PART = Path(__file__).parent / "shipped" / "fashion_mnist"


def load(config: DataConfig) -> DataSet:
    """The IDX files of the whole set at `config.path`; at None, the part.

    Raises `ValueError` as `idx_sets.load`.
    """
    path = str(PART) if config.path is None else config.path
    return idx_sets.load(replace(config, path=path), PART / "labels.txt")
