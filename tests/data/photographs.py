"""The two photographs that scikit-learn brings along, and windows cut from them."""

from pathlib import Path

import numpy as np
import sklearn
from PIL import Image

FILES = tuple(
    Path(sklearn.__file__).parent / "datasets" / "images" / name
    for name in ("china.jpg", "flower.jpg")
)


def windows(folder, count, seed=0):
    """Files of `count` windows of real pixels, 224 to 400 wide, PNG."""
    rng = np.random.default_rng(seed)
    pictures = [Image.open(path).convert("RGB") for path in FILES]
    paths = []
    for index in range(count):
        picture = pictures[index % len(pictures)]
        side = int(rng.integers(224, 400))
        left, top = (int(rng.integers(0, one - side)) for one in picture.size)
        paths.append(folder / f"window_{index}.png")
        picture.crop((left, top, left + side, top + side)).save(paths[-1])
    return paths
