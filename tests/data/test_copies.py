"""Copies are found under any name, told, and never trained on and tested with."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from nas_jax.config.data import DataConfig
from nas_jax.data import copies, folder, splits
from nas_jax.data.source import Arrays, DataSet
from tests.data.drawn_pictures import scene, write_scenes, write_two

SIZES = {"train_weights": None, "train_alphas": 10, "valid": 4, "test": 8}


def config(root, **changes):
    return DataConfig(name="folder", path=str(root), **SIZES | changes)


def load(root, seed=0, **changes):
    """Names of the pictures of every split, their splits and what is said of copies."""
    found = splits.load(config(root, **changes), (32, 32, 3), 2, seed)
    names = {
        name: {split.source.names[number] for number in split.indices}
        for name, split in found.splits.items()
    }
    return names, found.splits, found.notes[1:]  # the classes are counted first


def test_different_pictures_have_nothing_to_tell(tmp_path):
    write_two(tmp_path)
    names, _, notes = load(tmp_path)
    assert notes == ()
    assert sum(map(len, names.values())) == 48


# --- one set --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_copies_of_one_set_are_in_one_split(tmp_path, seed):
    write_two(tmp_path)
    flat = tmp_path / "flat"
    shutil.copy(flat / "000.png", flat / "again.png")
    shutil.copy(flat / "000.png", flat / "copy (2).png")
    Image.open(flat / "005.png").save(flat / "saved.bmp")
    Image.open(flat / "006.png").save(flat / "rgba.webp", lossless=True)
    names, _, notes = load(tmp_path, seed)
    for copied in (
        {"flat/000.png", "flat/again.png", "flat/copy (2).png"},
        {"flat/005.png", "flat/saved.bmp"},
        {"flat/006.png", "flat/rgba.webp"},
    ):
        assert [len(copied & its) for its in names.values()].count(0) == 3
    assert notes[0] == (
        "4 of 52 pictures are copies of others (flat/again.png = flat/000.png, "
        "flat/copy (2).png = flat/000.png, flat/rgba.webp = flat/006.png, "
        "flat/saved.bmp = flat/005.png): kept in one split"
    )


def test_one_picture_under_two_labels_is_told_and_in_one_split(tmp_path):
    write_two(tmp_path)
    shutil.copy(tmp_path / "flat/003.png", tmp_path / "tall/x.png")
    names, _, notes = load(tmp_path)
    copied = {"flat/003.png", "tall/x.png"}
    assert [len(copied & its) for its in names.values()].count(2) == 1
    assert notes == (
        "1 picture carries more than one label (flat/003.png = tall/x.png)",
        "1 of 49 pictures is a copy of others (tall/x.png = flat/003.png): kept in one "
        "split",
    )


def test_a_split_that_changes_its_size_for_copies_says_so(tmp_path):
    for name in ("flat", "tall"):
        for number, path in enumerate(write_scenes(tmp_path / name, 8, name == "flat")):
            for again in range(2):
                shutil.copy(path, path.with_name(f"{number}_{again}.png"))
    names, _, notes = load(tmp_path)
    assert len(names["valid"]) == 6  # a picture of each class, three times
    assert "data.valid = 4 became 6: copies stay together" in notes


def test_a_class_that_is_one_picture_is_refused(tmp_path):
    write_two(tmp_path)
    for path in (tmp_path / "tall").iterdir():
        shutil.copy(tmp_path / "tall/000.png", path) if path.name != "000.png" else None
    with pytest.raises(ValueError) as error:
        load(tmp_path)
    line = str(error.value)
    assert (
        "class 'tall': expected at least 4 images that are neither copies nor of one "
        "group" in line
    )
    assert "got 1 (24 with these); add images or leave the class out" in line
    assert line.count("\n") == 0


# --- a test or valid set of its own ---------------------------------------------------


def test_training_pictures_that_are_tested_are_left_out(tmp_path):
    write_two(tmp_path / "train")
    write_two(tmp_path / "test", 8, start=500)
    for number in range(500, 503):
        copy = tmp_path / "train/flat" / f"z{number}.png"
        shutil.copy(tmp_path / f"test/flat/{number}.png", copy)
    names, found, notes = load(tmp_path, test=None)
    learned = names["train_weights"] | names["train_alphas"] | names["valid"]
    assert not [name for name in learned if name.startswith("train/flat/z")]
    assert len(learned) == 48 and len(names["test"]) == 16
    assert notes == (
        "3 of 51 training pictures are copies of test pictures (train/flat/z500.png = "
        "test/flat/500.png, train/flat/z501.png = test/flat/501.png, "
        "train/flat/z502.png = test/flat/502.png): left out of training",
    )
    pixels = {name: [] for name in found}
    for name, split in found.items():
        for number in split.indices:
            image = split.source[int(number)].image
            pixels[name].append(Image.open(io.BytesIO(image)).tobytes())
    assert not set(pixels["test"]) & set(pixels["train_weights"])


def test_a_test_that_is_a_copy_of_the_training_is_refused(tmp_path):
    """Case 27: 44 of 48 test pictures had been trained on."""
    write_two(tmp_path / "train")
    shutil.copytree(tmp_path / "train", tmp_path / "test")
    shutil.copy(tmp_path / "train/flat/000.png", tmp_path / "train/tall/x.png")
    with pytest.raises(ValueError) as error:
        load(tmp_path)
    line = str(error.value)
    assert line.startswith(
        "folder: expected training pictures of class 'flat' that no other set has, got "
        "none (1 picture carries more than one label"
    )
    assert "49 of 49 training pictures are copies of test pictures" in line
    assert line.endswith("keep each picture in one of the sets") and "\n" not in line


def test_a_test_that_asks_for_too_much_is_not_blamed_on_copies(tmp_path):
    write_two(tmp_path / "train")
    write_two(tmp_path / "test", 8)
    with pytest.raises(ValueError, match=r"the set has 16; lower data.\*$"):
        load(tmp_path, test=80)


def test_too_few_pictures_without_the_copies_are_told_with_them(tmp_path):
    write_two(tmp_path / "train", 10)
    write_two(tmp_path / "test", 6)
    with pytest.raises(
        ValueError, match=r"none: the other splits ask for 14 of 8; .* "
    ):
        load(tmp_path)


def apart(train, valid, test):
    """Arrays of scenes of these numbers, labels in turn."""

    def of(numbers):
        images = np.stack([np.asarray(scene(number)) for number in numbers])
        labels = (np.asarray(numbers) % 2).astype(np.int32)
        return Arrays(images, labels, ("even", "odd"))

    return DataSet(of(train), of(test), valid=of(valid))


def test_valid_pictures_that_are_tested_are_left_out_of_valid():
    data = apart([*range(40), 50, 61], [*range(50, 60), 60, 61], range(60, 70))
    given = DataConfig(name="cifar10", **SIZES | {"valid": None, "test": None})
    numbers, notes = splits.draw(given, data, 0)
    assert numbers["valid"].tolist() == list(range(10))
    assert numbers["test"].tolist() == list(range(10))
    learned = [*numbers["train_weights"], *numbers["train_alphas"]]
    assert sorted(learned) == list(range(40))
    assert notes == (
        "2 of 12 valid pictures are copies of test pictures (image 10 = image 0, "
        "image 11 = image 1): left out of valid",
        "1 of 42 training pictures is a copy of valid pictures (image 40 = image 0): "
        "left out of training",
        "1 of 42 training pictures is a copy of test pictures (image 41 = image 1): "
        "left out of training",
    )


def test_copies_within_a_test_are_told():
    data = apart(range(40), range(50, 60), [*range(60, 70), 60])
    numbers, notes = splits.draw(
        DataConfig(name="cifar10", **SIZES | {"valid": None, "test": None}), data, 0
    )
    assert len(numbers["test"]) == 11
    assert notes == (
        "1 of 11 test pictures is a copy of others (image 10 = image 0): all count",
    )


def test_what_a_copy_is_follows_the_pixels_not_the_name(tmp_path):
    """The same notes but for the names, whatever the files are called."""
    write_two(tmp_path)
    shutil.copy(tmp_path / "flat/000.png", tmp_path / "flat/a.png")
    before = copies.distinct(folder.load(config(tmp_path)))
    for path in (tmp_path / "flat").iterdir():
        path.rename(path.with_name(f"x{path.name}"))
    after = copies.distinct(folder.load(config(tmp_path)))
    np.testing.assert_array_equal(before.groups, after.groups)
