"""Copies are found under any name, told, and never trained on and tested with."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from sklearn.datasets import load_digits

from nas_jax.config.data import DataConfig
from nas_jax.data import copies, folder, splits
from nas_jax.data.source import Arrays, DataSet
from nas_jax.data.survey import looks_at
from tests.data.drawn_pictures import photograph, scene, write_scenes

SIZES = {"train_weights": None, "train_alphas": 10, "valid": 4, "test": 8}


def two(root, count=24, start=0):
    for name in ("flat", "tall"):
        write_scenes(root / name, count, name == "flat", start)


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
    two(tmp_path)
    names, _, notes = load(tmp_path)
    assert notes == ()
    assert sum(map(len, names.values())) == 48


# --- one set --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_copies_of_one_set_are_in_one_split(tmp_path, seed):
    two(tmp_path)
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
    two(tmp_path)
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
    two(tmp_path)
    for path in (tmp_path / "tall").iterdir():
        shutil.copy(tmp_path / "tall/000.png", path) if path.name != "000.png" else None
    with pytest.raises(ValueError) as error:
        load(tmp_path)
    line = str(error.value)
    assert "class 'tall': expected at least 4 images that are no copies" in line
    assert "got 1 (24 with copies)" in line and "23 of 48 pictures are copies" in line
    assert line.count("\n") == 0


# --- a test or valid set of its own ---------------------------------------------------


def test_training_pictures_that_are_tested_are_left_out(tmp_path):
    two(tmp_path / "train")
    two(tmp_path / "test", 8, start=500)
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
    two(tmp_path / "train")
    shutil.copytree(tmp_path / "train", tmp_path / "test")
    shutil.copy(tmp_path / "train/flat/000.png", tmp_path / "train/tall/x.png")
    with pytest.raises(ValueError) as error:
        load(tmp_path)
    line = str(error.value)
    assert line.startswith(
        "folder: expected training pictures of class 'flat' that no other set has, got "
        "copies alone (1 picture carries more than one label"
    )
    assert "49 of 49 training pictures are copies of test pictures" in line
    assert line.endswith("remove copies or add pictures") and "\n" not in line


def test_too_few_pictures_without_the_copies_are_told_with_them(tmp_path):
    two(tmp_path / "train", 10)
    two(tmp_path / "test", 6)
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


# --- near copies ----------------------------------------------------------------------


def near(train, test):
    """Pairs found between two lists of pictures."""
    images = [*train, *test]
    stored = [np.asarray(image.convert("RGB")) for image in images]
    looks = [
        looks_at(Arrays(image[None], np.zeros(1, np.int32), ("one",)))[0]
        for image in stored
    ]
    parts = np.repeat([0, 1], [len(train), len(test)])
    return copies.near_pairs(np.stack([look.thumbnail for look in looks]), parts)


def jpeg(picture, quality):
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def cut(picture, share):
    x, y = (round(share * side / 2) for side in picture.size)
    return picture.crop((x, y, picture.width - x, picture.height - y))


CHANGES = {
    "smaller": lambda picture: picture.resize((61, 61)),
    "larger": lambda picture: picture.resize((200, 200)),
    "compressed": lambda picture: jpeg(picture, 40),
    "both": lambda picture: jpeg(picture.resize((72, 72)), 60),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.08),
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.85),
    "cut": lambda picture: cut(picture, 0.03),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", [scene, photograph])
def test_nearly_the_same_picture_is_found(kind, change):
    train = [kind(seed) for seed in range(60)]
    test = [CHANGES[change](kind(seed)) for seed in range(40, 60)]
    found = near(train, [kind(seed) for seed in range(100, 120)] + test)
    assert set(found) <= {(80 + place, 40 + place) for place in range(20)}
    assert len(found) >= 18


@pytest.mark.parametrize("first", [0, 1000, 2000])
def test_simple_scenes_that_differ_are_none(first):
    scenes = [scene(seed, seed % 2) for seed in range(first, first + 400)]
    assert near(scenes[:300], scenes[300:]) == []


def test_scanned_digits_are_none():
    """Of one writer, the closest in shape correlate to 0.99."""
    digits = [
        Image.fromarray((15.9 * one).astype(np.uint8)) for one in load_digits().images
    ]
    assert near(digits[:1400], digits[1400:]) == []


def test_photographs_that_differ_are_none():
    pictures = [photograph(seed) for seed in range(200)]
    assert near(pictures[:150], pictures[150:]) == []


def test_flat_pictures_are_none():
    flat = [Image.new("RGB", (32, 32), (level,) * 3) for level in range(0, 250, 5)]
    assert near(flat[::2], flat[1::2]) == []


def test_near_copies_across_splits_are_told_and_stay(tmp_path):
    two(tmp_path / "train", 24)
    two(tmp_path / "test", 8, start=500)
    for number in (500, 501):
        jpeg(scene(number), 80).save(tmp_path / "train/flat" / f"web{number}.png")
    names, _, notes = load(tmp_path, test=None)
    assert notes == (
        "2 of 16 test pictures are near copies of training or valid pictures "
        "(test/flat/500.png ~ train/flat/web500.png, test/flat/501.png ~ "
        "train/flat/web501.png): left where they are",
    )
    assert sum(map(len, names.values())) == 50 + 16


def test_beyond_so_many_pictures_near_copies_are_not_looked_for(tmp_path, monkeypatch):
    two(tmp_path)
    monkeypatch.setattr(copies, "MOST", 47)
    *_, notes = load(tmp_path)
    assert notes == ("near copies are not looked for among 48 > 47 pictures",)


def test_what_a_copy_is_follows_the_pixels_not_the_name(tmp_path):
    """The same notes but for the names, whatever the files are called."""
    two(tmp_path)
    shutil.copy(tmp_path / "flat/000.png", tmp_path / "flat/a.png")
    before = copies.distinct(folder.load(config(tmp_path)))
    for path in (tmp_path / "flat").iterdir():
        path.rename(path.with_name(f"x{path.name}"))
    after = copies.distinct(folder.load(config(tmp_path)))
    np.testing.assert_array_equal(before.groups, after.groups)
