"""Weights of classes in the loss, against NumPy, scikit-learn and repeated images."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from nas_jax.config.experiment import Experiment, TrainConfig
from nas_jax.config.from_json import from_json
from nas_jax.data.batches import Batch
from nas_jax.search import baselines
from nas_jax.spaces import builders
from nas_jax.training import loop, losses
from tests import compiled, small_run

LOGITS = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
LABELS = np.array([0, 0, 0, 0, 1, 2], np.int32)
WEIGHTS = np.array([0.5, 2.0, 2.0])  # 6 / (3 * 4), 6 / (3 * 1) twice


def terms(logits, labels, smoothing):
    """The cross-entropy of every image."""
    logits = np.asarray(logits, np.float64)
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    classes = logits.shape[1]
    targets = (1 - smoothing) * np.eye(classes)[labels] + smoothing / classes
    return -(targets * log_probs).sum(axis=1)


def test_weights_by_hand():
    np.testing.assert_allclose(losses.balanced_weights(LABELS, 3), WEIGHTS)
    # 200 : 20, and a class of the space that has no image
    labels = np.repeat([0, 1], [200, 20])
    weights = losses.balanced_weights(labels, 3)
    np.testing.assert_allclose(weights, [0.55, 5.5, 0])


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=60))
def test_weights_are_scikit_learns_and_their_mean_over_the_images_is_1(labels):
    labels = np.array(labels)
    weights, filled = losses.balanced_weights(labels, 10), np.unique(labels)
    theirs = compute_class_weight("balanced", classes=filled, y=labels)
    np.testing.assert_allclose(weights[filled], theirs)
    assert weights[labels].mean() == pytest.approx(1)
    # every class has an equal part
    parts = np.bincount(labels, weights[labels], 10)[filled]
    np.testing.assert_allclose(parts, len(labels) / len(filled))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_loss_is_the_weighted_mean_of_the_images(smoothing):
    ours = losses.cross_entropy(jnp.asarray(LOGITS), LABELS, smoothing, WEIGHTS)
    expected = (WEIGHTS[LABELS] * terms(LOGITS, LABELS, smoothing)).mean()
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_a_weighted_class_is_one_whose_images_are_repeated():
    times = np.array([1, 1, 1, 1, 4, 4])
    loss = jax.value_and_grad(losses.cross_entropy)
    weighted, slope = loss(jnp.asarray(LOGITS), LABELS, 0.1, WEIGHTS)
    logits, labels = np.repeat(LOGITS, times, 0), np.repeat(LABELS, times)
    repeated, slopes = loss(jnp.asarray(logits), labels, 0.1)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-6)
    ends = np.cumsum(times) - 1
    expected = np.asarray(slopes)[ends] * times[:, None]
    np.testing.assert_allclose(slope, expected, rtol=1e-5)


def test_without_weights_the_program_is_the_plain_loss():
    def plain(logits, labels):
        log_probs = jax.nn.log_softmax(logits)
        picked = jnp.take_along_axis(log_probs, labels[:, None], axis=1)[:, 0]
        return -jnp.mean(0.9 * picked + 0.1 * log_probs.mean(axis=1))

    def ours(logits, labels):
        return losses.cross_entropy(logits, labels, 0.1)

    programs = [str(jax.make_jaxpr(one)(LOGITS, LABELS)) for one in (plain, ours)]
    assert programs[0] == programs[1]


@pytest.fixture(scope="module")
def first_step():
    """The metrics of the first step, the logits then, of uneven images."""
    space = builders.build(small_run.EXPERIMENT.space)
    found, key = baselines.hand_designed(space), jax.random.key(0)
    pixels = np.random.default_rng(1).normal(size=(6, *space.input_shape))
    data = Batch(pixels.astype(np.float32), LABELS)

    def step(**fields):
        config = TrainConfig(epochs=1, batch=6, label_smoothing=0.0, **fields)
        recipe = loop.Recipe(config, data, lambda key, images: images)
        state = loop.init(key, found, recipe)
        batch = recipe.batches(key)(0)
        weights = state.params, state.batch_stats
        logits, _ = compiled.apply(found, *weights, batch.images, train=True)
        (call,) = loop.programs(key, found, recipe).values()
        _, metrics = call.function(*call.arguments)
        return float(metrics["train/loss"]), np.asarray(logits), batch.labels

    return step


def test_training_counts_every_class_as_much(first_step):
    loss, logits, labels = first_step(class_weights="balanced")
    expected = (WEIGHTS[labels] * terms(logits, labels, 0.0)).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_training_counts_every_image_as_much_by_default(first_step):
    loss, logits, labels = first_step()
    np.testing.assert_allclose(loss, terms(logits, labels, 0.0).mean(), rtol=1e-5)


def test_weights_are_a_field_that_older_runs_lack():
    document = dataclasses.asdict(small_run.EXPERIMENT)
    assert document["train"].pop("class_weights") == "none"
    assert from_json(Experiment, document) == small_run.EXPERIMENT
    document["train"]["class_weights"] = "balanced"
    assert from_json(Experiment, document).train.class_weights == "balanced"


@pytest.mark.parametrize("wrong", ["heavy", "Balanced", None, 1.0, [1.0, 2.0]])
def test_other_weights_are_refused(wrong):
    message = "train.class_weights: expected 'none' or 'balanced', got "
    with pytest.raises(ValueError, match=message):
        TrainConfig(class_weights=wrong)


def test_a_teacher_s_answers_have_their_share_of_the_loss():
    rng = np.random.default_rng(0)
    logits, taught = rng.normal(size=(2, 5, 4))
    answers = np.exp(taught) / np.exp(taught).sum(1, keepdims=True)
    log_probs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = 0.7 * 2.0 + 0.3 * -(answers * log_probs).sum(1).mean()
    found = losses.distilled(
        jnp.float32(2.0), jnp.array(logits), jnp.array(taught), 0.3
    )
    assert float(found) == pytest.approx(expected, rel=1e-5)
