"""Changes of colours against the standard library and against Pillow."""

import colorsys
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from nas_jax.config.data import DataConfig
from nas_jax.data import augment, colours

KEY = jax.random.key(7)
IMAGES = np.random.default_rng(0).uniform(0, 1, (3, 5, 4, 3)).astype(np.float32)


@pytest.mark.parametrize("by", [-0.5, -0.1, 0.0, 0.07, 1 / 3])
def test_turned_hues_are_those_of_the_standard_library(by):
    found = colours.turned(IMAGES, np.full((3, 1, 1, 1), by, np.float32))
    expected = []
    for pixel in IMAGES.reshape(-1, 3):
        hue, saturation, value = colorsys.rgb_to_hsv(*map(float, pixel))
        expected.append(colorsys.hsv_to_rgb((hue + by) % 1, saturation, value))
    np.testing.assert_allclose(np.reshape(found, (-1, 3)), expected, atol=2e-6)


def test_grey_has_no_hue_to_turn():
    grey = np.repeat(IMAGES[..., :1], 3, axis=3)
    turn = np.full((3, 1, 1, 1), 0.3, np.float32)
    np.testing.assert_allclose(colours.turned(grey, turn), grey, atol=1e-6)
    np.testing.assert_array_equal(colours.turned(grey[..., :1], turn), grey[..., :1])


ENHANCERS = {
    "brightness": (ImageEnhance.Brightness, jnp.zeros_like),
    "contrast": (ImageEnhance.Contrast, colours.mean_grey),
    "saturation": (ImageEnhance.Color, colours.grey),
}


@pytest.mark.parametrize("factor", [0.3, 1.0, 1.7])
@pytest.mark.parametrize("name", ENHANCERS)
def test_factors_do_what_pillows_do(name, factor):
    enhancer, base = ENHANCERS[name]
    images = (IMAGES * 255).astype(np.uint8)
    light = images.astype(np.float32) / 255
    found = colours.scaled(light, base(light), jnp.float32(factor))
    for image, ours in zip(images, found, strict=True):
        theirs = np.asarray(enhancer(Image.fromarray(image)).enhance(factor))
        # Pillow cuts grey, mean and result to whole bytes
        np.testing.assert_allclose(np.asarray(ours) * 255, theirs, atol=2.5)


def test_full_jitter_is_the_four_changes_in_an_order_of_each_image():
    """Every image is one of the 24 orders, with the factors that were drawn."""
    config = DataConfig(name="cifar10", **augment.STRONG_JITTER)
    images = np.random.default_rng(1).uniform(0, 1, (60, 4, 4, 3)).astype(np.float32)
    found = np.asarray(
        jax.jit(colours.full_jitter, static_argnums=2)(KEY, images, config)
    )
    drawn = 2 * np.asarray(jax.random.uniform(KEY, (60, 8)))[:, :4] - 1
    parts = drawn * np.array([0.4, 0.4, 0.4, 0.1])
    assert (np.abs(parts) <= [0.4, 0.4, 0.4, 0.1]).all()
    seen = set()
    for image, after, part in zip(images, found, parts, strict=True):
        one = np.float32(part)
        changes = [
            lambda x, f=1 + one[0]: colours.scaled(x, jnp.zeros_like(x), f),
            lambda x, f=1 + one[1]: colours.scaled(x, colours.mean_grey(x), f),
            lambda x, f=1 + one[2]: colours.scaled(x, colours.grey(x), f),
            lambda x, by=one[3]: colours.turned(x, by),
        ]
        errors = {}
        for order in itertools.permutations(range(4)):
            x = jnp.asarray(image[None])
            for place in order:
                x = changes[place](x)
            errors[order] = float(np.abs(np.asarray(x[0]) - after).max())
        best = min(errors, key=errors.get)
        assert errors[best] < 1e-5
        seen.add(best)
    assert len(seen) > 12


@pytest.mark.parametrize("channels", [1, 3])
def test_strong_jitter_stands_in_for_the_jitter_of_the_data(channels):
    one = (0.5,) * channels
    config = DataConfig(
        name="cifar10", shift_pixels=0, mean=one, std=one, brightness=0.01
    )
    images = np.random.default_rng(2).integers(0, 256, (40, 4, 4, channels), np.uint8)
    weak, strong = (
        np.asarray(augment.of(config, kind)(KEY, images))
        for kind in ("data", "strong_jitter")
    )
    plain = images / 127.5 - 1
    assert np.abs(weak - plain).max() < 0.03
    assert np.abs(strong - plain).max() > 0.5
    assert np.abs(strong).max() <= 1 + 1e-6


def test_contrast_alone_is_its_change():
    config = DataConfig(name="cifar10", shift_pixels=0, contrast=0.5)
    images = np.random.default_rng(3).uniform(0.4, 0.6, (50, 6, 6, 3))
    images = images.astype(np.float32)
    found = np.asarray(colours.full_jitter(KEY, images, config))
    mean = np.asarray(colours.mean_grey(images))
    factor = (found - mean) / np.where(abs(images - mean) < 0.02, np.nan, images - mean)
    factor = factor.reshape(50, -1)
    assert np.nanmax(np.nanstd(factor, axis=1)) < 1e-3
    means = np.nanmean(factor, axis=1)
    assert 0.5 <= means.min() < 0.7 and 1.3 < means.max() <= 1.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"contrast": 1.1}, "data.contrast: expected at most 1, got 1.1"),
        ({"hue": 0.6}, "data.hue: expected at most 0.5, got 0.6"),
        ({"hue": -0.1}, "data.hue: expected at least 0, got -0.1"),
    ],
)
def test_wrong_colours_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        DataConfig(name="cifar10", **changes)


@pytest.mark.parametrize("name", ["contrast", "hue"])
def test_digits_have_no_colours(name):
    with pytest.raises(ValueError, match=f"data.{name}: expected 0 or False with"):
        DataConfig(**{name: 0.1})
