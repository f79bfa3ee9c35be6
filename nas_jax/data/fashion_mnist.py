"""Fashion-MNIST: grey pictures of 28 x 28 pixels of things to wear, in ten classes.

Xiao, Rasul, Vollgraf, "Fashion-MNIST", 2017, arXiv 1708.07747. A part of it comes with
the package: of each class 750 of the 6,000 images to train on and 250 of the 1,000 to
test (`tools/fashion_mnist_part.py`).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

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


def write_pictures(folder: str | Path, count: int = 1000) -> list[str]:
    """Example pictures: the first garments of the part, as PNG files.

    They lie in a folder per class, as your own may; the names of these are returned.
    Raises `ValueError` for more than there are.
    """
    garments = load(DataConfig(name="fashion_mnist")).train
    if not 0 < count <= len(garments):
        raise ValueError(f"count: expected 1 to {len(garments)}, got {count}")
    names = [name.replace("/", " or ") for name in garments.label_names]
    for number in range(count):
        item = garments[number]
        place = Path(folder) / names[item.label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(item.image)[..., 0]).save(place / f"{number}.png")
    return sorted(names)
