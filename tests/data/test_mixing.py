"""Blended images are what an independent NumPy sum says, and their labels with them."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_jax.config.experiment import TrainConfig
from nas_jax.data import mixing
from nas_jax.data.batches import Batch

KEY = jax.random.key(5)
LABELS = np.arange(300, dtype=np.int32) % 7


def plain(count, side=6, channels=1):
    """Image i has the value i all over, so that a pixel tells where it is from."""
    values = np.arange(count, dtype=np.float32)[:, None, None, None]
    return Batch(np.tile(values, (1, side, side, channels)), LABELS[:count])


STEP = jax.jit(mixing.of, static_argnums=0)


def mixed(batch, key=KEY, **alphas):
    images, labels = STEP(TrainConfig(**alphas), key, batch)
    return np.asarray(images), jax.tree.map(np.asarray, labels)


def of_first(images):
    """The share of every image's own value in each of its pixels, `[B H W]`.

    Image i is beside image i - 1, so value v is own with share v - (i - 1).
    """
    count = len(images)
    other = np.roll(np.arange(count), 1)[:, None, None]
    own = np.arange(count)[:, None, None]
    return (images[..., 0] - other) / (own - other)


def test_without_alphas_nothing_is_blended():
    batch = plain(4)
    images, labels = mixing.of(TrainConfig(), KEY, batch)
    np.testing.assert_array_equal(images, batch.images)
    np.testing.assert_array_equal(labels, batch.labels)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_mixup_is_an_even_blend_whose_share_is_that_of_the_label(alpha):
    images, labels = mixed(plain(300), mixup_alpha=alpha)
    shares = of_first(images)
    np.testing.assert_allclose(
        shares, np.broadcast_to(labels.share[:, None, None], shares.shape), atol=2e-3
    )
    np.testing.assert_array_equal(labels.labels, LABELS)
    np.testing.assert_array_equal(labels.others, np.roll(LABELS, 1))
    # the moments of Beta(alpha, alpha)
    assert labels.share.mean() == pytest.approx(0.5, abs=0.08)
    variance = 1 / (4 * (2 * alpha + 1))
    assert labels.share.var() == pytest.approx(variance, rel=0.25)


@pytest.mark.parametrize(("height", "width"), [(6, 6), (5, 8), (1, 9)])
def test_cutmix_is_a_filled_box_whose_area_is_the_share(height, width):
    images = np.arange(300, dtype=np.float32)[:, None, None, None]
    batch = Batch(np.tile(images, (1, height, width, 2)), LABELS)
    found, labels = mixed(batch, cutmix_alpha=1.0)
    is_other = of_first(found).round(3) == 0
    assert set(np.unique(of_first(found).round(3))) == {0, 1}
    np.testing.assert_allclose(1 - is_other.mean((1, 2)), labels.share, atol=1e-6)
    for box in is_other:
        rows, columns = np.nonzero(box)
        if len(rows):
            assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    # boxes of all sizes, cut off at all borders
    assert is_other.any(axis=0).all()
    assert labels.share.min() < 0.4 and labels.share.max() == 1


def test_both_take_half_of_the_images_each():
    shares = of_first(mixed(plain(300), mixup_alpha=1.0, cutmix_alpha=1.0)[0])
    is_even = np.ptp(shares, axis=(1, 2)) < 1e-2
    is_box = (np.isclose(shares, 0, atol=1e-2) | np.isclose(shares, 1, atol=1e-2)).all(
        axis=(1, 2)
    )
    assert (is_even | is_box).all()
    assert 100 < (~is_box).sum() < 200


@settings(deadline=None, derandomize=True, max_examples=15)
@given(st.integers(0, 2**31), st.sampled_from([1, 5]))
def test_the_sum_of_all_pixels_is_that_of_the_shares(seed, count):
    """Whatever the draw, for images of one value each; one image alone stays itself."""
    batch = plain(count)
    key = jax.random.key(seed)
    images, labels = mixed(batch, key, mixup_alpha=0.4, cutmix_alpha=1.0)
    own = np.arange(count)
    expected = labels.share * own + (1 - labels.share) * np.roll(own, 1)
    np.testing.assert_allclose(images.mean((1, 2, 3)), expected, atol=1e-4)
    assert ((labels.share >= 0) & (labels.share <= 1)).all()
