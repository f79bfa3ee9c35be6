"""Schedules and updates against NumPy recursions."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nas_jax.config import SearchConfig, TrainConfig
from nas_jax.search import schedule
from nas_jax.training import optim

STEPS_PER_EPOCH = 4
SEARCH = SearchConfig(
    warmup_epochs=2,
    joint_epochs=3,
    warmup_lr=0.2,
    lr=0.1,
    momentum=0.9,
    weight_decay=0.01,
)
WARMUP, JOINT = 8, 12
PARAMS = {"kernel": np.array([1.0, -2.0]), "bn": {"scale": np.array([0.5])}}


def cosine(lr, step, steps):
    return 0.5 * lr * (1 + math.cos(math.pi * step / steps))


def search_lr(step):
    if step < WARMUP:
        return cosine(SEARCH.warmup_lr, step, WARMUP)
    return cosine(SEARCH.lr, step - WARMUP, JOINT)


def trajectory(tx, gradients):
    """Parameters after each update, from PARAMS."""

    @jax.jit
    def run(params, gradients):
        def step(carry, gradient):
            params, opt = carry
            updates, opt = tx.update(
                jax.tree.map(lambda p: jnp.full_like(p, gradient), params), opt, params
            )
            params = optax.apply_updates(params, updates)
            return (params, opt), params

        return jax.lax.scan(step, (params, tx.init(params)), gradients)[1]

    as_float32 = jax.tree.map(lambda p: jnp.asarray(p, jnp.float32), PARAMS)
    return run(as_float32, jnp.asarray(gradients, jnp.float32))


def nesterov(lr_of, gradients, momentum, decay):
    """d = g + wd w;  v <- m v + d;  w <- w - lr (d + m v), from PARAMS."""
    history = []
    params = {"kernel": PARAMS["kernel"], "scale": PARAMS["bn"]["scale"]}
    velocity = {name: np.zeros_like(value) for name, value in params.items()}
    for step, gradient in enumerate(gradients):
        for name, value in params.items():
            d = gradient + decay * value
            velocity[name] = momentum * velocity[name] + d
            params[name] = value - lr_of(step) * (d + momentum * velocity[name])
        history.append(dict(params))
    return {name: np.stack([row[name] for row in history]) for name in params}


GRADIENTS = np.sin(np.arange(WARMUP + JOINT))


def test_search_updates_are_nesterov_sgd_with_decay_of_every_parameter():
    """Also: each phase has its own cosine, and momentum carries over between them."""
    ours = trajectory(schedule.search_weights(SEARCH, STEPS_PER_EPOCH), GRADIENTS)
    expected = nesterov(search_lr, GRADIENTS, SEARCH.momentum, SEARCH.weight_decay)
    np.testing.assert_allclose(ours["kernel"], expected["kernel"], rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(
        ours["bn"]["scale"], expected["scale"], rtol=2e-5, atol=1e-6
    )


def test_momentum_reset_between_the_phases_would_be_seen():
    carried = nesterov(search_lr, GRADIENTS, 0.9, 0.01)["kernel"]
    before = nesterov(search_lr, GRADIENTS[:WARMUP], 0.9, 0.01)["kernel"][-1]
    d = GRADIENTS[WARMUP] + 0.01 * before
    reset = before - search_lr(WARMUP) * (d + 0.9 * d)
    assert np.abs(carried[WARMUP] - reset).max() > 1e-3


def learning_rates(tx, steps):
    """Steps of unit gradient without momentum and decay move by -lr."""
    kernel = trajectory(tx, np.ones(steps))["kernel"][:, 0]
    return -np.diff(np.asarray(kernel), prepend=PARAMS["kernel"][0])


def plain(config_type, **changes):
    return config_type(momentum=0.0, weight_decay=0.0, **changes)


def test_both_phases_of_the_search_fall_from_their_rate_to_0():
    config = plain(SearchConfig, warmup_epochs=2, joint_epochs=3, warmup_lr=0.2, lr=0.1)
    # one more step than the schedule has, to see its end
    rates = learning_rates(
        schedule.search_weights(config, STEPS_PER_EPOCH), WARMUP + JOINT + 1
    )
    np.testing.assert_allclose(rates[0], 0.2, rtol=1e-5)
    np.testing.assert_allclose(
        rates[WARMUP - 1], cosine(0.2, WARMUP - 1, WARMUP), atol=1e-6
    )
    np.testing.assert_allclose(rates[WARMUP], 0.1, rtol=1e-5)
    np.testing.assert_allclose(rates[WARMUP + JOINT], 0.0, atol=1e-7)
    assert (np.diff(rates[:WARMUP]) < 0).all()
    assert (np.diff(rates[WARMUP:]) < 0).all()


def test_search_without_warm_up_starts_with_the_joint_rate():
    config = plain(SearchConfig, warmup_epochs=0, joint_epochs=3, lr=0.1)
    rates = learning_rates(schedule.search_weights(config, STEPS_PER_EPOCH), JOINT + 1)
    np.testing.assert_allclose(rates[[0, JOINT]], [0.1, 0.0], atol=1e-6)


def test_retraining_is_one_cosine_to_0():
    config = plain(TrainConfig, epochs=3, lr=0.3)
    rates = learning_rates(
        optim.train_weights(config, optim.lengths(config, STEPS_PER_EPOCH)), JOINT + 1
    )
    expected = [cosine(0.3, step, JOINT) for step in range(JOINT + 1)]
    np.testing.assert_allclose(rates, expected, atol=1e-6)


def test_retraining_updates_are_nesterov_sgd_with_decay():
    config = TrainConfig(epochs=3, lr=0.3, momentum=0.8, weight_decay=0.02)
    gradients = GRADIENTS[:JOINT]
    ours = trajectory(
        optim.train_weights(config, optim.lengths(config, STEPS_PER_EPOCH)), gradients
    )
    expected = nesterov(lambda t: cosine(0.3, t, JOINT), gradients, 0.8, 0.02)
    np.testing.assert_allclose(ours["kernel"], expected["kernel"], rtol=2e-5, atol=1e-6)


def test_first_step_of_adam_is_the_rate_times_the_sign():
    tx = schedule.search_alphas(SearchConfig(arch_lr=0.02))
    alphas = jnp.ones((2, 3))
    gradient = jnp.array([[1e-3, -5.0, 0.0], [40.0, 0.0, -1e-2]])
    updates, _ = tx.update(gradient, tx.init(alphas), alphas)
    np.testing.assert_allclose(updates, -0.02 * np.sign(gradient), rtol=1e-4)
    assert (np.asarray(updates)[np.asarray(gradient) == 0] == 0).all()


def test_second_step_of_adam_uses_the_new_gradient_alone():
    """beta1 = 0, beta2 = 0.999, bias corrected; no decay of the alphas."""
    tx = schedule.search_alphas(SearchConfig(arch_lr=0.02))
    alphas, opt = jnp.full((1, 2), 5.0), tx.init(jnp.zeros((1, 2)))
    first, second = jnp.array([[1.0, 1.0]]), jnp.array([[-3.0, 0.0]])
    _, opt = tx.update(first, opt, alphas)
    updates, _ = tx.update(second, opt, alphas)
    variance = (0.999 * 0.001 * 1.0 + 0.001 * 9.0) / (1 - 0.999**2)
    np.testing.assert_allclose(
        updates, [[0.02 * 3 / math.sqrt(variance), 0.0]], rtol=1e-3
    )


@pytest.mark.parametrize(
    ("images", "batch", "steps"), [(100, 25, 4), (99, 25, 3), (25, 25, 1)]
)
def test_steps_per_epoch_counts_full_batches(images, batch, steps):
    assert optim.steps_per_epoch(images, batch) == steps


def test_multipliers_keep_the_pace_of_the_architecture_steps():
    """4 joint epochs of 10 // 3 architecture steps after one without."""
    config = SearchConfig(
        joint_epochs=5,
        arch_start_epoch=1,
        arch_every=3,
        multiplier_gain=6.0,
        penalty_growth=4096.0,
    )
    ascent = schedule.multipliers(config, steps_per_epoch=10)
    assert ascent.rate == pytest.approx(6 / 12)
    assert ascent.growth == pytest.approx(2.0)  # 2^12 over all


