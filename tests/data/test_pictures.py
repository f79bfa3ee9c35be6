"""One picture: colours, boxes and sizes as the reference has them."""

import struct
import subprocess
import zlib

import numpy as np
import pytest
from PIL import Image

from nas_jax.data import foreign, pictures
from nas_jax.data.source import Item
from tests.data.picture_files import encoded, pixels

SHAPE = (30, 40, 3)


def whole(width, height):
    return 0, 0, width, height


def cut(content, shape=SHAPE, box_of=whole):
    return pictures.cut(Item(content, 0, "a/picture"), shape, box_of)


def test_a_whole_png_of_the_right_size_is_itself():
    image = pixels()
    np.testing.assert_array_equal(cut(encoded(image, "PNG")), image)
    np.testing.assert_array_equal(cut(image), image)  # not encoded at all


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L", "1", "P", "YCbCr", "LAB"])
def test_every_mode_becomes_its_colours(mode):
    form = {"P": "PNG", "1": "PNG", "LAB": "TIFF"}.get(mode, "JPEG")
    picture = Image.fromarray(pixels())
    if mode == "LAB":
        pytest.importorskip("PIL.ImageCms")
        from PIL import ImageCms

        lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        made = ImageCms.profileToProfile(picture, rgb, lab, outputMode="LAB")
        content = encoded(made, form)
    else:
        content = encoded(picture, form, mode)
    expected = pixels().astype(float)
    if mode in ("L", "1"):
        expected = (expected @ [0.299, 0.587, 0.114])[..., None].repeat(3, 2)
    found = cut(content).astype(float)
    # a picture of black and white dots only has its mean in common; a palette is coarse
    limit = {"1": 15, "P": 20}.get(mode, 4)
    assert abs(found.mean((0, 1)) - expected.mean((0, 1))).max() < limit
    if mode != "1":
        assert np.abs(found - expected).mean() < limit


def test_transparent_pixels_lie_on_white():
    image = np.dstack([pixels(), np.full((30, 40), 255, np.uint8)])
    image[:, :20, 3] = 0
    found = cut(encoded(image, "PNG"))
    assert (found[:, :20] == 255).all()
    np.testing.assert_array_equal(found[:, 20:], image[:, 20:, :3])


