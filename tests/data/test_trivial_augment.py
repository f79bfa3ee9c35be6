"""Every kind of change by itself, against Pillow or by hand."""

import jax
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from nas_jax.config.data import DataConfig
from nas_jax.data import augment, trivial_augment
from nas_jax.data.trivial_augment import KINDS

KEY = jax.random.key(11)
COUNT = 600
BYTES = np.random.default_rng(0).integers(20, 236, (9, 9, 3), np.uint8)


@pytest.fixture(scope="module")
def changed():
    """Many changes of one image, by kind; with the strengths that were drawn."""
    images = np.repeat(BYTES[None] / np.float32(255), COUNT, axis=0)
    found = np.asarray(jax.jit(trivial_augment.change)(KEY, images))
    kinds, strengths, signs = jax.random.split(KEY, 3)
    kind = np.asarray(jax.random.randint(kinds, (COUNT,), 0, len(KINDS)))
    strength = np.asarray(jax.random.uniform(strengths, (COUNT,)))
    signed = strength * np.asarray(jax.random.rademacher(signs, (COUNT,), np.float32))
    return {
        name: list(zip(found[mine], strength[mine], signed[mine], strict=True))
        for name in KINDS
        for mine in [kind == KINDS.index(name)]
    }


def test_kinds_are_drawn_evenly(changed):
    counts = [len(changed[name]) for name in KINDS]
    assert sum(counts) == COUNT
    assert min(counts) > COUNT / len(KINDS) / 2
    for image, _, _ in changed["identity"]:
        np.testing.assert_allclose(image * 255, BYTES, atol=1e-3)


def affine(name, amount):
    """Pillow's: output (x, y) comes from (a x + b y + c, d x + e y + f)."""
    middle = 4.0
    if name == "rotate":
        cosine, sine = np.cos(amount * np.pi / 6), np.sin(amount * np.pi / 6)
        rows = (cosine, sine), (-sine, cosine)
    elif name == "shear_x":
        rows = (1, 0.3 * amount), (0, 1)
    elif name == "shear_y":
        rows = (1, 0), (0.3 * amount, 1)
    else:
        rows = (1, 0), (0, 1)
    by = 10 / 32 * 9 * amount
    shift = {"translate_x": (by, 0), "translate_y": (0, by)}.get(name, (0, 0))
    coefficients = []
    for (a, b), moved in zip(rows, shift, strict=True):
        # Pillow counts from the corner of a pixel, whose middle is at 0.5
        coefficients += [a, b, moved + middle + 0.5 - (a + b) * (middle + 0.5)]
    return coefficients


@pytest.mark.parametrize("name", KINDS[1:6])
def test_moves_are_pillows(changed, name):
    """But for pixels that lie half between two; both signs come."""
    signs = set()
    for image, _, signed in changed[name]:
        sign = -signed if name == "rotate" else signed
        theirs = Image.fromarray(BYTES).transform(
            (9, 9), Image.Transform.AFFINE, affine(name, sign)
        )
        differs = np.abs(image * 255 - np.asarray(theirs)).max(axis=2) > 0.5
        assert differs.mean() < 0.06
        signs.add(np.sign(signed))
    assert signs == {-1, 1}
    assert any(np.abs(image * 255 - BYTES).max() > 50 for image, _, _ in changed[name])


ENHANCERS = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
    "sharpness": ImageEnhance.Sharpness,
}


@pytest.mark.parametrize("name", ENHANCERS)
def test_colours_are_pillows(changed, name):
    for image, _, signed in changed[name]:
        enhanced = ENHANCERS[name](Image.fromarray(BYTES)).enhance(1 + 0.9 * signed)
        # inside: Pillow leaves the border of what it sharpens
        inside = np.s_[1:-1, 1:-1]
        ours, theirs = image[inside] * 255, np.asarray(enhanced)[inside]
        np.testing.assert_allclose(ours, theirs, atol=2.5)


def test_posterised_colours_are_rounded_down_to_fewer_bits(changed):
    bits = set()
    for image, strength, _ in changed["posterise"]:
        lost = round(4 * float(strength))
        np.testing.assert_allclose(image * 255, BYTES >> lost << lost, atol=1e-2)
        bits.add(lost)
    assert bits == {0, 1, 2, 3, 4}


def test_solarised_colours_are_turned_above_a_threshold(changed):
    for image, strength, _ in changed["solarise"]:
        light = BYTES / 255
        expected = np.where(light > 1 - strength, 1 - light, light)
        np.testing.assert_allclose(image, expected, atol=1e-5)


def test_stretched_channels_reach_from_black_to_white(changed):
    low, high = BYTES.min((0, 1)), BYTES.max((0, 1))
    for image, _, _ in changed["stretch"]:
        np.testing.assert_allclose(image, (BYTES - low) / (high - low), atol=1e-5)


@pytest.mark.parametrize("value", [0, 77, 255])
def test_an_image_of_one_value_stays_finite(value):
    images = np.full((100, 4, 4, 1), value / 255, np.float32)
    found = np.asarray(jax.jit(trivial_augment.change)(KEY, images))
    assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_it_stands_in_for_the_jitter_of_the_data(channels):
    ones = (1.0,) * channels
    config = DataConfig(name="cifar10", shift_pixels=0, mean=ones, std=ones)
    images = np.random.default_rng(1).integers(0, 256, (50, 8, 6, channels), np.uint8)
    step = jax.jit(augment.of(config, "trivial"))
    found = np.asarray(step(KEY, images))
    np.testing.assert_array_equal(found, step(KEY, images))
    assert found.shape == images.shape
    is_same = np.isclose(found, images / 255 - 1, atol=1e-5).all(axis=(1, 2, 3))
    assert 0 < is_same.sum() < 25
