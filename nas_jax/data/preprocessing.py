"""From a picture to what a network takes: read, cut, brought to size, normalised.

Evaluation, prediction, exports and calibration all go through `Preprocessing`, so that
a network is asked with the pixels that it was judged by.
"""

import dataclasses
import json
import math
from collections.abc import Sequence
from glob import has_magic
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from nas_jax.config import files, on_disk
from nas_jax.config.checks import reason, require
from nas_jax.config.data import DataConfig
from nas_jax.config.from_json import Strict
from nas_jax.config.from_json import from_json as typed
from nas_jax.data import pictures
from nas_jax.data.source import Item

CENTRE = 224 / 256
"""Side of the square that the reference evaluates, in shorter sides of the picture."""
LEAST = 1e-6
"""Of a deviation: beyond, float32 has no numbers for what is divided by it."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the photographs that most weights are trained on."""


@dataclasses.dataclass(frozen=True)
class Preprocessing(Strict):
    """How pictures become the input of a network; sides in pixels.

    `mean` and `std` have one number per channel, one for grey, three for red, green,
    blue. Raises `ValueError` for numbers that do not fit.
    """

    size: int
    """Of the network's square input."""
    resize: int | None
    """Length of the shorter side when the square in the middle is cut out; None for
    the whole picture, stretched to the square. A picture that has the network's size
    is taken as it is."""
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        require(
            1 <= self.size <= (self.size if self.resize is None else self.resize),
            "preprocessing",
            "1 <= size <= resize",
            (self.size, self.resize),
        )
        channels = len(self.mean), len(self.std)
        require(
            len(self.mean) in (1, 3) and len(self.mean) == len(self.std),
            "preprocessing",
            "mean and std of 1 or 3 channels each",
            channels,
        )
        require(
            all(map(math.isfinite, (*self.mean, *self.std)))
            and min(self.std) >= LEAST
            and max(map(abs, (*self.mean, *self.std))) <= 1 / LEAST,
            "preprocessing",
            f"finite means and positive std, not beyond {LEAST:g} and {1 / LEAST:g}",
            (self.mean, self.std),
        )

    def __call__(self, item: Item) -> Float[np.ndarray, "H W C"]:
        """The network's input, float32. Raises `ValueError` as `pictures.cut`."""
        return self.normalised(self.pixels(item))

    def pixels(self, item: Item) -> np.ndarray:
        """Uint8 `[H W C]` of the network's size, before they are normalised.

        As torchvision's Resize and CenterCrop. A large JPEG is decoded at a part of its
        size, twice as large as it is resized to.
        """
        channels = len(self.mean)
        with pictures.named(item):
            picture = pictures.opened(item.image)
            width, height = self.resized(*pictures.upright_size(picture))
            whole = pictures.decoded(picture, channels, (2 * width, 2 * height))
            resized = whole.resize((width, height), Image.Resampling.BILINEAR)
        left, upper = (round((side - self.size) / 2) for side in (width, height))
        square = resized.crop((left, upper, left + self.size, upper + self.size))
        return np.asarray(square).reshape(self.size, self.size, channels)

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Width and height to which a picture is resized before the square is cut.

        >>> imagenet(224).resized(512, 640)
        (256, 320)
        """
        if self.resize is None or (width, height) == (self.size, self.size):
            return self.size, self.size
        scale = self.resize / min(width, height)
        sides = (max(self.resize, int(side * scale)) for side in (width, height))
        return next(sides), next(sides)

    def normalised(self, pixels: np.ndarray) -> Float[np.ndarray, "... C"]:
        """(value / 255 - mean) / std of bytes `[... C]`, float32."""
        mean, std = (np.asarray(one, np.float32) for one in (self.mean, self.std))
        return pixels * (1 / (255 * std)) - mean / std


def of(config: DataConfig, size: int) -> Preprocessing:
    """What evaluation does to the pictures of a data set."""
    resize = {"centre": round(size / CENTRE), "square": size, "whole": None}
    return Preprocessing(size, resize[config.geometry], config.mean, config.std)


def imagenet(size: int) -> Preprocessing:
    """As the reference evaluates on ImageNet: short side size / 0.875, its statistics.

    >>> imagenet(224).resize
    256
    """
    return Preprocessing(size, int(size / CENTRE), IMAGENET_MEAN, IMAGENET_STD)


def numbers(statistics: Sequence[float]) -> str:
    """Means or deviations as text.

    >>> numbers(IMAGENET_MEAN)
    '0.485, 0.456, 0.406'
    """
    return ", ".join(f"{value:.3f}" for value in statistics)


def to_json(preprocessing: Preprocessing) -> str:
    """Written as a flat object; `from_json` reads it back unchanged."""
    return json.dumps(dataclasses.asdict(preprocessing)) + "\n"


def from_json(text: str, origin: str) -> Preprocessing:
    """Reads what `to_json` wrote; `origin` names the file in errors."""
    return typed(Preprocessing, files.parse(text, origin), f"{origin}: ")


def read_image(
    path: str | Path, preprocessing: Preprocessing
) -> Float[np.ndarray, "H W C"]:
    """An image file as the network takes it; `ValueError` naming what is none."""
    place = Path(path)
    if not place.exists():
        hint = on_disk.meant_beside(place, on_disk.A_PICTURE)
        what = "file of this pattern" if has_magic(str(path)) else "such file"
        raise ValueError(f"{path}: expected a picture, found no {what}{hint}")
    if not (place.is_file() or place.is_dir()):
        raise ValueError(f"{path}: expected a picture, got: no regular file")
    try:
        content = place.read_bytes()
        return preprocessing(Item(content, 0, str(path)))
    except OSError as error:
        why = error.strerror or reason(error)
        raise ValueError(f"{path}: expected a picture, got: {why}") from error


def read_images(
    paths: Sequence[str | Path], preprocessing: Preprocessing
) -> Float[np.ndarray, "N H W C"]:
    """Image files as the network takes them; `ValueError` naming each that is none."""
    images, wrong = [], []
    for path in paths:
        try:
            images.append(read_image(path, preprocessing))
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise ValueError("; ".join(wrong))
    if not images:
        raise ValueError("images: expected at least one file, got none")
    return np.stack(images)
