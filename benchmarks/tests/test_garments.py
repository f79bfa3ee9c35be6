"""Garments of the enumerated benchmark: dealt once, halved by plain means."""

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
    assert np.bincount(labels).tolist() == [1000] * 10


def test_a_pixel_is_the_mean_of_four():
    (first,) = garments.deal({"train": 1}).values()
    where = np.random.default_rng(0).permutation(10_000)[0]
    corner = whole_set()[where, 10:12, 12:14].mean()
    expected = (corner / 255 - garments.MEAN) / garments.STD
    np.testing.assert_allclose(first.images[0, 5, 6, 0], expected, rtol=1e-5)


def test_the_deal_is_always_the_same():
    one, other = garments.deal(IMAGES), garments.deal(IMAGES)
    np.testing.assert_array_equal(one["test"].images, other["test"].images)
