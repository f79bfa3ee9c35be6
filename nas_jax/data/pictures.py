"""One picture: decoded to its colours, cut out and brought to size, with Pillow.

Cutting is that of the reference (torchvision's RandomResizedCrop, Resize and
CenterCrop), done by one resampling of the box. A large photograph is decoded at the
half, quarter or eighth of its size where the box allows it.
"""

import io
import math
import warnings
from collections.abc import Callable

import numpy as np
from PIL import Image

from nas_jax.config import checks
from nas_jax.data import foreign
from nas_jax.data.source import Item

CENTRE = 224 / 256
"""Side of the square that is evaluated, in shorter sides of the picture."""
ASPECT = 4 / 3
"""Width over height of random crops is at most this, and at least 1 over this."""
ATTEMPTS = 10
"""Random boxes that are tried before the largest one in the middle is taken."""
FORMATS = (
    *("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "DIB", "TIFF", "JPEG2000"),
    *("PPM", "TGA", "ICO", "PCX", "SGI"),
)
"""What is read. Pillow knows more, among it EPS, for which it runs Ghostscript."""
MOST_PIXELS = 1 << 27
"""Of a picture: beyond, a few kilobytes may unpack to gigabytes."""
_MODES = {1: "L", 3: "RGB"}
Box = tuple[float, float, float, float]
"""Left, upper, right, lower, in pixels."""


def cut(
    item: Item, shape: tuple[int, ...], box_of: Callable[[int, int], Box]
) -> np.ndarray:
    """Uint8 `[H W C]` of the part of a picture that `box_of(width, height)` names.

    Transparent pixels lie on white, CMYK becomes RGB, 16 bits of grey become 8, colours
    become grey for C = 1. The orientation that a camera noted is not followed, as in
    the reference.

    Raises:
      ValueError: if the picture does not decode, with its name and the reason.
    """
    height, width, channels = shape
    try:
        picture = _opened(item.image)
        box = drafted(picture, box_of(*picture.size), width, height)
        coloured = _coloured(picture, _MODES[channels])
        small = coloured.resize((width, height), Image.Resampling.BILINEAR, box)
    except Exception as error:  # Pillow raises many kinds, from OSError to SyntaxError
        raise ValueError(
            f"{item.name}: expected a picture that decodes, got {reason(error)}; "
            "remove it, or leave such pictures out with --data.skip-corrupt"
        ) from error
    return np.asarray(small).reshape(shape)


def drafted(picture: Image.Image, box: Box, width: int, height: int) -> Box:
    """The box in `picture` once that decodes at a smaller size, if this is enough."""
    whole = picture.size
    reduction = min((box[2] - box[0]) / width, (box[3] - box[1]) / height)
    if reduction >= 2:
        size = math.ceil(whole[0] / reduction), math.ceil(whole[1] / reduction)
        picture.draft(picture.mode, size)
    x, y = picture.size[0] / whole[0], picture.size[1] / whole[1]
    # rounding may reach a hair over the border, which Pillow refuses
    right, lower = min(box[2] * x, picture.size[0]), min(box[3] * y, picture.size[1])
    return box[0] * x, box[1] * y, right, lower


def failure(item: Item) -> str | None:
    """Why a picture does not decode; None if it does."""
    try:
        _coloured(_opened(item.image), "RGB")
    except Exception as error:
        return reason(error)
    return None


def reason(error: Exception) -> str:
    """What Pillow complains of, without the object that it could not read."""
    is_unknown = isinstance(error, Image.UnidentifiedImageError)
    return "no known format" if is_unknown else checks.reason(error)


def opened(image: bytes) -> Image.Image:
    """A file of one of `FORMATS`, not yet decoded; Pillow's errors otherwise."""
    with warnings.catch_warnings():
        # oddly tagged: what matters is whether it decodes
        warnings.simplefilter("ignore")
        Image.init()
        known = [name for name in FORMATS if name in Image.OPEN]
        try:
            picture = Image.open(io.BytesIO(image), formats=known)
        except Image.UnidentifiedImageError as error:
            raise ValueError(foreign.kind_of(image) or "no known format") from error
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise ValueError(f"{width} x {height} pixels, more than {MOST_PIXELS:,}")
    return picture


def _opened(image: bytes | np.ndarray) -> Image.Image:
    if isinstance(image, np.ndarray):
        return Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
    if not image:
        raise ValueError("an empty file")
    return opened(image)


def _coloured(picture: Image.Image, mode: str) -> Image.Image:
    """The decoded picture as "L" or "RGB"."""
    if picture.mode == mode:
        picture.load()
        return picture
    if picture.mode.startswith(("I", "F")):  # Pillow's own conversion cuts at 255
        values = np.asarray(picture, np.float64)
        top = 65535 if picture.mode.startswith("I") else 1.0
        picture = Image.fromarray(np.uint8(np.clip(values / top, 0, 1) * 255 + 0.5))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert(mode)


def centre_box(width: int, height: int) -> Box:
    """The square in the middle that the reference evaluates."""
    side = CENTRE * min(width, height)
    left, upper = (width - side) / 2, (height - side) / 2
    return left, upper, left + side, upper + side


def random_box(
    numbers: np.random.Generator, width: int, height: int, smallest_area: float
) -> Box:
    """A box of a random area, aspect and place.

    The area is uniform between `smallest_area` and 1 of the picture's, so is the
    logarithm of the aspect within `ASPECT`. If no attempt fits, the largest box
    of an allowed aspect in the middle.
    """
    for _ in range(ATTEMPTS):
        area = width * height * numbers.uniform(smallest_area, 1)
        aspect = math.exp(numbers.uniform(-math.log(ASPECT), math.log(ASPECT)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left = int(numbers.integers(width - w + 1))
            upper = int(numbers.integers(height - h + 1))
            return left, upper, left + w, upper + h
    aspect = min(max(width / height, 1 / ASPECT), ASPECT)
    w, h = min(width, round(height * aspect)), min(height, round(width / aspect))
    left, upper = (width - w) // 2, (height - h) // 2
    return left, upper, left + w, upper + h
