"""Splits of the bundled digits: disjoint, stratified, a function of the seed."""

import functools

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits

from nas_jax.config import DataConfig, shipped
from nas_jax.data import digits

CONFIG = DataConfig(train_weights=300, train_alphas=250, valid=147, test=600)
PIXELS, LABELS = load_digits(return_X_y=True)


@functools.cache
def splits(seed=0, size=8, config=CONFIG):
    return digits.load(config, size, seed)


def fingerprints(batch):
    return [image.tobytes() for image in batch.images]


def test_splits_have_the_sizes_asked_for():
    assert {name: len(batch.labels) for name, batch in splits().items()} == {
        "train_weights": 300,
        "train_alphas": 250,
        "valid": 147,
        "test": 600,
    }
    for batch in splits().values():
        assert batch.images.shape == (len(batch.labels), 8, 8, 1)
        assert (batch.images.dtype, batch.labels.dtype) == (np.float32, np.int32)


def test_no_image_is_in_two_splits():
    assert len(np.unique(PIXELS, axis=0)) == len(PIXELS)  # so a split is known by it
    found = [image for batch in splits().values() for image in fingerprints(batch)]
    assert len(set(found)) == len(found) == 300 + 250 + 147 + 600


def test_every_split_has_the_classes_of_the_set_in_proportion():
    share = np.bincount(LABELS) / len(LABELS)
    for batch in splits().values():
        counts = np.bincount(batch.labels, minlength=10)
        assert np.abs(counts - share * counts.sum()).max() <= 2


def test_images_keep_their_labels():
    normalised = (PIXELS - PIXELS.mean()) / PIXELS.std()
    for batch in splits().values():
        distances = np.abs(
            batch.images[:20].reshape(20, 1, 64) - normalised.astype(np.float32)
        ).max(axis=2)
        assert distances.min(axis=1).max() < 1e-5
        np.testing.assert_array_equal(LABELS[distances.argmin(1)], batch.labels[:20])


def test_splits_are_a_function_of_the_seed():
    again, other = digits.load(CONFIG, 8, 0), splits(seed=1)
    for name, batch in splits().items():
        np.testing.assert_array_equal(batch.images, again[name].images)
        np.testing.assert_array_equal(batch.labels, again[name].labels)
        assert set(fingerprints(batch)) != set(fingerprints(other[name]))


def test_all_images_can_be_used():
    config = DataConfig(train_weights=300, train_alphas=300, valid=197, test=1000)
    images = np.concatenate([b.images for b in splits(config=config).values()])
    assert len(images) == 1797
    assert images.mean() == pytest.approx(0, abs=1e-5)
    assert images.std() == pytest.approx(1, abs=1e-5)


def test_enlarged_images_are_bilinear():
    small, large = splits().get("valid"), splits(size=24)["valid"]
    np.testing.assert_array_equal(small.labels, large.labels)
    shape = (5, 24, 24, 1)
    resized = np.asarray(jax.image.resize(small.images[:5], shape, "bilinear")).ravel()
    # each size is normalised by its own two numbers
    fit = np.stack([resized, np.ones_like(resized)], axis=1)
    _, residual, *_ = np.linalg.lstsq(fit, large.images[:5].ravel(), rcond=None)
    assert residual[0] / resized.size < 1e-10


@pytest.mark.parametrize("size", [4, 12, 0, 28])
def test_size_that_is_no_multiple_of_8_is_refused(size):
    with pytest.raises(ValueError, match=f"multiple of 8, got {size}"):
        digits.load(CONFIG, size, 0)


def test_more_images_than_there_are_are_refused():
    config = DataConfig(train_weights=800, train_alphas=500, valid=98, test=400)
    with pytest.raises(ValueError, match=r"ask for 1798 images .* has 1797; lower"):
        digits.load(config, 8, 0)


@pytest.mark.parametrize("split", digits.SPLITS)
def test_split_without_an_image_of_every_class_is_refused(split):
    sizes = dict.fromkeys(digits.SPLITS, 100) | {split: 9}
    with pytest.raises(ValueError, match=rf"data.{split} = 9 .*per class"):
        digits.load(DataConfig(**sizes), 8, 0)


def test_digits_experiment_tests_on_500_images_or_more():
    experiment = shipped.load_experiment("digits_cpu")
    loaded = digits.load(experiment.data, experiment.space.input_size, experiment.seed)
    assert len(loaded["test"].labels) == experiment.data.test >= 500
    assert experiment.space.classes == len(digits.LABELS)
    assert experiment.space.input_channels == loaded["test"].images.shape[-1]


def test_a_split_without_a_number_takes_the_rest():
    config = DataConfig(train_weights=None, train_alphas=300, valid=197, test=1000)
    loaded = digits.load(config, 8, seed=0)
    assert len(loaded["train_weights"].labels) == 1797 - 1497
    given = digits.load(DataConfig(**vars(config) | {"train_weights": 300}), 8, seed=0)
    for name, split in given.items():
        np.testing.assert_array_equal(split.images, loaded[name].images)
