"""From picture files to what a network takes."""

import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits

from nas_jax.config import DataConfig
from nas_jax.data import digits, pictures, preprocessing
from nas_jax.data.preprocessing import Preprocessing, from_json, read_images, to_json
from nas_jax.data.source import Item
from tests.data import photographs
from tests.data.picture_files import encoded, pixels
from tests.fixtures import FIXTURES

REFERENCE = FIXTURES / "reference"
RGB = Preprocessing(2, 2, (0.0, 0.5, 0.2), (1.0, 0.5, 0.1))
GREY = Preprocessing(2, 2, (0.25,), (0.5,))


def saved(path, values, **more):
    Image.fromarray(np.array(values, np.uint8)).save(path, **more)
    return path


@pytest.mark.parametrize("path", photographs.FILES, ids=lambda path: path.name)
def test_photographs_are_prepared_as_for_the_reference(path):
    """The stored inputs of the reference implementation, bit for bit."""
    stored = np.load(REFERENCE / "proxyless-w0.3-r176_logits.npz")
    pixels = stored["images"][list(stored["names"]).index(path.name)]
    prepare = preprocessing.imagenet(176)
    found = prepare.pixels(Item(path.read_bytes(), 0, path.name))
    np.testing.assert_array_equal(found, pixels)
    (image,) = read_images([path], prepare)
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    expected = (pixels.astype(np.float32) / 255 - mean) / std
    np.testing.assert_allclose(image, expected, atol=1e-6)
    assert image.dtype == np.float32


def test_colour_by_hand(tmp_path):
    path = saved(tmp_path / "a.png", [[[255, 0, 51]] * 2] * 2)
    expected = [[[[1.0, -1.0, 0.0]] * 2] * 2]
    np.testing.assert_allclose(read_images([path], RGB), expected, atol=1e-6)


def test_middle_is_cut_out_and_short_side_resized(tmp_path):
    wide = saved(tmp_path / "a.png", [[0, 0, 0, 255, 0, 0], [0, 0, 255, 0, 0, 0]])
    found = read_images([wide], GREY)[0, ..., 0]
    np.testing.assert_allclose(found, [[-0.5, 1.5], [1.5, -0.5]])
    tall = saved(tmp_path / "b.png", np.repeat(np.eye(4)[:, :2] * 255, 2, axis=0))
    assert read_images([tall], GREY).shape == (1, 2, 2, 1)
    larger = saved(tmp_path / "c.png", np.full((40, 80), 51))
    np.testing.assert_allclose(read_images([larger], GREY), -0.1, atol=1e-6)


def test_margin_is_left_out(tmp_path):
    """Short side 4, middle 2: the border of one pixel goes."""
    picture = np.zeros((4, 4))
    picture[1:3, 1:3] = 255
    path = saved(tmp_path / "a.png", picture)
    one = Preprocessing(2, 4, (0.25,), (0.5,))
    np.testing.assert_allclose(read_images([path], one), 1.5)


def test_picture_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    path = saved(tmp_path / "a.png", [[0, 255], [0, 255]], exif=exif)
    np.testing.assert_allclose(
        read_images([path], GREY)[0, ..., 0], [[-0.5, -0.5], [1.5, 1.5]], atol=1e-6
    )


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_modes_of_8_bits_are_read(mode, tmp_path):
    suffix = "tiff" if mode == "CMYK" else "png"
    path = tmp_path / f"a.{suffix}"
    Image.new("L", (3, 3), 255).convert(mode).save(path)
    np.testing.assert_allclose(read_images([path], GREY), 1.5)
    assert read_images([path], RGB).shape == (1, 2, 2, 3)


def test_digit_as_a_picture_is_what_the_data_set_has(tmp_path):
    """Up to the rounding to 8 bits, before and after the enlargement."""
    mean, std = digits.statistics(16)
    prepare = Preprocessing(16, 16, (mean,), (std,))
    pixels, labels = load_digits(return_X_y=True)
    splits = digits.load(DataConfig(), 16, 0)
    known = np.concatenate([split.images for split in splits.values()])
    for index in (0, 1, 700):
        values = np.rint(pixels[index].reshape(8, 8) / 16 * 255)
        (found,) = read_images([saved(tmp_path / "d.png", values)], prepare)
        nearest = np.abs(known - found).max((1, 2, 3)).min()
        assert nearest <= 1.01 / 255 / std
    assert len(digits.LABELS) == len(set(labels))


# --- what is refused -----------------------------------------------------------------


def test_every_file_that_is_no_picture_is_named(tmp_path):
    good = saved(tmp_path / "good.png", [[0, 255], [0, 255]])
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    whole = photographs.FILES[0].read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[:5000])
    deep = np.arange(16, dtype=np.uint16).reshape(4, 4)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    names = ["text.jpg", "empty.png", "cut.jpg", "deep.png", "none.png", ""]
    paths = [tmp_path / name for name in names]
    with pytest.raises(ValueError) as caught:
        read_images([good, *paths], GREY)
    errors = str(caught.value).split("; " + str(tmp_path))
    assert len(errors) == len(names)
    assert errors[0] == f"{tmp_path}/text.jpg: expected a picture, got: text"
    assert errors[1] == "/empty.png: expected a picture, got: an empty file"
    assert errors[2].startswith("/cut.jpg: expected a picture, got: ")
    assert errors[3] == (
        "/deep.png: expected a picture, got: values from 0 to 15 alone, of 0 to 65535, "
        "which would all look the same in 8 bits; scale them to the full range"
    )
    assert errors[4] == "/none.png: expected a picture, found no such file"
    assert errors[5].endswith(": expected a picture, got: Is a directory")
    with pytest.raises(ValueError, match="images: expected at least one file, got no"):
        read_images([], GREY)


