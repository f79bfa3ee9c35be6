"""Formats x modes x orientations: training and `predict` read the same array."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from nas_jax.config.data import DataConfig
from nas_jax.data import pictures, preprocessing, splits
from nas_jax.data.preprocessing import from_json, read_image, to_json
from nas_jax.data.source import Item

SIDE = 24
FORMATS = {
    "JPEG": ("RGB", "L", "CMYK", "YCbCr"),
    "PNG": ("1", "L", "LA", "P", "P clear", "RGB", "RGBA", "RGB clear", "I;16", "deep"),
    "GIF": ("1", "L", "P", "P clear", "RGB", "moving"),
    "WEBP": ("RGB", "RGBA", "L", "moving"),
    "AVIF": ("RGB", "RGBA", "L"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "DIB": ("1", "L", "P", "RGB", "RGBA"),
    "TIFF": (
        *("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"),
        *("I;16", "I", "F", "moving"),
    ),
    "JPEG2000": ("L", "LA", "RGB", "RGBA", "YCbCr", "I;16"),
    "PPM": ("1", "L", "RGB", "I"),
    "TGA": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "ICO": ("RGB", "RGBA", "L"),
    "PCX": ("1", "L", "P", "RGB"),
    "SGI": ("L", "RGB", "RGBA"),
}
TURNED = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF")
"""Formats that note an orientation."""
LOSSLESS = ("PNG", "BMP", "DIB", "TIFF", "PPM", "TGA", "ICO", "PCX", "SGI", "JPEG2000")
EXACT = ("RGB", "RGBA", "RGB clear", "moving", "deep")
GREY = ("L", "LA", "I;16", "I", "F", "1")
STORED = dict(zip(range(1, 9), (1, 2, 3, 4, 5, 8, 7, 6), strict=True))
"""The turn that makes what is stored of what is upright, by orientation."""


def upright():
    """An array of which no turn is like another; black and white, red, blue."""
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[:8, :16] = 255
    image[8:, 16:] = (200, 30, 30)
    image[16:, :8] = (20, 40, 220)
    return image


def made(mode, image):
    """A picture of a mode that shows the image."""
    picture = Image.fromarray(image)
    grey = np.asarray(picture.convert("L"))
    if mode in ("RGB clear", "P clear"):  # one colour counts as transparent
        return picture.quantize(8) if mode == "P clear" else picture
    if mode == "LAB":
        lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(picture, rgb, lab, outputMode="LAB")
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 257)
    if mode == "I":
        return Image.fromarray(grey.astype(np.int32) * 257)
    if mode == "F":
        return Image.fromarray(grey.astype(np.float32) / 255)
    if mode == "P":
        return picture.quantize(8)
    return picture if mode == "moving" else picture.convert(mode)


def deep_png(image, orientation):
    """16 bits of each colour, which Pillow does not write."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + (row * 257).tobytes() for row in image.astype(">u2"))
    head = struct.pack(">IIBBBBB", *image.shape[1::-1], 16, 2, 0, 0, 0)
    notes = exif(orientation).tobytes().removeprefix(b"Exif\0\0")
    parts = ((b"IHDR", head), (b"eXIf", notes), (b"IDAT", zlib.compress(rows)))
    chunks = b"".join(chunk(*part) for part in (*parts, (b"IEND", b"")))
    return b"\x89PNG\r\n\x1a\n" + chunks


def exif(orientation):
    notes = Image.Exif()
    notes[0x0112] = orientation
    return notes


def encoded(form, mode, orientation, shade=None):
    """A file of the picture, to be turned as its notes say; all bright, or dark."""
    image = upright()
    if shade:
        image = image // 4 + (190 if shade == "bright" else 0)
    turned = Image.fromarray(image)
    if orientation > 1:
        turned = turned.transpose(pictures._UPRIGHT[STORED[orientation]])
    image = np.asarray(turned)
    if mode == "deep":
        return deep_png(image, orientation)
    options = {"quality": 95} if form in ("JPEG", "AVIF") else {}
    if form == "WEBP":
        options["lossless"] = True
    if form == "ICO":
        options["sizes"] = [(SIDE, SIDE)]
    if mode == "RGB clear":
        options["transparency"] = (1, 2, 3)
    if mode == "P clear":
        black = tuple(np.argwhere((image == 0).all(-1))[0])
        options["transparency"] = int(np.asarray(made(mode, image))[black])
    if mode == "moving":
        frames = [Image.fromarray(255 - image)]
        options |= {"save_all": True, "append_images": frames}
    if orientation > 1:
        notes = {"tiffinfo": {0x0112: orientation}, "exif": exif(orientation)}
        options["tiffinfo" if form == "TIFF" else "exif"] = notes[
            "tiffinfo" if form == "TIFF" else "exif"
        ]
    stream = io.BytesIO()
    made(mode, image).save(stream, form, **options)
    return stream.getvalue()