# --- the schedule of the paper -------------------------------------------------------

# 1,231,167 training images in batches of 256, the last one smaller
IMAGENET_STEPS = 4810


def arch_steps(config, epoch, steps_per_epoch=IMAGENET_STEPS):
    first = epoch * steps_per_epoch
    return [
        place
        for place in range(steps_per_epoch)
        if schedule.is_arch_step(config, steps_per_epoch, first + place)
    ]


def test_imagenet_schedule_has_962_architecture_steps_per_epoch_after_the_first():
    config = SearchConfig()  # the paper's: 40 + 120 epochs, every 5th step
    assert [len(arch_steps(config, epoch)) for epoch in (0, 39, 40)] == [0, 0, 0]
    assert [len(arch_steps(config, epoch)) for epoch in (41, 42, 159)] == [962] * 3
    assert arch_steps(config, 41)[:3] == [4, 9, 14]
    epochs = config.joint_epochs - config.arch_start_epoch
    assert 962 * epochs == 114_478


def test_imagenet_schedule_by_reward_has_300_updates_per_epoch():
    config = SearchConfig(arch_every=16)
    assert [len(arch_steps(config, epoch)) for epoch in (40, 41, 159)] == [0, 300, 300]
    assert 300 * (config.joint_epochs - config.arch_start_epoch) == 35_700


def test_steps_are_counted_anew_in_every_epoch():
    config = SearchConfig(warmup_epochs=1, arch_start_epoch=1, arch_every=3)
    assert [arch_steps(config, epoch, 7) for epoch in range(4)] == [
        [],
        [],
        [2, 5],
        [2, 5],
    ]


def test_search_defaults_are_the_papers():
    config = SearchConfig()
    weights = (config.warmup_lr, config.lr, config.momentum, config.weight_decay)
    assert weights == (0.05, 0.025, 0.9, 4e-5)
    assert (config.batch, config.arch_batch, config.label_smoothing) == (256, 256, 0.1)
    assert (config.arch_lr, config.alpha_init_std) == (1e-3, 1e-3)
    assert (config.mul_log_alpha, config.mul_log_beta) == (0.2, 0.3)
    assert (config.reinforce_samples, config.mnasnet_exponent) == (10, 0.1)


def test_cosine_falls_with_every_step_not_every_epoch():
    config = plain(SearchConfig, warmup_epochs=2, joint_epochs=3, warmup_lr=0.2, lr=0.1)
    rates = learning_rates(schedule.search_weights(config, STEPS_PER_EPOCH), WARMUP)
    expected = [cosine(0.2, step, WARMUP) for step in range(WARMUP)]
    np.testing.assert_allclose(rates, expected, rtol=1e-4, atol=1e-6)
    assert (np.diff(rates[:STEPS_PER_EPOCH]) < 0).all()
