"""Expected latency: equal to the path's at one-hot, and its gradients by formula."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nas_jax.base import PathPair
from nas_jax.search import cost, gates

L, K = 3, 4
FIXED = 0.75
MASK = np.array(
    [[True, True, True, False], [True, True, False, False], [True, True, True, True]]
)
COSTS = jnp.array([[1.0, 3.0, 2.0, 0.0], [0.5, 0.25, 0.0, 0.0], [4.0, 5.0, 6.0, 0.0]])
MODEL = cost.CostModel(COSTS, FIXED)

few = settings(deadline=None, max_examples=60, derandomize=True)


def arrays(low, high):
    # XLA flushes subnormal numbers to 0
    elements = st.floats(low, high, width=32, allow_subnormal=False)
    return hnp.arrays(np.float32, (L, K), elements=elements)


costs_of, alphas_of = arrays(0, 100), arrays(-5, 5)
paths_of = hnp.arrays(np.int32, (L,), elements=st.integers(0, K - 1))


@jax.jit
def both_ways(costs, path):
    model = cost.CostModel(costs, FIXED)
    one_hot = jax.nn.one_hot(path, K)
    return cost.expected(model, one_hot), cost.of_path(model, path)


@few
@given(costs_of, paths_of)
def test_expectation_at_one_hot_is_the_latency_of_the_path(costs, path):
    expected, of_path = both_ways(costs, path)
    np.testing.assert_allclose(expected, of_path, rtol=1e-6)
    by_hand = FIXED + sum(float(costs[layer, k]) for layer, k in enumerate(path))
    np.testing.assert_allclose(of_path, by_hand, rtol=1e-6)


def test_gradient_by_probability_is_the_table_entry():
    probs = gates.probabilities(jnp.zeros((L, K)), MASK)
    gradient = jax.grad(lambda p: cost.expected(MODEL, p))(probs)
    np.testing.assert_array_equal(gradient, COSTS)


@jax.jit
def full_and_gradient(costs, alphas):
    model = cost.CostModel(costs, FIXED)
    return jax.value_and_grad(lambda a: cost.expected_full(model, a, MASK))(alphas)


@few
@given(costs_of, alphas_of)
def test_gradient_by_alpha_is_p_times_the_excess_over_the_mean(costs, alphas):
    value, gradient = full_and_gradient(costs, alphas)
    weights = np.exp(alphas.astype(np.float64)) * MASK
    p = weights / weights.sum(axis=1, keepdims=True)
    mean = (p * costs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(value, FIXED + mean.sum(), rtol=1e-5)
    np.testing.assert_allclose(gradient, p * (costs - mean), atol=2e-4, rtol=1e-4)
    assert (np.asarray(gradient)[~MASK] == 0).all()


@jax.jit
def pair_and_gradient(alphas, active, inactive):
    pair = PathPair(active, inactive)
    return jax.value_and_grad(lambda a: cost.expected_pair(MODEL, a, pair))(alphas)


@few
@given(alphas_of, paths_of, hnp.arrays(np.int32, (L,), elements=st.integers(1, 3)))
def test_pair_expectation_touches_only_the_pair(alphas, active, distance):
    inactive = (active + distance) % K
    value, gradient = pair_and_gradient(alphas, active, inactive)
    expected, by_hand = FIXED, np.zeros((L, K))
    for layer, (i, j) in enumerate(zip(active, inactive, strict=True)):
        weight_i, weight_j = np.exp(alphas[layer, [i, j]].astype(np.float64))
        q_i, q_j = weight_i / (weight_i + weight_j), weight_j / (weight_i + weight_j)
        f_i, f_j = float(COSTS[layer, i]), float(COSTS[layer, j])
        expected += q_i * f_i + q_j * f_j
        by_hand[layer, i] = q_i * q_j * (f_i - f_j)
        by_hand[layer, j] = q_i * q_j * (f_j - f_i)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, by_hand, atol=1e-5)
    untouched = np.ones((L, K), bool)
    untouched[np.arange(L), active] = untouched[np.arange(L), inactive] = False
    assert (np.asarray(gradient)[untouched] == 0).all()


def test_pair_expectation_of_a_single_candidate_is_its_cost():
    alone = cost.CostModel(jnp.array([[5.0, 9.0]]), 1.0)
    pair = PathPair(jnp.array([0]), jnp.array([0]))
    value, gradient = jax.value_and_grad(lambda a: cost.expected_pair(alone, a, pair))(
        jnp.zeros((1, 2))
    )
    assert float(value) == 6.0
    np.testing.assert_array_equal(gradient, [[0, 0]])


def test_reachable_range_ignores_masked_entries():
    # smallest 1 + 0.25 + 0 (the offered zero), largest 3 + 0.5 + 6
    assert cost.reachable(MODEL, MASK) == (FIXED + 1.25, FIXED + 9.5)


def test_reachable_range_holds_the_expectation():
    smallest, largest = cost.reachable(MODEL, MASK)
    for seed in range(5):
        alphas = jax.random.normal(jax.random.key(seed), (L, K)) * 3
        assert smallest < float(cost.expected_full(MODEL, alphas, MASK)) < largest
