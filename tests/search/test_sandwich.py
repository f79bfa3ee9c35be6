"""Steps of a shared supernet, and its scores, against plain networks cut out of it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nas_jax.data.batches import Batch
from nas_jax.search import sandwich, scoring
from nas_jax.supernet import shared
from nas_jax.training import loop, losses
from tests import compiled
from tests.supernet.test_shared import WIDEST, drawn

SIDE = 8
FEW = [one for one in drawn(7, 12) if one.stem.input_size == SIDE]
WITHIN = shared.widest(FEW)
RATE = 0.1


def batch(images, seed):
    numbers = np.random.default_rng(seed)
    x = numbers.normal(size=(images, SIDE, SIDE, 2)).astype(np.float32)
    return Batch(x, numbers.integers(3, size=images).astype(np.int32))


def unchanged(key, images):
    return images


def answers(params, one, images):
    stats = compiled.init(jax.random.key(0), one)[1]
    own = shared.extract(params, one)
    return compiled.apply(one, own, stats, images, train=True)[0]


@pytest.mark.slow
def test_a_step_averages_the_gradients_of_the_networks_cut_out():
    tx = optax.sgd(RATE)
    state = sandwich.init(jax.random.key(3), WIDEST, tx)
    before = jax.tree.map(np.asarray, state.params)
    data, others = batch(12, 0), FEW[:2]
    step = sandwich.make_step(WITHIN, tx, unchanged, smoothing=0.1)
    choices = shared.stack([shared.choice(one) for one in (WITHIN, *others)])
    state, metrics = step(state, data, choices)

    def widest_loss(params):
        return losses.cross_entropy(
            answers(params, WITHIN, data.images), jnp.asarray(data.labels), 0.1
        )

    taught = jax.nn.softmax(answers(before, WITHIN, data.images))

    def other_loss(params, one):
        own = jax.nn.log_softmax(answers(params, one, data.images))
        return -(taught * own).sum(1).mean()

    def mean_loss(params):
        return (widest_loss(params) + sum(other_loss(params, o) for o in others)) / 3

    grads = jax.jit(jax.grad(mean_loss))(before)
    expected = jax.tree.map(lambda leaf, grad: leaf - RATE * grad, before, grads)
    for one, other in zip(*map(jax.tree.leaves, (state.params, expected)), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)
    assert float(metrics["search/loss"]) == pytest.approx(
        float(widest_loss(before)), rel=1e-3
    )
    assert int(state.step) == 1


@pytest.mark.slow
def test_steps_teach_all_networks():
    data = batch(32, 1)
    tx = optax.sgd(0.05, momentum=0.9)
    state = sandwich.init(jax.random.key(0), WIDEST, tx)
    step = sandwich.make_step(WITHIN, tx, unchanged, smoothing=0.0)
    rng, of_few = np.random.default_rng(0), [shared.choice(one) for one in FEW]
    for _ in range(60):
        picks = [of_few[place] for place in rng.integers(len(of_few), size=2)]
        choices = shared.stack([shared.choice(WITHIN), *picks])
        state, metrics = step(state, data, choices)
    right = [
        float(losses.accuracy(answers(state.params, one, data.images), data.labels))
        for one in FEW
    ]
    assert min(right) > 0.8
    assert float(metrics["search/accuracy"]) > 0.9
    assert step._cache_size() == 1


def test_a_score_is_that_of_the_network_cut_out():
    params, _ = compiled.init(jax.random.key(5), WIDEST)
    seen, valid, one = batch(40, 2), batch(30, 3), FEW[0]
    score = scoring.make_score(WITHIN)(
        params,
        shared.choice(one),
        Batch(seen.images.reshape(2, 20, SIDE, SIDE, 2), seen.labels.reshape(2, 20)),
        Batch(valid.images.reshape(3, 10, SIDE, SIDE, 2), valid.labels.reshape(3, 10)),
    )
    own = shared.extract(params, one)
    model = loop.Model(one, own, loop.reestimate(one, own, seen, 20))
    assert float(score.accuracy) == pytest.approx(loop.accuracy(model, valid), abs=0.04)
    assert float(score.loss) == pytest.approx(loop.loss(model, valid), rel=1e-3)
