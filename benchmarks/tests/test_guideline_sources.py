"""Pictures of the sources: read as they come, refused in one line."""

import gzip
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from benchmarks.guidelines import sources
from benchmarks.guidelines.sources import Places
from tests.data.picture_files import encoded


def read(source, **places):
    return sources.read.__wrapped__(source, Places(**places))


def test_the_pictures_that_come_with_the_package():
    scans = read("digits")
    assert scans.images.shape == (1797, 8, 8, 1) and scans.images.max() == 255
    fashion = read("fashion_mnist")
    assert fashion.images.shape == (10_000, 28, 28, 1)
    assert np.bincount(fashion.labels).tolist() == [1000] * 10


def written_mnist(tmp_path, rows):
    file = tmp_path / "mnist.csv.gz"
    text = "\n".join(",".join(map(str, row)) for row in rows)
    file.write_bytes(gzip.compress(text.encode()))
    return file


def test_mnist_is_grey_levels_and_a_label(tmp_path):
    rows = [[*range(28), *[0] * 756, 7], [255] * 784 + [3]]
    found = read("mnist", mnist=written_mnist(tmp_path, rows))
    assert found.labels.tolist() == [7, 3]
    assert found.images[0, 0, :, 0].tolist() == list(range(28))
    assert (found.images[0, 1:] == 0).all() and (found.images[1] == 255).all()


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([[0] * 64], "of 0 to 255, got 64 columns"),
        ([[256] * 785], "expected lines of 784 grey levels and a label"),
        ([["x"] * 785], "expected lines of 784 grey levels and a label"),
        ([[0] * 785, [0] * 784], "expected lines of 784 grey levels and a label"),
    ],
)
def test_another_table_is_refused(tmp_path, rows, line):
    with pytest.raises(ValueError, match=line) as found:
        read("mnist", mnist=written_mnist(tmp_path, rows))
    assert "\n" not in str(found.value)


def test_what_is_not_given_or_not_there_is_named(tmp_path):
    for source in ("mnist", "silhouettes", "emoji"):
        with pytest.raises(ValueError, match=f"expected --{source}, .*, got none"):
            read(source)
        with pytest.raises(ValueError, match=f"--{source}, .*, found none at"):
            read(source, **{source: tmp_path / "nowhere"})


class Dangerous:
    """A pickle that would write a file if it were executed."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def written_silhouettes(folder, images, labels):
    for what, value in (("data", images), ("label", labels)):
        file = folder / f"animal_{what}_version_3.gz"
        file.write_bytes(gzip.compress(pickle.dumps(value, protocol=4)))
    return folder


def test_silhouettes_are_the_bytes_of_two_pickled_arrays(tmp_path):
    images = np.random.default_rng(0).integers(256, size=(5, 28, 28), dtype=np.uint8)
    folder = written_silhouettes(tmp_path, images, np.array([3, 1, 0, 9, 2]))
    found = read("silhouettes", silhouettes=folder)
    np.testing.assert_array_equal(found.images[..., 0], images)
    assert found.labels.tolist() == [3, 1, 0, 9, 2]


def test_a_pickle_is_not_executed(tmp_path):
    target = tmp_path / "written"
    folder = written_silhouettes(tmp_path, Dangerous(target), np.arange(5))
    with pytest.raises(
        ValueError, match=r"animal_data_version_3\.gz: expected a pickle"
    ):
        read("silhouettes", silhouettes=folder)
    assert not target.exists()


def test_silhouettes_of_another_size_are_refused(tmp_path):
    images = np.zeros((5, 32, 32), np.uint8)
    folder = written_silhouettes(tmp_path, images, np.arange(5))
    line = "expected 784 bytes of a picture for each label of 8, got 5120 and 40"
    with pytest.raises(ValueError, match=line):
        read("silhouettes", silhouettes=folder)


def written_emoji(folder, listed, styles=("twitter", "google")):
    (folder / "emoji.json").write_text(json.dumps(listed))
    for style in styles:
        place = folder / "img" / style / "64"
        place.mkdir(parents=True)
        for number, one in enumerate(listed):
            colours = np.full((64, 64, 3), 40 * number + len(style), np.uint8)
            (place / one["image"]).write_bytes(encoded(colours, "PNG"))
    return folder


def test_styles_of_one_emoji_are_a_group_of_its_category(tmp_path):
    listed = [
        {"category": "Food", "image": "b.png"},
        {"category": "Animals", "image": "a.png"},
    ]
    found = read("emoji", emoji=written_emoji(tmp_path, listed))
    assert found.images.shape == (4, 64, 64, 3)
    assert found.labels.tolist() == [0, 0, 1, 1]
    assert found.groups.tolist() == [0, 0, 1, 1]
    assert found.images[:, 0, 0, 0].tolist() == [47, 46, 7, 6]


def test_emoji_without_pictures_or_another_list_are_refused(tmp_path):
    listed = [{"category": "Food", "image": "b.png"}]
    folder = written_emoji(tmp_path, listed, styles=())
    with pytest.raises(ValueError, match="expected pictures in img/twitter/64"):
        read("emoji", emoji=folder)
    (folder / "emoji.json").write_text('[{"name": "b"}]')
    with pytest.raises(ValueError, match=r"emoji\.json: expected a list of emoji"):
        read("emoji", emoji=folder)


def test_images_are_resized_alike_whatever_their_channels():
    grey = np.random.default_rng(0).integers(256, size=(3, 8, 8, 1), dtype=np.uint8)
    small = sources.resized(grey, 4)
    assert small.shape == (3, 4, 4, 1)
    coloured = sources.resized(np.repeat(grey, 3, axis=3), 4)
    np.testing.assert_array_equal(coloured, np.repeat(small, 3, axis=3))
    assert sources.resized(grey, 8) is grey


def test_of_equal_images_the_first_is_kept():
    images = np.array([5, 3, 5, 4, 3], np.uint8).reshape(5, 1, 1, 1)
    found = sources.distinct(sources.Pool(images, np.arange(5), np.arange(5)))
    assert found.labels.tolist() == found.groups.tolist() == [0, 1, 3]
    assert found.images.ravel().tolist() == [5, 3, 4]
