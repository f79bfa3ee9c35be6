"""One picture: the one reader, from bytes to upright 8-bit colours, and cuts of it.

Training, evaluation, prediction and calibration all read by `decoded`. What
becomes of a file is decided by its bytes, by these rules:

    orientation    followed, as the camera noted it (EXIF, XMP, TIFF)
    animation      the first picture
    depth          16 bits of 0 to 65,535; floats of 0 to 1, 255 or 65,535; 1 bit as two
    transparency   laid on white; on black where white would hide all of it
    palette, CMYK, YCbCr, Lab   made RGB; colour profiles are not applied
    one channel    grey of ITU-R 601-2, as in Pillow

A picture whose contrast would be lost on the way is refused. Cutting is that of the
reference (torchvision's RandomResizedCrop, Resize and CenterCrop), done by one
resampling of the box. A large photograph is decoded at the half, quarter or eighth of
its size where the box allows it.
"""

import contextlib
import io
import math
import re
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from nas_jax.config import checks
from nas_jax.data import foreign
from nas_jax.data.source import Item

ASPECT = 4 / 3
"""Width over height of random crops is at most this, and at least 1 over this."""
ATTEMPTS = 10
"""Random boxes that are tried before the largest one in the middle is taken."""
FORMATS = (
    *("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "DIB", "TIFF", "JPEG2000"),
    *("PPM", "TGA", "ICO", "PCX", "SGI"),
)
"""What is read. Pillow knows more, among it EPS, for which it runs Ghostscript."""
DRAFTED = ("JPEG", "MPO")
"""Formats that decode at a smaller size faster; MPO is a JPEG with more behind it."""
MOST_PIXELS = 1 << 27
"""Of a picture: beyond, a few kilobytes may unpack to gigabytes."""
MOST_ASPECT = 100
"""Of a picture: its longer side over the shorter; beyond, resized it would be huge."""
LEAST_CONTRAST = 16
"""Levels of 255 that a picture of more than 8 bits has to span, unless it has none."""
_MODES = {1: "L", 3: "RGB"}
_ORIENTATION = 0x0112  # tag of EXIF and TIFF
_PHOTOMETRIC = 262  # tag of TIFF, 0 where white is 0
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets a picture upright, by the orientation that is noted."""
_LYING = (5, 6, 7, 8)
"""Orientations of pictures whose height is stored as width."""
Box = tuple[float, float, float, float]
"""Left, upper, right, lower, in pixels of the upright picture."""
Shape = tuple[int, ...]
"""Height, width, channels."""


def cut(item: Item, shape: Shape, box_of: Callable[[int, int], Box]) -> np.ndarray:
    """Uint8 `[H W C]` of the part of a picture that `box_of(width, height)` names.

    Raises `ValueError` as `named`.
    """
    height, width, channels = shape
    with named(item):
        picture = opened(item.image)
        size = upright_size(picture)
        box = box_of(*size)
        share = width / (box[2] - box[0]), height / (box[3] - box[1])
        whole = decoded(picture, channels, (share[0] * size[0], share[1] * size[1]))
        x, y = whole.size[0] / size[0], whole.size[1] / size[1]
        # rounding may reach a hair over the border, which Pillow refuses
        right, lower = min(box[2] * x, whole.size[0]), min(box[3] * y, whole.size[1])
        scaled = box[0] * x, box[1] * y, right, lower
        small = whole.resize((width, height), Image.Resampling.BILINEAR, scaled)
    return np.asarray(small).reshape(shape)


@contextlib.contextmanager
def named(item: Item) -> Iterator[None]:
    """One `ValueError` with the item's name in place of whatever Pillow raises."""
    try:
        yield
    except Exception as error:  # many kinds, from OSError to SyntaxError
        raise ValueError(
            f"{item.name}: expected a picture, got: {reason(error)}"
        ) from error


def failure(item: Item) -> str | None:
    """Why a picture does not decode; None if it does."""
    try:
        decoded(opened(item.image), 3)
    except Exception as error:
        return reason(error)
    return None


def reason(error: Exception) -> str:
    """What Pillow complains of, without the object that it could not read."""
    is_unknown = isinstance(error, Image.UnidentifiedImageError)
    if re.search("truncated|broken data stream|unexpected end", str(error), re.I):
        return "the file breaks off; copy it again"
    if "decoder object" in str(error):  # of a WebP
        return "the file is damaged; copy it again"
    return "no known format" if is_unknown else checks.reason(error)


def opened(image: bytes | np.ndarray) -> Image.Image:
    """A picture: a file of one of `FORMATS`, a JPEG not yet decoded; or an array.

    Raises what Pillow does, and `ValueError`, for what is none.
    """
    if isinstance(image, np.ndarray):
        return Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
    if not image:
        raise ValueError("an empty file")
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
    if max(width, height) > MOST_ASPECT * min(width, height):
        raise ValueError(
            f"{width} x {height} pixels, one side more than {MOST_ASPECT} times the "
            "other"
        )
    if picture.format not in DRAFTED:
        is_halved = _is_halved(picture)
        picture.load()
        if is_halved:
            _require_upper_bits(picture)
    return picture


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """Width and height of an opened picture once it is upright."""
    width, height = picture.size
    is_lying = _orientation(picture) in _LYING
    return (height, width) if is_lying else (width, height)


def decoded(
    picture: Image.Image, channels: int, least: tuple[float, float] = (math.inf,) * 2
) -> Image.Image:
    """An opened picture, upright: "L" for one channel, "RGB" for three.

    A JPEG is decoded at a half, a quarter or an eighth of its size as long as width and
    height stay at `least` these.
    """
    size = upright_size(picture)
    share = max(least[0] / size[0], least[1] / size[1])
    if share <= 0.5:
        width, height = (math.ceil(share * side) for side in picture.size)
        picture.draft(picture.mode, (width, height))
    picture.load()
    orientation, mode = _orientation(picture), _MODES[channels]
    if picture.mode.startswith(("I", "F")):
        picture = _eight_bits(picture)
    if picture.has_transparency_data:
        picture = _opaque(picture)
    if picture.mode not in (mode, "1", "L"):  # not every mode becomes grey at once
        picture = picture.convert("RGB")
    if picture.mode != mode:
        picture = picture.convert(mode)
    if orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[orientation])
    return picture