def test_a_pipe_is_no_picture(tmp_path):
    """Reading one waits for ever."""
    os.mkfifo(tmp_path / "p.jpg")
    with pytest.raises(ValueError, match=r"p\.jpg: expected .*, got: no regular file"):
        preprocessing.read_image(tmp_path / "p.jpg", GREY)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 2, (0.0,), (1.0,)), "1 <= size <= resize, got \\(0, 2\\)"),
        ((3, 2, (0.0,), (1.0,)), "1 <= size <= resize, got \\(3, 2\\)"),
        ((2, 2, (0.0, 0.0), (1.0, 1.0)), "of 1 or 3 channels each, got \\(2, 2\\)"),
        ((2, 2, (0.0,), (1.0,) * 3), "of 1 or 3 channels each, got \\(1, 3\\)"),
        ((2, 2, (0.0,), (0.0,)), "finite means and positive std"),
        ((2, 2, (0.0,), (1e-30,)), "not beyond 1e-06 and 1e\\+06, got"),
        ((2, 2, (float("nan"),), (1.0,)), "finite means and positive std"),
        ((2, 2, (0.0,), (float("inf"),)), "finite means and positive std"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing(*values)


@given(
    size=st.integers(1, 500),
    margin=st.integers(0, 100),
    mean=st.lists(st.floats(-5, 5), min_size=3, max_size=3),
    std=st.lists(st.floats(1e-3, 5), min_size=3, max_size=3),
)
def test_json_is_read_back_unchanged(size, margin, mean, std):
    one = Preprocessing(size, size + margin, tuple(mean), tuple(std))
    assert from_json(to_json(one), "here") == one


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 2.5}, "here: size: expected an integer, got 2.5"),
        ({"size": True}, "here: size: expected an integer, got True"),
        ({"mean": 0.5}, "here: mean: expected a list, got 0.5"),
        ({"mean": [float("nan")]}, "here: mean.0: expected a finite number, got nan"),
        ({"std": ["1"]}, "here: std.0: expected a number, got '1'"),
        ({"std": [-1.0]}, "here: preprocessing: expected finite means and positive"),
        ({"crop": 3}, "here: crop: expected no such key, got 3"),
    ],
)
def test_wrong_json_is_refused(change, message):
    document = json.loads(to_json(GREY)) | change
    with pytest.raises(ValueError, match=message):
        from_json(json.dumps(document), "here")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "3"])
def test_text_that_is_no_preprocessing_is_refused(text):
    with pytest.raises(ValueError, match=r"here.*: expected "):
        from_json(text, "here")


def test_thin_picture_is_refused_before_it_grows(tmp_path):
    """Resized it would have gigabytes."""
    Image.new("L", (60_000, 1)).save(tmp_path / "thin.png")
    with pytest.raises(ValueError, match=r"thin\.png: expected .*, got: 60000 x 1 pix"):
        read_images([tmp_path / "thin.png"], preprocessing.imagenet(224))


# --- geometry ------------------------------------------------------------------------


def test_reference_resizes_and_cuts_out_whole_pixels():
    """Sizes of every kind against the two steps of torchvision, in Pillow."""
    numbers = np.random.default_rng(0)
    prepare = preprocessing.imagenet(24)
    for width, height in [(30, 40), (41, 29), (100, 37), (27, 27), (500, 24), (9, 7)]:
        pixels = numbers.integers(0, 256, (height, width, 3), np.uint8)
        scale = 27 / min(width, height)
        sides = [max(27, int(side * scale)) for side in (width, height)]
        left, upper = (round((side - 24) / 2) for side in sides)
        resized = Image.fromarray(pixels).resize(sides, Image.Resampling.BILINEAR)
        expected = np.asarray(resized.crop((left, upper, left + 24, upper + 24)), int)
        found = prepare.pixels(Item(pixels, 0, "x")).astype(int)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("geometry", "resized"),
    [("centre", (48, 32)), ("square", (42, 28)), ("whole", (28, 28))],
)
def test_geometry_names_the_part_that_is_seen(geometry, resized):
    prepare = preprocessing.of(DataConfig(name="folder", geometry=geometry), 28)
    assert prepare.resized(60, 40) == resized
    assert prepare.resized(28, 28) == (28, 28)
    again = from_json(to_json(prepare), "here")
    assert again == prepare and again.resized(60, 40) == resized


@pytest.mark.parametrize("geometry", ["centre", "square", "whole"])
def test_picture_of_the_size_of_the_network_is_taken_as_it_is(geometry):
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28, 3), np.uint8)
    prepare = preprocessing.of(DataConfig(name="folder", geometry=geometry), 28)
    np.testing.assert_array_equal(prepare.pixels(Item(pixels, 0, "x")), pixels)


def test_large_photograph_keeps_twice_the_pixels_when_it_is_decoded_small():
    content = encoded(pixels(1200, 1600))
    prepare = preprocessing.of(DataConfig(name="folder", geometry="whole"), 64)
    found = prepare.pixels(Item(content, 0, "x")).astype(int)
    whole = pictures.decoded(pictures.opened(content), 3)
    exact = whole.resize((64, 64), Image.Resampling.BILINEAR)
    assert np.abs(found - np.asarray(exact, int)).max() <= 2
