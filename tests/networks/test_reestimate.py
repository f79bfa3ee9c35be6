"""Batch statistics of a network taken out of a supernet, estimated anew."""

import jax
import numpy as np
import pytest

from nas_jax.config import SpaceConfig
from nas_jax.data.batches import Batch
from nas_jax.networks import network
from nas_jax.spaces import architecture, builders
from nas_jax.training import loop
from tests import compiled

SPACE = builders.mobile(
    SpaceConfig(
        name="tiny",
        input_size=6,
        classes=3,
        stem_channels=8,
        stem_stride=1,
        first_block_channels=None,
        stage_widths=(8,),
        cells=(1,),
        strides=(1,),
        head_channels=8,
    )
)
FOUND = architecture.homogeneous(SPACE, SPACE.candidates[0])


@pytest.fixture(scope="module")
def drawn():
    params, batch_stats = compiled.init(jax.random.key(0), FOUND)
    images = np.random.default_rng(0).normal(1, 2, size=(11, 6, 6, 3))
    data = Batch(images.astype(np.float32), np.zeros(11, np.int32))
    return params, batch_stats, data


def test_stem_has_the_means_and_unbiased_variances_of_its_batches(drawn):
    """By NumPy, over the two full batches of 5; the eleventh image is left out."""
    params, _, data = drawn
    found = loop.reestimate(FOUND, params, data, batch=5)["stem"]["bn"]
    kernel = np.asarray(params["stem"]["kernel"], np.float64)
    padded = np.pad(data.images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    maps = sum(
        padded[:, i : i + 6, j : j + 6] @ kernel[i, j]
        for i in range(3)
        for j in range(3)
    )
    batches = [maps[:5].reshape(-1, 8), maps[5:10].reshape(-1, 8)]
    mean = np.mean([one.mean(0) for one in batches], axis=0)
    var = np.mean([one.var(0, ddof=1) for one in batches], axis=0)
    np.testing.assert_allclose(found["mean"], mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["var"], var, rtol=1e-4)


def test_evaluation_on_one_batch_equals_training_mode_on_it(drawn):
    """Statistics of a single batch normalise that batch as training does, but for the
    unbiased variance, which at 36 * 5 pixels is 0.6 % larger."""
    params, _, data = drawn
    one = Batch(data.images[:5], data.labels[:5])
    stats = loop.reestimate(FOUND, params, one, batch=5)
    shapes = network.shapes(FOUND)[1]
    assert jax.tree.structure(stats) == jax.tree.structure(shapes)
    evaluated = network.predict(FOUND, params, stats, one.images)
    trained, _ = compiled.apply(FOUND, params, stats, one.images, train=True)
    np.testing.assert_allclose(evaluated, trained, atol=0.02)
    stale = compiled.init(jax.random.key(0), FOUND)[1]
    far = network.predict(FOUND, params, stale, one.images)
    assert np.abs(far - trained).max() > 0.05


def test_fewer_images_than_a_batch_are_refused(drawn):
    params, _, data = drawn
    with pytest.raises(ValueError, match="at least one batch of 12 images, got 11"):
        loop.reestimate(FOUND, params, data, batch=12)