def _orientation(picture: Image.Image) -> int:
    """What the camera noted, 1 for nothing that can be read."""
    if picture.format in DRAFTED and not {"exif", "xmp"} & {*picture.info}:
        return 1  # to look for it takes a twentieth of the decoding
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged notes raise many kinds; viewers pass over them
        return 1


def _eight_bits(picture: Image.Image) -> Image.Image:
    """A grey picture of more bits, its full range scaled to 0 to 255."""
    with np.errstate(invalid="ignore"):  # numbers that are none are refused below
        values = np.asarray(picture, np.float64)
    low, high = values.min(), values.max()
    tops = (1, 255, 65535) if picture.mode == "F" else (65535,)
    top = next((top for top in tops if high <= top), None)
    if top is None or not low >= 0:  # a NaN neither
        raise ValueError(
            f"values from {low:g} to {high:g} where 0 to {tops[-1]} are read; scale "
            "them"
        )
    if 0 < high - low < LEAST_CONTRAST / 255 * top:
        raise ValueError(
            f"values from {low:g} to {high:g} alone, of 0 to {top}, which would all "
            "look the same in 8 bits; scale them to the full range"
        )
    if getattr(picture, "tag_v2", {}).get(_PHOTOMETRIC) == 0:
        values = top - values
    return Image.fromarray(np.uint8(values / top * 255 + 0.5))


def _is_halved(picture: Image.Image) -> bool:
    """Whether Pillow keeps the upper 8 of 16 bits, as it does of several channels."""
    if picture.mode.startswith("I"):
        return False
    tiles = str(getattr(picture, "tile", ""))
    deep = re.search(r"codec_name='ppm'.* (\d+)\)", tiles)
    return ";16" in tiles or "SGI16" in tiles or bool(deep and int(deep[1]) > 255)


def _require_upper_bits(picture: Image.Image) -> None:
    """Raises `ValueError` if the lower bits, which are lost, held the picture."""
    bands = [np.asarray(band) for band in picture.split()]
    colours = bands[: 3 if len(bands) > 2 else 1]
    low = min(int(band.min()) for band in colours)
    high = max(int(band.max()) for band in colours)
    alpha = int(bands[-1].max()) if picture.mode in ("LA", "RGBA") else 255
    if alpha <= LEAST_CONTRAST:
        raise ValueError(
            "16-bit transparency that is hardly opaque anywhere; scale it to the full "
            "range"
        )
    if high <= LEAST_CONTRAST or 0 < high - low <= LEAST_CONTRAST:
        raise ValueError(
            f"16-bit values from about {low * 256} to {(high + 1) * 256} alone, of 0 "
            "to 65535, which would all look the same in 8 bits; scale them to the full "
            "range"
        )


def _opaque(picture: Image.Image) -> Image.Image:
    """The picture on white, or on black if on white there is less to see."""
    clear = picture.convert("RGBA")
    if np.asarray(clear)[..., 3].max() < LEAST_CONTRAST:
        raise ValueError("pixels alone that are all but transparent")
    white, black = (
        Image.alpha_composite(Image.new("RGBA", clear.size, ground), clear)
        for ground in ("white", "black")
    )
    seen = _span(white)
    return black if seen < LEAST_CONTRAST and seen < _span(black) else white


def _span(picture: Image.Image) -> int:
    """Levels between the darkest and the brightest value of a colour."""
    return int(np.ptp(np.asarray(picture)[..., :3], axis=(0, 1)).max())


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