def test_a_transparent_entry_of_a_palette_lies_on_white():
    palette = Image.new("P", (40, 30), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.paste(0, (0, 0, 20, 30))
    opaque = cut(encoded(palette, "PNG"))
    assert (opaque[:, 20:] == [10, 20, 30]).all()
    found = cut(encoded(palette, "PNG", transparency=1))
    assert (found[:, 20:] == 255).all() and (found[:, :20] == 0).all()


def test_16_bits_of_grey_become_8():
    ramp = np.linspace(0, 65535, 1200).reshape(30, 40).astype(np.uint16)
    found = cut(encoded(ramp, "PNG"), (30, 40, 1))[..., 0]
    assert np.abs(found - ramp / 257.0).max() <= 0.51


def test_one_channel_is_the_grey_of_the_colours():
    image = pixels()
    grey = image @ np.array([0.299, 0.587, 0.114])
    found = cut(encoded(image, "PNG"), (30, 40, 1))
    assert found.shape == (30, 40, 1)
    assert np.abs(found[..., 0] - grey).max() <= 1


BROKEN = {
    "empty": b"",
    "text": b"<html>404</html>",
    "cut off": encoded(pixels())[:-400],
    "png cut off": encoded(pixels(), "PNG")[:-400],
    "head only": encoded(pixels())[:20],
    "damaged": encoded(pixels(), "PNG")[:60] + bytes(900),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_does_not_decode_is_named_with_the_reason_in_one_line(kind):
    assert pictures.failure(Item(BROKEN[kind], 0, "a/picture"))
    with pytest.raises(
        ValueError, match=r"a/picture: expected a picture, got: .+"
    ) as e:
        cut(BROKEN[kind])
    assert "\n" not in str(e.value)
    assert "BytesIO" not in str(e.value)


def test_what_decodes_has_no_failure():
    for mode in ("RGB", "L", "CMYK"):
        assert pictures.failure(Item(encoded(pixels(), "JPEG", mode), 0, "x")) is None


# --- boxes ---------------------------------------------------------------------------


def boxes(width, height, smallest_area=0.08, count=2000):
    numbers = np.random.default_rng(0)
    drawn = [
        pictures.random_box(numbers, width, height, smallest_area) for _ in range(count)
    ]
    return np.array(drawn, float).T


def test_random_boxes_lie_inside_and_have_the_areas_and_aspects_of_the_paper():
    left, upper, right, lower = boxes(500, 375)
    assert (left >= 0).all() and (upper >= 0).all()
    assert (right <= 500).all() and (lower <= 375).all()
    area = (right - left) * (lower - upper) / (500 * 375)
    aspect = (right - left) / (lower - upper)
    assert 0.078 < area.min() < 0.1
    assert 0.9 < area.max() <= 1
    # uniform from .08 on, of which those count that fit
    numbers = np.random.default_rng(1)
    areas = numbers.uniform(0.08, 1, 50_000)
    aspects = np.exp(numbers.uniform(np.log(3 / 4), np.log(4 / 3), 50_000))
    wide = areas * 500 * 375 * aspects <= 500**2
    high = areas * 500 * 375 / aspects <= 375**2
    assert area.mean() == pytest.approx(areas[wide & high].mean(), abs=0.02)
    assert 0.74 < aspect.min() < 0.78
    assert 1.29 < aspect.max() < 1.35
    usual = np.log(aspects[wide & high]).mean()
    assert np.log(aspect).mean() == pytest.approx(usual, abs=0.02)
    # every place is reached
    assert left.min() == upper.min() == 0
    assert (right.max(), lower.max()) == (500, 375)


@pytest.mark.parametrize(("width", "height"), [(1000, 20), (20, 1000), (1, 1)])
def test_a_box_that_never_fits_is_the_largest_in_the_middle(width, height):
    left, upper, right, lower = boxes(width, height, 0.9, 20)
    assert len({*zip(left, upper, right, lower, strict=True)}) == 1
    w, h = right[0] - left[0], lower[0] - upper[0]
    assert (w, h) == {
        (1000, 20): (27, 20),
        (20, 1000): (20, 27),
        (1, 1): (1, 1),
    }[width, height]
    assert abs(left[0] - (width - w) / 2) <= 0.5
    assert abs(upper[0] - (height - h) / 2) <= 0.5


def test_a_large_photograph_is_decoded_small_and_looks_the_same():
    content = encoded(pixels(1200, 1600))
    found = cut(content, (32, 32, 3))
    whole = pictures.decoded(pictures.opened(content), 3)
    exact = whole.resize((32, 32), Image.Resampling.BILINEAR)
    assert np.abs(found.astype(float) - np.asarray(exact)).mean() < 1.5


def test_a_draft_is_never_smaller_than_what_is_wanted():
    """An eighth is 200 x 150."""
    content = encoded(pixels(1200, 1600))
    for least, size in [((200, 150), (200, 150)), ((201, 1), (400, 300))]:
        assert pictures.decoded(pictures.opened(content), 3, least).size == size
    assert pictures.decoded(pictures.opened(content), 3, (801, 1)).size == (1600, 1200)


# --- what would burst or run ---------------------------------------------------------


def png_of(width, height):
    """A file of a few bytes that says it has so many pixels."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(60_000, 60_000), (12_000, 12_000)])
def test_picture_that_would_unpack_to_gigabytes_is_refused(size):
    assert "pixels" in pictures.failure(Item(png_of(*size), 0, "x"))


def test_format_that_runs_a_program_is_not_opened(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("it ran"))
    script = encoded(pixels(), "EPS")
    assert pictures.failure(Item(script, 0, "x.eps")) == foreign.unread("EPS")


# --- contrast that a reader would lose ------------------------------------------------


def alpha(colours, clear):
    return np.dstack([colours, np.where(clear, 0, 255).astype(np.uint8)])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_a_white_drawing_on_a_clear_ground_is_laid_on_black(mode):
    white = np.full((30, 40, 3), 255, np.uint8)
    clear = np.arange(40)[None].repeat(30, 0) < 25
    picture = Image.fromarray(alpha(white, clear))
    content = encoded(picture.quantize(4) if mode == "P" else picture, "PNG")
    if mode == "LA":
        content = encoded(picture.convert("LA"), "PNG")
    found = cut(content)
    assert (found[:, :25] == 0).all() and (found[:, 25:] == 255).all()


def test_a_picture_of_one_colour_stays_what_it_is():
    for colour in (0, 77, 255):
        plain = np.full((30, 40, 3), colour, np.uint8)
        assert (cut(encoded(plain, "PNG")) == colour).all()
        opaque = alpha(plain, np.zeros((30, 40), bool))
        assert (cut(encoded(opaque, "PNG")) == colour).all()


def test_white_that_means_nothing_is_turned_to_what_it_means():
    """A TIFF whose 0 is white, at 16 bits as at 8."""
    ramp = np.linspace(0, 65535, 1200).reshape(30, 40).astype(np.uint16)
    for values, full in [(ramp, 257), (np.uint8(ramp // 257), 1)]:
        content = bytearray(encoded(values, "TIFF"))
        place = content.find(struct.pack("<HHI", 262, 3, 1))
        content[place + 8 : place + 10] = struct.pack("<H", 0)
        found = cut(bytes(content), (30, 40, 1))[..., 0]
        assert np.abs(found - (255 - values / full)).max() <= 0.51


RAMP = np.linspace(0, 1, 1200).reshape(30, 40)


@pytest.mark.parametrize("top", [1, 255, 65535])
def test_floats_of_the_usual_ranges_keep_their_contrast(top):
    content = encoded(Image.fromarray(np.float32(RAMP * top)), "TIFF")
    found = cut(content, (30, 40, 1))[..., 0]
    assert np.abs(found - RAMP * 255).max() <= 0.51


@pytest.mark.parametrize(
    ("image", "form", "said"),
    [
        (np.uint16(RAMP * 4200), "PNG", None),
        (np.uint16(RAMP * 4095), "PNG", "values from 0 to 4095 alone, of 0 to 65535"),
        (np.uint16(RAMP * 255), "TIFF", "values from 0 to 255 alone, of 0 to 65535"),
        (np.uint16(60_000 + RAMP * 300), "JPEG2000", "values from 60000 to 60300 alon"),
        (np.int32(RAMP * 70_000), "TIFF", "values from 0 to 70000 where 0 to 65535"),
        (np.int32(RAMP * 90 - 50), "TIFF", "values from -50 to 40 where 0 to 65535"),
        (np.float32(RAMP - 0.5), "TIFF", "values from -0.5 to 0.5 where 0 to 65535"),
        (np.float32(RAMP * 1e6), "TIFF", "values from 0 to 1e+06 where 0 to 65535"),
        (
            np.where(RAMP < 0.5, np.nan, 1).astype("f4"),
            "TIFF",
            "values from nan to nan",
        ),
        (np.where(RAMP < 0.5, 0, np.inf).astype("f4"), "TIFF", "values from 0 to inf"),
        (
            alpha(pixels(), np.ones((30, 40), bool)),
            "PNG",
            "pixels alone that are all but transparent",
        ),
    ],
)
def test_contrast_that_would_be_lost_is_refused(image, form, said):
    item = Item(encoded(image, form), 0, "x")
    found = pictures.failure(item)
    assert (found is None) if said is None else said in found


def test_colours_in_the_lower_bits_are_refused():
    from tests.data.test_one_reader import deep_png, upright

    item = Item(deep_png(upright() // 17, 1), 0, "x")
    assert pictures.failure(item).startswith("16-bit values from about 0 to 4096 alone")


def test_damaged_notes_of_a_camera_are_passed_over():
    content = encoded(pixels(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert pictures.failure(Item(content, 0, "x")) is None
    assert cut(content).shape == SHAPE


@pytest.mark.parametrize("level", [1, 2, 15])
def test_pixels_that_are_hardly_there_are_refused(level):
    """As a mask of 0 and 1 that was meant to be 0 and 255."""
    thin = np.dstack([pixels(), np.full((30, 40), level, np.uint8)])
    assert "all but transparent" in pictures.failure(Item(encoded(thin, "PNG"), 0, "x"))


def test_a_nearly_white_drawing_on_a_clear_ground_is_laid_on_black():
    white = np.full((30, 40, 3), 253, np.uint8)
    white[0, 0] = (250, 255, 255)
    clear = np.arange(40)[None].repeat(30, 0) < 25
    found = cut(encoded(alpha(white, clear), "PNG"))
    assert found[:, :25].max() == 0 and found[1:, 25:].min() == 253


def test_colours_of_a_narrow_range_of_16_bits_are_refused():
    from tests.data.test_one_reader import deep_png, upright

    narrow = deep_png(117 + upright() // 24, 1)
    assert "would all look the same" in pictures.failure(Item(narrow, 0, "x"))


@pytest.mark.parametrize("top", [4095, 65535])
def test_ppm_of_16_bits_is_judged_by_its_own_maximum(top):
    values = (np.linspace(0, 4095, 3600).reshape(30, 40, 3)).astype(">u2")
    content = f"P6 40 30 {top}\n".encode() + values.tobytes()
    why = pictures.failure(Item(content, 0, "x"))
    assert (why is None) if top == 4095 else "16-bit values from about 0" in why
