"""Small pictures in true formats."""

import io

import numpy as np
from PIL import Image


def pixels(height=30, width=40, seed=0):
    """Smooth colours, Uint8 [H W 3]: survive JPEG nearly unchanged."""
    coarse = np.random.default_rng(seed).integers(40, 216, (3, 4, 3), np.uint8)
    size = (width, height)
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


def encoded(image, form="JPEG", mode=None, **options):
    """The bytes of a file; `image` is an array or a Pillow image."""
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    stream = io.BytesIO()
    options = {"quality": 95} | options if form == "JPEG" else options
    (picture.convert(mode) if mode else picture).save(stream, form, **options)
    return stream.getvalue()


def write_class(folder, count, seed=0, **options):
    """`count` JPEGs of various sizes; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        path = folder / f"{number:03d}.jpg"
        size = (30 + 7 * (number % 3), 40 + 5 * (number % 4))
        path.write_bytes(encoded(pixels(*size, seed=seed + number), **options))
        paths.append(path)
    return paths
