"""Rates, decay and averages of a training, against NumPy and PyTorch's equations."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_jax.config import recipes
from nas_jax.config.experiment import Experiment, TrainConfig
from nas_jax.networks import network
from nas_jax.search import baselines
from nas_jax.spaces import builders
from nas_jax.training import optim
from tests import small_run

PER_EPOCH = 4


def rates(config, steps):
    """The learning rate of every step, as plain SGD moves by it."""
    tx = optim.train_weights(config, optim.lengths(config, PER_EPOCH))
    params = {"kernel": jnp.zeros(())}
    opt, found = tx.init(params), []
    for _ in range(steps):
        updates, opt = tx.update({"kernel": jnp.ones(())}, opt, params)
        found.append(-float(updates["kernel"]))
    return found


def test_rate_rises_in_a_line_from_0_then_falls_as_a_cosine():
    config = TrainConfig(
        epochs=3, lr=0.8, warmup_epochs=1, momentum=0.0, weight_decay=0.0
    )
    # 4 steps up, then cos from 0 to pi over 8
    fall = [0.4 * (1 + np.cos(np.pi * step / 8)) for step in range(9)]
    expected = [0.0, 0.2, 0.4, 0.6, *fall]
    np.testing.assert_allclose(rates(config, 13), expected, atol=1e-6)


@pytest.mark.parametrize(("epochs", "steps"), [(0.0, 0), (0.5, 2), (0.2, 0), (2.9, 11)])
def test_warm_up_may_be_a_part_of_an_epoch(epochs, steps):
    config = TrainConfig(epochs=3, lr=1.0, warmup_epochs=epochs, momentum=0.0)
    assert int(np.argmax(rates(config, 12))) == steps


PARAMS = {
    "stem": {
        "conv": {"kernel": np.array([2.0, -1.0], np.float32)},
        "bn": {"scale": np.ones(2, np.float32), "bias": np.ones(2, np.float32)},
    },
    "classifier": {
        "kernel": np.array([3.0], np.float32),
        "bias": np.array([4.0], np.float32),
    },
}


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_undecayed_parameters_without_a_gradient_stay(optimiser):
    config = TrainConfig(
        epochs=3, lr=0.5, optimiser=optimiser, weight_decay=0.1, decays="weights"
    )
    tx = optim.train_weights(config, optim.lengths(config, PER_EPOCH))
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    updates, _ = tx.update(zeros, tx.init(PARAMS), PARAMS)
    # SGD: lr (d + m d) of d = wd w; AdamW: lr wd w
    share = 0.5 * 0.1 * (1.9 if optimiser == "sgd" else 1.0)
    for path, leaf in jax.tree.leaves_with_path(updates):
        weights = PARAMS
        for place in path:
            weights = weights[place.key]
        decayed = share if path[-1].key == "kernel" else 0.0
        np.testing.assert_allclose(leaf, -decayed * weights, rtol=1e-5, atol=1e-7)


def test_adamw_is_its_paper_s_equation():
    config = TrainConfig(
        epochs=2, lr=0.1, optimiser="adamw", momentum=0.8, weight_decay=0.3
    )
    tx = optim.train_weights(config, optim.lengths(config, PER_EPOCH))
    numbers = np.random.default_rng(0)
    weights = np.array([1.0, -2.0, 0.5])
    ours = {"kernel": jnp.asarray(weights, jnp.float32)}
    opt, first, second = tx.init(ours), np.zeros(3), np.zeros(3)
    for step in range(2 * PER_EPOCH):
        gradient = numbers.normal(size=3)
        given_ = {"kernel": jnp.asarray(gradient, jnp.float32)}
        updates, opt = tx.update(given_, opt, ours)
        ours = jax.tree.map(jnp.add, ours, updates)
        first = 0.8 * first + 0.2 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        rate = 0.05 * (1 + np.cos(np.pi * step / 8))
        mean = first / (1 - 0.8 ** (step + 1))
        spread = np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-8
        weights = weights - rate * (mean / spread + 0.3 * weights)
    np.testing.assert_allclose(ours["kernel"], weights, rtol=1e-4)


def test_all_kernels_of_a_network_decay_and_nothing_else():
    space = builders.build(small_run.EXPERIMENT.space)
    params, _ = network.shapes(baselines.hand_designed(space))
    config = TrainConfig(epochs=1, weight_decay=1.0, decays="weights", momentum=0.0)
    ones = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), params)
    tx = optim.train_weights(config, optim.lengths(config, 1))
    zeros = jax.tree.map(jnp.zeros_like, ones)
    updates, _ = tx.update(zeros, tx.init(ones), ones)
    kinds = {
        (path[-1].key, bool(leaf.any()))
        for path, leaf in jax.tree.leaves_with_path(updates)
    }
    assert kinds == {("kernel", True), ("scale", False), ("bias", False)}


# --- the moving average --------------------------------------------------------------


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=30))
def test_average_is_the_plain_mean_as_far_as_it_reaches(values):
    average = {"w": jnp.float32(99)}  # an initial value that has no part in it
    for step, value in enumerate(values):
        now = {"w": jnp.float32(value)}
        average = optim.moved_average(average, now, jnp.int32(step), 30.0)
    np.testing.assert_allclose(average["w"], np.mean(values), atol=1e-4)


def test_average_forgets_beyond_its_reach():
    average = jnp.float32(0)
    for step in range(200):
        value = jnp.float32(1 if step < 100 else 3)
        average = optim.moved_average(average, value, jnp.int32(step), 10.0)
    # of 100 further steps at 1 / 10 each, 0.9^100 of the first value is left
    np.testing.assert_allclose(average, 3 - 2 * 0.9**100, atol=1e-4)


@pytest.mark.parametrize("reach", [0.2, 1.0])
def test_average_of_a_step_or_less_is_the_newest(reach):
    """0.2 steps would be a share of 5: it is never more than all."""
    average = jnp.float32(7)
    for step in range(5):
        now = jnp.float32(step)
        average = optim.moved_average(average, now, jnp.int32(step), reach)
        np.testing.assert_allclose(average, step, atol=1e-6)


# --- settings ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimiser": "adam"}, "train.optimiser: expected 'sgd' or 'adamw', got"),
        ({"decays": "bn"}, "train.decays: expected 'all' or 'weights', got"),
        ({"dropout": 1.0}, "train.dropout: expected below 1, got 1.0"),
        ({"warmup_epochs": -1}, "train.warmup_epochs: expected at least 0, got -1"),
        (
            {"epochs": 5, "warmup_epochs": 5},
            "train.warmup_epochs: expected less than train.epochs = 5, got 5",
        ),
        ({"ema_epochs": -0.5}, "train.ema_epochs: expected at least 0, got -0.5"),
        ({"mixup_alpha": -1.0}, "train.mixup_alpha: expected at least 0, got -1.0"),
        ({"cutmix_alpha": float("nan")}, "train.cutmix_alpha: expected"),
        ({"cutmix_alpha": float("inf")}, "train.cutmix_alpha: expected"),
        ({"augmentation": "rand"}, "train.augmentation: expected 'data', "),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**changes)


@pytest.mark.parametrize("kind", ["strong_jitter", "trivial"])
def test_digits_are_no_bytes_to_be_coloured(kind):
    train = TrainConfig(augmentation=kind)
    with pytest.raises(ValueError, match=r"train\.augmentation: expected 'data' with"):
        Experiment("digits", train=train)


def test_the_papers_recipe_is_that_of_its_code():
    """The table of the reference's retraining; the rest of the fields are off."""
    assert (
        TrainConfig(
            epochs=300,
            batch=256,
            lr=0.05,
            momentum=0.9,
            weight_decay=4e-5,
            label_smoothing=0.1,
            decays="weights",
            dropout=0.1,
            augmentation="strong_jitter",
        )
        == recipes.PAPER_IMAGENET
    )


