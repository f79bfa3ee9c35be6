"""Letters and figures in the typefaces that matplotlib ships: as many as are wanted.

No download. Each image is one letter in a random face and size, turned, moved and
covered with noise, so that a small network has something to learn and a large test set
costs nothing. Images are a function of the arguments and, in single grey levels, of
the version of Pillow.
"""

import functools
import string
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nas_jax.config.checks import require
from nas_jax.data.batches import Batch

LETTERS = string.ascii_uppercase
CLASSES = len(LETTERS)
CHARACTERS = LETTERS + string.digits + string.ascii_lowercase
FACES = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique"),
    *("DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic"),
    *("cmr10", "cmb10", "cmss10", "cmtt10", "cmti10"),
)


class Distortion(NamedTuple):
    """How far a letter may be from the upright one in the middle."""

    size: tuple[float, float] = (0.6, 0.95)
    """Size of the type, smallest and largest, in sides of the image."""
    degrees: float = 20.0
    """Turned by up to this angle, either way."""
    shift: float = 0.12
    """Moved by up to this share of the side, in each direction."""
    noise: float = 0.3
    """Standard deviation of the noise; paper is 0, full ink 1."""


USUAL = Distortion()


def draw(
    images: int,
    input_size: int,
    seed: int,
    distortion: Distortion = USUAL,
    characters: str = LETTERS,
) -> Batch:
    """Letters in equal proportion, normalised: Float32 `[N H W 1]`, Int32 `[N]`.

    A label is the place in `characters`. Sets of different seeds are independent draws.

    Raises:
      ValueError: for fewer images than characters or a side below 8.
    """
    classes = len(characters)
    require(images >= classes, "glyphs: images", f"at least {classes}", images)
    require(input_size >= 8, "glyphs: input_size", "at least 8", input_size)
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(images) % classes)
    faces = rng.integers(len(FACES), size=images)
    sizes = rng.uniform(*distortion.size, images) * input_size
    angles = rng.uniform(-distortion.degrees, distortion.degrees, images)
    reach = distortion.shift * input_size
    moves = rng.uniform(-reach, reach, (images, 2))
    ink = np.stack(
        [
            _letter(
                characters[label], FACES[face], round(size), angle, move, input_size
            )
            for label, face, size, angle, move in zip(
                labels, faces, sizes, angles, moves, strict=True
            )
        ]
    )
    noisy = ink + distortion.noise * rng.normal(size=ink.shape)
    normalised = (noisy - noisy.mean()) / noisy.std()
    return Batch(normalised[..., None].astype(np.float32), labels.astype(np.int32))


def _letter(
    letter: str, face: str, size: int, angle: float, move: np.ndarray, side: int
) -> np.ndarray:
    """Ink `[H W]` from 0 to 1 of one letter, its middle moved, then turned about it."""
    image = Image.new("L", (side, side))
    middle = (side / 2 + float(move[0]), side / 2 + float(move[1]))
    ImageDraw.Draw(image).text(
        middle, letter, fill=255, font=_font(face, size), anchor="mm"
    )
    turned = image.rotate(angle, Image.Resampling.BILINEAR, center=middle)
    return np.asarray(turned, np.float32) / 255


@functools.cache
def _font(face: str, size: int) -> ImageFont.FreeTypeFont:
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / f"{face}.ttf"), size)
