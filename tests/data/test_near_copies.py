"""Near copies are found and told; simple scenes that differ are none."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from sklearn.datasets import load_digits

from nas_jax.config.data import DataConfig
from nas_jax.data import near_copies, splits
from nas_jax.data.source import Arrays
from nas_jax.data.survey import looks_at
from tests.data.drawn_pictures import photograph, scene, write_two


def load(root, test):
    sizes = {"train_weights": None, "train_alphas": 10, "valid": 4, "test": test}
    config = DataConfig(name="folder", path=str(root), **sizes)
    return splits.load(config, (32, 32, 3), 2, 0)


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
    return near_copies.near_pairs(np.stack([look.thumbnail for look in looks]), parts)


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
    write_two(tmp_path / "train", 24)
    write_two(tmp_path / "test", 8, start=500)
    for number in (500, 501):
        jpeg(scene(number), 80).save(tmp_path / "train/flat" / f"web{number}.png")
    found, notes, _ = load(tmp_path, test=None)
    assert notes[1:] == (
        "2 of 16 test pictures are near copies of training or valid pictures "
        "(test/flat/500.png ~ train/flat/web500.png, test/flat/501.png ~ "
        "train/flat/web501.png): left where they are",
    )
    assert sum(len(split.labels) for split in found.values()) == 50 + 16


def test_beyond_so_many_pictures_near_copies_are_not_looked_for(tmp_path, monkeypatch):
    write_two(tmp_path)
    monkeypatch.setattr(near_copies, "MOST", 47)
    _, notes, _ = load(tmp_path, test=8)
    assert notes[1:] == ("near copies are not looked for among 48 > 47 pictures",)


def test_thumbnails_that_are_equal_are_near_however_many_there_are():
    thumbnails = np.repeat(np.arange(192, dtype=np.uint8).reshape(1, 8, 8, 3), 10, 0)
    ((one, other),) = near_copies.near_pairs(thumbnails, np.arange(10) // 9)
    assert one == 9 and other < 9