LAYERS = {
    "stem": {"kernel": np.ones(2, np.float32)},
    "blocks": [{"kernel": np.ones(1, np.float32)}, {}, {"bias": np.ones(1, "f")}],
    "head": {"kernel": np.ones(3, np.float32)},
    "classifier": {"kernel": np.ones(2, np.float32)},
}


def moved(config, steps):
    """Updates of every step, for gradients of 1."""
    tx = optim.train_weights(config, optim.lengths(config, PER_EPOCH))
    params = jax.tree.map(jnp.asarray, LAYERS)
    gradients, opt, found = jax.tree.map(jnp.ones_like, params), tx.init(params), []
    for _ in range(steps):
        updates, opt = tx.update(gradients, opt, params)
        found.append(updates)
    return found


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_frozen_layers_stay_and_gather_no_momentum(optimiser):
    config = TrainConfig(epochs=4, lr=0.5, weight_decay=0.1, optimiser=optimiser)
    frozen = dataclasses.replace(config, frozen_epochs=1.5)
    free, held = moved(config, 8), moved(frozen, 8)
    for step in range(6):  # 1.5 epochs of 4 steps
        for name in ("stem", "blocks", "head"):
            assert not any(leaf.any() for leaf in jax.tree.leaves(held[step][name]))
    for step in range(8):
        np.testing.assert_array_equal(
            held[step]["classifier"]["kernel"], free[step]["classifier"]["kernel"]
        )
    assert all(leaf.all() for leaf in jax.tree.leaves(held[6]))
    if optimiser == "sgd":  # its first step, at the rate of the seventh
        rate = 0.5 * (1 + np.cos(np.pi * 6 / 16)) / 2
        expected = -rate * 1.9 * (1 + 0.1)  # Nesterov: g + m g, with the decay
        np.testing.assert_allclose(held[6]["stem"]["kernel"], expected, rtol=1e-5)


def test_layers_near_the_images_move_less():
    config = TrainConfig(epochs=4, lr=0.5, weight_decay=0.0)
    plain = moved(config, 3)[2]
    less = moved(dataclasses.replace(config, layer_decay=0.5), 3)[2]
    ratios = jax.tree.map(lambda a, b: float((a / b).mean()), less, plain)
    assert ratios == {
        "stem": {"kernel": 1 / 32},
        "blocks": [{"kernel": 1 / 16}, {}, {"bias": 1 / 4}],
        "head": {"kernel": 1 / 2},
        "classifier": {"kernel": 1.0},
    }
