"""Losses against worked values and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.search import objective
from nas_jax.training import losses

LOGITS = np.array(
    [[2.0, -1.0, 0.5], [0.0, 0.0, 0.0], [-30.0, 40.0, 1.0], [1.0, 2.0, 3.0]], np.float32
)
LABELS = np.array([0, 2, 1, 0], np.int32)
CE, COST, TARGET = jnp.array(2.0), jnp.array(100.0), 80.0


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_cross_entropy_is_that_against_smoothed_targets(smoothing):
    logits = LOGITS.astype(np.float64)
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    targets = (1 - smoothing) * np.eye(3)[LABELS] + smoothing / 3
    expected = -(targets * log_probs).sum(axis=1).mean()
    ours = losses.cross_entropy(jnp.asarray(LOGITS), LABELS, smoothing)
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_cross_entropy_of_equal_logits_is_ln_classes():
    value = losses.cross_entropy(jnp.zeros((2, 10)), jnp.array([3, 7]), 0.1)
    np.testing.assert_allclose(value, np.log(10), rtol=1e-6)


def test_cross_entropy_is_finite_at_huge_logits():
    logits = jnp.array([[1e4, -1e4]])
    loss, gradient = jax.value_and_grad(losses.cross_entropy)(logits, jnp.array([1]))
    assert float(loss) == 2e4
    np.testing.assert_allclose(gradient, [[1, -1]])


def test_accuracy_is_the_share_of_largest_logits():
    # right, wrong (ties go to class 0), right, wrong
    assert float(losses.accuracy(jnp.asarray(LOGITS), LABELS)) == 0.5


def test_worked_values_of_the_reference():
    # method: 2 + 0.1 (100 - 80) / 80, and 0.2 * 2 * (ln 100 / ln 80)^0.3
    linear = objective.add_linear(CE, COST, TARGET, jnp.array(0.1))
    np.testing.assert_allclose(linear, 2.025, rtol=1e-6)
    logarithmic = objective.mul_log(CE, COST, TARGET, 0.2, 0.3)
    np.testing.assert_allclose(logarithmic, 0.406004823, rtol=1e-6)


def test_cost_at_the_target_adds_nothing():
    at_target = jnp.array(TARGET)
    assert float(objective.add_linear(CE, at_target, TARGET, jnp.array(0.1))) == 2.0
    value = objective.mul_log(CE, at_target, TARGET, 0.2, 0.3)
    np.testing.assert_allclose(value, 0.4, rtol=1e-6)


def test_pressure_on_the_cost_is_the_weight_over_the_target():
    pressure = jax.grad(objective.add_linear, argnums=1)
    np.testing.assert_allclose(pressure(CE, COST, TARGET, 0.1), 0.1 / 80, rtol=1e-6)


def test_mul_log_pushes_the_cost_down():
    gradient = jax.grad(objective.mul_log, argnums=1)(CE, COST, TARGET, 0.2, 0.3)
    # 0.2 CE 0.3 (ln E / ln T)^(0.3 - 1) / (E ln T)
    ratio = np.log(100) / np.log(80)
    by_hand = 0.2 * 2 * 0.3 * ratio**-0.7 / (100 * np.log(80))
    np.testing.assert_allclose(gradient, by_hand, rtol=1e-5)


@pytest.mark.parametrize(
    ("smallest", "target"), [(1.0, 80.0), (0.9, 80.0), (5.0, 1.0), (5.0, 0.2)]
)
def test_mul_log_is_refused_where_its_pressure_turns_around(smallest, target):
    with pytest.raises(ValueError, match=r"mul_log needs costs above 1.*constrained"):
        objective.require_above_one(smallest, target)


def test_mul_log_is_accepted_above_one():
    objective.require_above_one(1.001, 1.001)


def test_worked_value_of_the_references_reward():
    # 0.70 * (80 / 100)^0.1
    reward = objective.mnasnet_reward(jnp.array(0.70), COST, TARGET, 0.1)
    np.testing.assert_allclose(reward, 0.684552938, rtol=1e-6)


def test_rewards_at_the_target_are_the_accuracy():
    accuracy, at_target = jnp.array(0.7), jnp.array(TARGET)
    for reward in (objective.mnasnet_reward, objective.tunas_reward):
        np.testing.assert_allclose(reward(accuracy, at_target, TARGET, 0.1), 0.7)


def test_absolute_reward_falls_alike_on_both_sides_of_the_target():
    # 0.7 - 0.2 * |100/80 - 1| and |60/80 - 1|: both 1/4 off
    costs = jnp.array([100.0, 60.0])
    rewards = objective.tunas_reward(jnp.array(0.7), costs, TARGET, 0.2)
    np.testing.assert_allclose(rewards, [0.65, 0.65], rtol=1e-6)
    # the other reward pays for being below
    paid = objective.mnasnet_reward(jnp.array(0.7), costs, TARGET, 0.1)
    assert paid[0] < 0.7 < paid[1]
