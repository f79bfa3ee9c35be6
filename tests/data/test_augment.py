"""Augmentation is what an independent NumPy oracle does with the same draws."""

import jax
import numpy as np
import pytest

from nas_jax.config.data import DataConfig
from nas_jax.data import augment, colours, preprocessing

KEY = jax.random.key(3)


def bytes_of(batch=64, side=8, channels=3, seed=0):
    shape = (batch, side, side, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def config(**changes):
    return DataConfig(name="cifar10", shift_pixels=0, **changes)


def test_normalised_bytes_are_those_of_a_hand_computed_example():
    image = np.array([[[[0, 51, 255]]]], np.uint8)
    # (0 - .485) / .229, (.2 - .456) / .224, (1 - .406) / .225
    expected = [-2.117904, -1.142857, 2.64]
    for found in (
        preprocessing.of(config(), 8).normalised(image),
        augment.of(config())(KEY, image),
    ):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[0, 0, 0], expected, atol=2e-6)


def test_without_augmentation_a_step_normalises_as_evaluation_does():
    images = bytes_of()
    np.testing.assert_allclose(
        jax.jit(augment.of(config()))(KEY, images),
        preprocessing.of(config(), 8).normalised(images),
        atol=2e-6,
    )


def test_half_of_the_images_are_mirrored_the_others_are_unchanged():
    images = bytes_of(400, 4)
    found = np.asarray(augment.flip(KEY, images))
    kept = (found == images).all(axis=(1, 2, 3))
    mirrored = (found == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (kept ^ mirrored).all()
    assert 160 < mirrored.sum() < 240


def test_cutout_blanks_one_square_that_may_reach_over_the_border():
    found = np.asarray(augment.cutout(KEY, np.ones((500, 8, 8, 3), np.float32), 4))
    sizes = set()
    for image in found:
        assert (image == image[..., :1]).all()
        rows, columns = np.nonzero(image[..., 0] == 0)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert len(rows) == height * width  # a filled rectangle
        sizes.add((int(height), int(width)))
    # centres 0 to 7 in both directions: cut to 2, 3 or 4 rows, never outside
    assert sizes == {(h, w) for h in (2, 3, 4) for w in (2, 3, 4)}
    assert augment.cutout(KEY, found, 0) is found


def test_cutout_comes_after_normalisation_so_that_it_sets_the_mean():
    found = np.asarray(augment.of(config(cutout_pixels=16))(KEY, bytes_of()))
    assert ((found == 0).all(axis=3).sum(axis=(1, 2)) >= 8 * 8).all()


def jitter_oracle(images, b, s, bright_first):
    def brighten(x):
        return np.clip(x * b, 0, 1)

    def saturate(x):
        grey = x @ np.array([0.299, 0.587, 0.114])
        return np.clip(grey[..., None] * (1 - s) + x * s, 0, 1)

    if bright_first:
        return saturate(brighten(images))
    return brighten(saturate(images))


def test_jitter_is_brightness_and_saturation_in_either_order():
    """Factors are recovered by search over a grid, as nothing returns them."""
    images = np.random.default_rng(1).uniform(0.2, 0.7, (40, 4, 4, 3))
    found = np.asarray(colours.jitter(KEY, images.astype(np.float32), 0.2, 0.5))
    brightness, saturation = [], []
    for before, after in zip(images, found, strict=True):
        # neither order cuts these values, and then the two commute
        grey = np.array([0.299, 0.587, 0.114])
        b = ((after @ grey) / (before @ grey)).mean()
        away = before - (before @ grey)[..., None]
        s = (after / b - (before @ grey)[..., None])[away > 0.05].sum()
        s /= away[away > 0.05].sum()
        np.testing.assert_allclose(after, jitter_oracle(before, b, s, True), atol=0.02)
        brightness.append(b)
        saturation.append(s)
    for values, reach in ((brightness, 0.2), (saturation, 0.5)):
        assert 1 - reach < min(values) < 1 - 0.6 * reach
        assert 1 + 0.6 * reach < max(values) < 1 + reach


def test_jitter_cuts_after_each_change_in_both_orders():
    """Bright images: what is cut first makes a difference, and both orders come."""
    image = np.array([1.0, 0.5, 0.1], np.float32)
    images = np.broadcast_to(image, (200, 1, 1, 3))
    found = np.asarray(colours.jitter(KEY, images, 1.0, 1.0))[:, 0, 0]
    assert (found.min(), found.max()) == (0, 1)
    b, s = np.meshgrid(np.linspace(0, 2, 401), np.linspace(0, 2, 401))
    b, s = b.ravel()[:, None], s.ravel()[:, None]
    first = jitter_oracle(image, b, s, True)
    second = jitter_oracle(image, b, s, False)
    to_first, to_second = (
        np.abs(grid[None] - found[:60, None]).max(2).min(1) for grid in (first, second)
    )
    assert (np.minimum(to_first, to_second) < 0.03).all()
    assert (to_first > 0.05).any() and (to_second > 0.05).any()


def test_no_jitter_changes_nothing():
    images = np.random.default_rng(1).uniform(0, 1, (4, 3, 3, 3)).astype(np.float32)
    np.testing.assert_allclose(colours.jitter(KEY, images, 0, 0), images, atol=1e-6)


def test_a_shift_of_bytes_brings_black_in():
    images = np.full((64, 6, 6, 3), 255, np.uint8)
    shifted = DataConfig(name="cifar10", shift_pixels=2)
    found = np.asarray(augment.of(shifted)(KEY, images))
    black = -np.array(shifted.mean) / np.array(shifted.std)
    white = (1 - np.array(shifted.mean)) / np.array(shifted.std)
    is_black = np.isclose(found, black, atol=1e-5).all(3)
    assert (is_black ^ np.isclose(found, white, atol=1e-5).all(3)).all()
    assert is_black[:, 2:4, 2:4].sum() == 0
    assert is_black.any(axis=(1, 2)).sum() > 40


def test_augmentation_is_a_function_of_the_key():
    images = bytes_of(16)
    full = config(flip=True, cutout_pixels=4, brightness=0.2, saturation=0.5)
    augmented = jax.jit(augment.of(full))
    np.testing.assert_array_equal(augmented(KEY, images), augmented(KEY, images))
    assert np.any(augmented(KEY, images) != augmented(jax.random.key(4), images))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "digitz"}, "data.name: expected digits, fashion_mnist, cifar10, cif"),
        ({"name": "tfds:"}, "data.name: expected .* or tfds:NAME"),
        ({"crop_area": 0.0}, "data.crop_area: expected above 0, got 0.0"),
        ({"brightness": 1.5}, "data.brightness: expected at most 1, got 1.5"),
        ({"cutout_pixels": -1}, "data.cutout_pixels: expected at least 0, got -1"),
        ({"std": (1.0, 1.0)}, "data.mean, data.std: expected one value per channel"),
        ({"std": (1.0, 0.0, 1.0)}, "data.std.1: expected above 0, got 0.0"),
        ({"flip": True}, "data.flip: expected 0 or False with the digits, got True"),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        DataConfig(**changes)