def file_of(number, form):
    """TGA and DIB do not say what they are: their names do."""
    return f"{number:04d}.{form.lower()}" if form in ("TGA", "DIB") else f"{number:04d}"


def cases():
    for form, modes in FORMATS.items():
        for mode in modes:
            for orientation in range(1, 9) if form in TURNED else (1,):
                yield form, mode, orientation


CASES = list(cases())


def expected(form, mode):
    """What the picture shows, and how near a reader comes, on average."""
    image = upright().astype(int)
    if mode in GREY:
        grey = np.asarray(Image.fromarray(upright()).convert("L"))
        image = grey[..., None].repeat(3, 2).astype(int)
    is_exact = form in LOSSLESS and mode in (*EXACT, *GREY) and mode != "1"
    if mode == "1":  # dots
        return image, 60
    return image, 0.5 if is_exact else 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("matrix")
    for place in range(2):
        (root / f"class{place}").mkdir()
    for number, case in enumerate(CASES):
        (root / f"class{number % 2}" / file_of(number, case[0])).write_bytes(
            encoded(*case)
        )
    return root


@pytest.fixture(scope="module")
def evaluated(folder):
    """Of every file, what evaluation has of it before the network, by its name."""
    found = {}
    each = len(CASES) // 4
    sizes = {"train_weights": len(CASES) - 3 * each, "train_alphas": each}
    config = DataConfig(name="folder", path=str(folder), **sizes, valid=each, test=each)
    for split in splits.load(config, (SIDE, SIDE, 3), 2, 0).splits.values():
        images = split.evaluated().take(np.arange(len(split.labels))).images
        names = [split.source.names[index] for index in split.indices]
        found |= dict(zip(names, images, strict=True))
    return config, found


def test_the_matrix_is_as_large_as_promised():
    assert len(FORMATS) >= 12
    assert len({mode for modes in FORMATS.values() for mode in modes}) >= 8
    assert len(CASES) > 250


def test_predict_reads_what_evaluation_read(folder, evaluated):
    config, found = evaluated
    shipped = from_json(to_json(preprocessing.of(config, SIDE)), "shipped")
    assert len(found) == len(CASES)
    for name, image in found.items():
        np.testing.assert_array_equal(read_image(folder / name, shipped), image, name)


@pytest.mark.parametrize(("form", "modes"), FORMATS.items(), ids=FORMATS.keys())
def test_every_file_shows_the_picture_upright(form, modes):
    prepare = preprocessing.Preprocessing(SIDE, SIDE, (0.0,) * 3, (1.0,) * 3)
    for case in CASES:
        if case[0] != form:
            continue
        image, limit = expected(*case[:2])
        found = prepare.pixels(Item(encoded(*case), 0, "x")).astype(int)
        if case[1] == "P clear":  # the black ground is transparent, so white
            image = np.where((image == 0).all(-1, keepdims=True), 255, image)
        assert np.abs(found - image).mean() <= limit, case
        cut = pictures.cut(
            Item(encoded(*case), 0, "x"), (SIDE, SIDE, 3), lambda w, h: (0, 0, w, h)
        )
        np.testing.assert_array_equal(cut, found)


def test_pictures_of_a_phone_a_designer_and_a_microscope(tmp_path):
    """Turned, clear, clear by palette, 16 bits: what training has, `predict` has."""
    scene = Image.fromarray(upright()).resize((200, 160))
    scene.save(tmp_path / "turned.jpg", exif=exif(6))
    clear = np.array(scene.convert("RGBA"))
    clear[:50] = clear[125:] = 0
    Image.fromarray(clear).save(tmp_path / "clear.png")
    Image.fromarray(clear).quantize(16).save(tmp_path / "clear_palette.png")
    grey = np.asarray(scene.convert("L"), np.uint16)
    Image.fromarray(grey * 257).save(tmp_path / "grey16.png")
    config = DataConfig(name="folder")
    shipped = from_json(to_json(preprocessing.of(config, 64)), "shipped")
    for path in tmp_path.iterdir():
        trained = preprocessing.of(config, 64)(Item(path.read_bytes(), 0, "x"))
        np.testing.assert_array_equal(read_image(path, shipped), trained)
    turned = shipped.pixels(Item((tmp_path / "turned.jpg").read_bytes(), 0, "x"))
    by_hand = scene.transpose(Image.Transpose.ROTATE_270)
    expected = shipped.pixels(Item(np.asarray(by_hand), 0, "x"))
    assert np.abs(turned.astype(int) - expected).mean() < 4
    deep = shipped.pixels(Item((tmp_path / "grey16.png").read_bytes(), 0, "x"))
    np.testing.assert_array_equal(
        deep, shipped.pixels(Item(np.uint8(grey)[..., None].repeat(3, 2), 0, "x"))
    )
