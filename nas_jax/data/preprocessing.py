"""From a picture to what a network takes: read, resized, cut out, normalised.

As the reference evaluates (bilinear, centre crop): the short side is resized to
`resize`, a square of `size` is cut out of the middle, and values from 0 to 1 become
(value - mean) / std per channel.
"""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageOps

from nas_jax.config import files
from nas_jax.config.checks import require
from nas_jax.config.from_json import Strict
from nas_jax.config.from_json import from_json as typed
from nas_jax.data import pictures

# 8 bits per channel; others would be cut off at 255 without a word
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
_PIL_MODE = {1: "L", 3: "RGB"}
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class Preprocessing(Strict):
    """How pictures become the input of a network; sides in pixels.

    `mean` and `std` have one number per channel, one for grey, three for red, green,
    blue. Raises `ValueError` for numbers that do not fit.
    """

    size: int
    resize: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        require(
            1 <= self.size <= self.resize,
            "preprocessing",
            "1 <= size <= resize",
            (self.size, self.resize),
        )
        channels = len(self.mean), len(self.std)
        require(
            len(self.mean) in _PIL_MODE and len(self.mean) == len(self.std),
            "preprocessing",
            "mean and std of 1 or 3 channels each",
            channels,
        )
        require(
            all(map(math.isfinite, (*self.mean, *self.std))) and min(self.std) > 0,
            "preprocessing",
            "finite means and positive std",
            (self.mean, self.std),
        )

    def __call__(self, image: Image.Image) -> Float[np.ndarray, "H W C"]:
        """The network's input, float32; the picture is a colour or a grey one."""
        image = image.convert(_PIL_MODE[len(self.mean)])
        scale = self.resize / min(image.size)
        sides = [max(self.resize, int(side * scale)) for side in image.size]
        if sides[0] * sides[1] > pictures.MOST_PIXELS:
            raise ValueError(
                f"expected a picture of at most {pictures.MOST_PIXELS:,} pixels when "
                f"its short side has {self.resize}, got {sides[0]} x {sides[1]}"
            )
        image = image.resize((sides[0], sides[1]), Image.Resampling.BILINEAR)
        left, top = (round((side - self.size) / 2) for side in sides)
        image = image.crop((left, top, left + self.size, top + self.size))
        values = np.asarray(image, np.float32).reshape(self.size, self.size, -1) / 255
        mean, std = (np.array(one, np.float32) for one in (self.mean, self.std))
        return (values - mean) / std


def imagenet(size: int) -> Preprocessing:
    """As the reference evaluates on ImageNet: short side size / 0.875, its statistics.

    >>> imagenet(224).resize
    256
    """
    return Preprocessing(size, int(size / 0.875), _IMAGENET_MEAN, _IMAGENET_STD)


def to_json(preprocessing: Preprocessing) -> str:
    """Written as a flat object; `from_json` reads it back unchanged."""
    return json.dumps(dataclasses.asdict(preprocessing)) + "\n"


def from_json(text: str, origin: str) -> Preprocessing:
    """Reads what `to_json` wrote; `origin` names the file in errors."""
    return typed(Preprocessing, files.parse(text, origin), f"{origin}: ")


def read_images(
    paths: Sequence[str | Path], preprocessing: Preprocessing
) -> Float[np.ndarray, "N H W C"]:
    """Image files as the network takes them, turned upright as their EXIF says.

    Raises `ValueError` naming every file that is not an image of 8 bits per channel.
    """
    images, wrong = [], []
    for path in paths:
        try:
            images.append(preprocessing(_open(path)))
        except ValueError as error:
            wrong.append(f"{path}: {error}")
    if wrong:
        raise ValueError("; ".join(wrong))
    if not images:
        raise ValueError("images: expected at least one file, got none")
    return np.stack(images)


def _open(path: str | Path) -> Image.Image:
    try:
        with pictures.opened(Path(path).read_bytes()) as image:
            image.load()
            mode, upright = image.mode, ImageOps.exif_transpose(image)
    except Exception as error:  # Pillow raises many kinds, without strerror
        reason = getattr(error, "strerror", None) or pictures.reason(error)
        raise ValueError(f"expected an image, got: {reason}") from error
    if mode not in _MODES:
        raise ValueError(
            f"expected an image of 8 bits per channel, got mode {mode}; save it as such"
        )
    return upright
