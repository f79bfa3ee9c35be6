"""One look at a picture: its bytes, its colours, however it is stored."""

import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from nas_jax.data import folder
from nas_jax.data.source import Arrays, Item, digest
from nas_jax.data.survey import looks_at, sound
from tests.data.drawn_pictures import scene, write_scenes
from tests.data.picture_files import encoded


class Listed:
    """A source of encoded pictures in memory."""

    def __init__(self, *images):
        self.images = images
        self.labels = np.arange(len(images)) % 2
        self.label_names = ("cat", "dog")
        self.names = tuple(f"{number}.png" for number in range(len(images)))

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return Item(self.images[index], int(self.labels[index]), self.names[index])


def looks(*images):
    return looks_at(sound(Listed(*images), "listed", False)[0])


def test_a_look_holds_size_and_digest_of_the_bytes():
    image = encoded(scene(1), "PNG")
    (look,) = looks(image)
    assert look.size == len(image)
    assert look.digest == digest(image)
    assert look.thumbnail.shape == (8, 8, 3) and look.thumbnail.dtype == np.uint8


def turned_by_exif(picture):
    """Stored on its side, with the note that turns it upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(picture.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)


def with_text(picture):
    about = PngImagePlugin.PngInfo()
    about.add_text("Author", "somebody")
    return encoded(picture, "PNG", pnginfo=about)


@pytest.mark.parametrize(
    "stored",
    [
        lambda picture: encoded(picture, "PNG", compress_level=0),
        lambda picture: encoded(picture, "BMP"),
        lambda picture: encoded(picture, "TIFF"),
        lambda picture: encoded(picture, "PPM"),
        lambda picture: encoded(picture, "WEBP", lossless=True),
        lambda picture: encoded(picture, "PNG", "RGBA"),
        with_text,
        turned_by_exif,
    ],
)
def test_the_same_colours_in_another_file_have_the_same_pixels(stored):
    picture = scene(3)
    one, other = looks(encoded(picture, "PNG"), stored(picture))
    assert one.digest != other.digest
    assert one.pixels == other.pixels
    np.testing.assert_array_equal(one.thumbnail, other.thumbnail)


@pytest.mark.parametrize(
    "other",
    [
        scene(4),
        scene(3).resize((79, 80)),
        scene(3).transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        Image.fromarray(np.asarray(scene(3)).reshape(40, 160, 3)),
    ],
)
def test_other_colours_or_another_shape_are_another_picture(other):
    one, two = looks(encoded(scene(3), "PNG"), encoded(other, "PNG"))
    assert one.pixels != two.pixels


@pytest.mark.parametrize("shape", [(5, 32, 32, 3), (5, 28, 28, 1), (5, 5, 9, 3)])
def test_arrays_are_looked_at_as_they_lie_in_memory(shape):
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    images[4] = images[1]
    found = looks_at(Arrays(images, np.zeros(5, np.int32), ("one",)))
    assert [look.size for look in found] == [images[0].size] * 5
    assert found[2].digest == digest(images[2].tobytes())
    assert len({look.pixels for look in found}) == 4
    assert found[1].pixels == found[4].pixels


def test_thumbnails_of_arrays_are_means_of_their_parts():
    image = np.repeat(np.repeat(np.arange(64).reshape(8, 8), 4, 0), 4, 1)
    images = np.broadcast_to(image[None, ..., None], (1, 32, 32, 3)).astype(np.uint8)
    (look,) = looks_at(Arrays(images, np.zeros(1, np.int32), ("one",)))
    assert look.thumbnail[..., 0].tolist() == np.arange(64).reshape(8, 8).tolist()
    picture = encoded(Image.fromarray(images[0]), "PNG")
    np.testing.assert_array_equal(look.thumbnail, looks(picture)[0].thumbnail)


def test_what_is_left_out_has_no_look(tmp_path):
    for name in ("cat", "dog"):
        write_scenes(tmp_path / name, 3, name == "cat")
    (tmp_path / "cat" / "001.png").write_bytes(b"none")
    names = tuple(f"{name}/{n:03}.png" for name in ("cat", "dog") for n in range(3))
    labels = np.repeat(np.arange(2, dtype=np.int32), 3)
    files = folder.Files(tmp_path, names, labels, ("cat", "dog"))
    source, notes = sound(files, "mine", True)
    assert notes[0].startswith("left out: mine: 1 of 6 pictures do not decode: ")
    assert len(source) == len(looks_at(source)) == 5
    assert source.names[:2] == ("cat/000.png", "cat/002.png")
    for index, look in enumerate(looks_at(source)):
        assert look.digest == digest(source[index].image)


def test_a_source_that_is_read_when_needed_has_no_looks():
    assert looks_at(Listed(encoded(scene(1), "PNG"))) is None


def test_flat_and_tiny_pictures_are_looked_at():
    stream = io.BytesIO()
    Image.new("1", (1, 1)).save(stream, "PNG")
    (look,) = looks(stream.getvalue())
    assert not look.thumbnail.any()
