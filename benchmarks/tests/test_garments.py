"""Garments of the enumerated benchmark: dealt once, halved, turned."""

import numpy as np

from benchmarks.enumerated import garments
from nas_jax.config import DataConfig
from nas_jax.data import fashion_mnist

IMAGES = {"train": 7000, "valid": 1000, "test": 2000}


def whole_set():
    data = fashion_mnist.load(DataConfig(name="fashion_mnist"))
    return np.concatenate([data.train.images, data.test.images])[..., 0]


def test_splits_hold_every_garment_once():
    splits = garments.deal(IMAGES)
    assert {name: len(one.labels) for name, one in splits.items()} == IMAGES
    means = np.concatenate([one.images.mean(axis=(1, 2, 3)) for one in splits.values()])
    expected = (whole_set().mean(axis=(1, 2)) / 255 - garments.MEAN) / garments.STD
    np.testing.assert_allclose(np.sort(means), np.sort(expected), atol=1e-5)
    labels = np.concatenate([one.labels for one in splits.values()])
    assert np.bincount(labels // garments.TURNS).tolist() == [1000] * 10
    turns = np.bincount(labels % garments.TURNS)
    assert turns.min() > 2300  # of 10,000 in four, 5 standard deviations are 217


def test_a_label_is_the_garment_and_the_turn_that_undone_gives_a_picture_of_the_set():
    """Every pixel of it the mean of four."""
    (some,) = garments.deal({"train": 20}).values()
    data = fashion_mnist.load(DataConfig(name="fashion_mnist"))
    known = np.concatenate([data.train.labels, data.test.labels])
    halved = whole_set().reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
    for image, label in zip(some.images[..., 0], some.labels, strict=True):
        garment, turn = divmod(int(label), garments.TURNS)
        upright = np.rot90(image, -turn) * garments.STD + garments.MEAN
        distance = abs(halved / 255 - upright).max(axis=(1, 2))
        assert distance.min() < 1e-5
        assert known[distance.argmin()] == garment


def test_the_deal_is_always_the_same():
    one, other = garments.deal(IMAGES), garments.deal(IMAGES)
    np.testing.assert_array_equal(one["test"].images, other["test"].images)
