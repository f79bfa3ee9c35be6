"""Sampling and gate gradients: values by hand, properties, distributions.

Distribution tests draw many independent layers at once from a fixed key and compare
counts with a chi-square bound at the 99.9 % point, so they are deterministic; a sampler
with the wrong probabilities overshoots the bound by far (see the last of them).
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nas_jax.base import PathPair
from nas_jax.config import SearchConfig
from nas_jax.search import cost, gates, schedule
from nas_jax.spaces import builders

L, K = 3, 5
# One compiled program each: all properties use arrays of the same shape.
probabilities = jax.jit(gates.probabilities)
alpha_gradient = jax.jit(gates.alpha_gradient)
sample_path = jax.jit(gates.sample_path)
sample_pair = jax.jit(gates.sample_pair)
pair_probabilities = jax.jit(gates.pair_probabilities)
rescale_pair = jax.jit(gates.rescale_pair)
softmax_vjp = jax.jit(
    lambda alphas, mask, g: jax.vjp(lambda a: gates.probabilities(a, mask), alphas)[1](
        g
    )[0]
)

# 99.9 % points of the chi-square distribution by degrees of freedom
CHI_SQUARE = {2: 13.816, 5: 20.515}
DRAWS = 20_000
THREE = np.log(np.array([1.0, 2.0, 3.0], np.float32))  # p = 1/6, 2/6, 3/6


def arrays(low, high):
    # XLA flushes subnormal numbers to 0
    elements = st.floats(low, high, width=32, allow_subnormal=False)
    return hnp.arrays(np.float32, (L, K), elements=elements)


alphas_of = arrays(-8, 8)
gradients_of = arrays(-4, 4)
# at least one candidate per layer
masks_of = hnp.arrays(np.bool_, (L, K)).map(
    lambda mask: mask | (np.arange(K) == mask.argmin(axis=1)[:, None])
)
seeds = st.integers(0, 2**31 - 1)
few = settings(deadline=None, max_examples=60, derandomize=True)


def exact(alphas, mask):
    """The softmax over the offered candidates, in float64."""
    weights = np.exp(alphas.astype(np.float64)) * mask
    return weights / weights.sum(axis=1, keepdims=True)


# --- probabilities -------------------------------------------------------------------


@few
@given(alphas_of, masks_of)
def test_probabilities_sum_to_1_and_are_exactly_0_where_masked(alphas, mask):
    probs = np.asarray(probabilities(alphas, mask))
    assert (probs[~mask] == 0).all()
    np.testing.assert_allclose(probs.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(probs, exact(alphas, mask), rtol=2e-5, atol=1e-7)


def test_alpha_of_a_masked_candidate_has_no_influence():
    mask = np.array([[True, True, False, False, False]] * L)
    probs, gradient = [], []
    for value in (-1e30, 0.0, 1e30):
        alphas = np.where(mask, 0.5, value).astype(np.float32)
        probs.append(probabilities(alphas, mask))
        gradient.append(softmax_vjp(alphas, mask, jnp.arange(15.0).reshape(L, K)))
    np.testing.assert_array_equal(probs, [np.where(mask, 0.5, 0.0)] * 3)
    # d/dalpha of (0, 1, ...) under p = (1/2, 1/2) is (-1/4, 1/4)
    np.testing.assert_allclose(
        gradient, np.tile([-0.25, 0.25, 0, 0, 0], (3, L, 1)), atol=1e-6
    )


def test_probabilities_of_a_single_candidate_are_1():
    one = gates.probabilities(jnp.array([[7.0], [-3.0]]), jnp.ones((2, 1), bool))
    np.testing.assert_array_equal(one, [[1.0], [1.0]])


# --- gradient of alpha ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("gate_gradients", "thirty_sixths"),
    [
        # p = (1, 2, 3)/6; p_i (G_i - sum p G)
        ((1, 0, 0), (5, -2, -3)),  # sum p G = 1/6
        ((0, 1, 0), (-2, 8, -6)),  # 2/6
        ((0, 0, 1), (-3, -6, 9)),  # 3/6
        ((6, 3, -2), (5 * 6 - 2 * 3 + 3 * 2, -2 * 6 + 8 * 3 + 6 * 2, -18 - 18 - 18)),
        ((4, 4, 4), (0, 0, 0)),
    ],
)
def test_alpha_gradient_is_that_of_equation_4(gate_gradients, thirty_sixths):
    p = jnp.array([[1.0, 2.0, 3.0]]) / 6
    gradient = gates.alpha_gradient(p, jnp.array([gate_gradients], jnp.float32))
    np.testing.assert_allclose(gradient * 36, [thirty_sixths], rtol=1e-6, atol=1e-5)


@few
@given(alphas_of, masks_of, gradients_of)
def test_alpha_gradient_of_a_layer_sums_to_0(alphas, mask, gate_gradients):
    gradient = alpha_gradient(probabilities(alphas, mask), gate_gradients)
    np.testing.assert_allclose(np.sum(gradient, axis=1), 0, atol=5e-6)


@few
@given(alphas_of, masks_of, gradients_of)
def test_alpha_gradient_is_the_softmax_jacobian_times_the_gate_gradient(
    alphas, mask, gate_gradients
):
    gradient = alpha_gradient(probabilities(alphas, mask), gate_gradients)
    oracle = softmax_vjp(alphas, mask, gate_gradients)
    np.testing.assert_allclose(gradient, oracle, atol=5e-6)
    assert (np.asarray(gradient)[~mask] == 0).all()


# --- sampling ------------------------------------------------------------------------


@few
@given(seeds, alphas_of, masks_of)
def test_sampled_candidates_are_offered_and_distinct(seed, alphas, mask):
    key, rows = jax.random.key(seed), np.arange(L)
    assert mask[rows, np.asarray(sample_path(key, alphas, mask))].all()
    active, inactive = (np.asarray(path) for path in sample_pair(key, alphas, mask))
    assert mask[rows, active].all()
    assert mask[rows, inactive].all()
    np.testing.assert_array_equal(active == inactive, mask.sum(axis=1) == 1)


@few
@given(seeds, alphas_of, masks_of)
def test_pair_probabilities_are_the_renormalised_ones(seed, alphas, mask):
    pair = sample_pair(jax.random.key(seed), alphas, mask)
    p = np.take_along_axis(exact(alphas, mask), np.asarray(pair.indices), axis=1)
    q = pair_probabilities(alphas, pair)
    np.testing.assert_allclose(q, p / p.sum(axis=1, keepdims=True), atol=1e-5)


def test_same_key_draws_the_same_and_another_key_another_path():
    alphas, mask = jnp.zeros((40, K)), jnp.ones((40, K), bool)
    first, again, other = (
        np.asarray(sample_path(jax.random.key(seed), alphas, mask))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def chi_square(counts, probabilities):
    expected = np.array(probabilities) * DRAWS
    assert np.sum(counts) == DRAWS
    return float(((np.array(counts) - expected) ** 2 / expected).sum())


@functools.cache
def many_paths():
    alphas = jnp.tile(THREE, (DRAWS, 1))
    mask = jnp.ones((DRAWS, 3), bool)
    return np.asarray(sample_path(jax.random.key(1), alphas, mask))


@functools.cache
def many_pairs():
    alphas = jnp.tile(THREE, (DRAWS, 1))
    mask = jnp.ones((DRAWS, 3), bool)
    return np.asarray(sample_pair(jax.random.key(2), alphas, mask).indices)


def pair_chances():
    """P(active i, inactive j): draws without replacement from p, then i from q.

    P({i, j}) = p_i p_j / (1 - p_i) + p_j p_i / (1 - p_j);  q_i = p_i / (p_i + p_j)
    """
    p = [1 / 6, 2 / 6, 3 / 6]
    return {
        (i, j): (p[i] * p[j] / (1 - p[i]) + p[j] * p[i] / (1 - p[j]))
        * (p[i] / (p[i] + p[j]))
        for i in range(3)
        for j in range(3)
        if i != j
    }


def test_path_frequencies_are_the_probabilities():
    counts = np.bincount(many_paths(), minlength=3)
    assert chi_square(counts, [1 / 6, 2 / 6, 3 / 6]) < CHI_SQUARE[2]


def test_pair_frequencies_are_draws_without_replacement_and_active_from_q():
    chances = pair_chances()
    assert math.isclose(sum(chances.values()), 1)
    pairs = many_pairs()
    counts = [(pairs == pair).all(axis=1).sum() for pair in chances]
    assert chi_square(counts, list(chances.values())) < CHI_SQUARE[5]


def test_layers_are_drawn_independently():
    """Pairs of neighbouring layers: each of the nine combinations as p_i p_j."""
    first, second = many_paths()[0::2], many_paths()[1::2]
    counts = np.bincount(first * 3 + second, minlength=9)
    p = np.array([1.0, 2.0, 3.0]) / 6
    expected = np.outer(p, p).ravel() * DRAWS / 2
    # 99.9 % point at 8 degrees of freedom
    assert ((counts - expected) ** 2 / expected).sum() < 26.125


def test_the_bound_on_frequencies_tells_wrong_samplers():
    pairs = many_pairs()
    counts = [(pairs == pair).all(axis=1).sum() for pair in pair_chances()]
    # the drawing order taken for the active one: P(i, j) = p_i p_j / (1 - p_i)
    p = [1 / 6, 2 / 6, 3 / 6]
    ordered = [p[i] * p[j] / (1 - p[i]) for i, j in pair_chances()]
    assert chi_square(counts, ordered) > 10 * CHI_SQUARE[5]
    assert chi_square(np.bincount(many_paths()), [1 / 3] * 3) > 10 * CHI_SQUARE[2]


def test_pair_of_a_layer_with_one_candidate_is_twice_that_one():
    mask = np.zeros((L, K), bool)
    mask[:, 3] = True
    pair = sample_pair(jax.random.key(0), np.zeros((L, K), np.float32), mask)
    np.testing.assert_array_equal(pair.indices, [[3, 3]] * L)
    q = gates.pair_probabilities(jnp.zeros((L, K)), pair)
    # <dL/dy, o(x)> is the same number for both, so nothing may move
    gradient = gates.scatter_pair(
        gates.alpha_gradient(q, jnp.full((L, 2), 5.0)), pair, K
    )
    np.testing.assert_array_equal(gradient, np.zeros((L, K)))


def test_space_with_one_candidate_per_layer_works():
    alphas, mask = jnp.zeros((L, 1)), jnp.ones((L, 1), bool)
    path = sample_path(jax.random.key(0), alphas, mask)
    pair = sample_pair(jax.random.key(0), alphas, mask)
    np.testing.assert_array_equal(path, [0] * L)
    np.testing.assert_array_equal(pair.indices, [[0, 0]] * L)
    new = rescale_pair(alphas, alphas + 3.0, pair)
    np.testing.assert_allclose(new, alphas, atol=1e-6)


# --- the two-path update -------------------------------------------------------------


def pair_of(active, inactive):
    return PathPair(jnp.array(active), jnp.array(inactive))


def test_scatter_places_active_and_inactive_values():
    values = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    scattered = gates.scatter_pair(values, pair_of([2, 0], [0, 1]), 3)
    np.testing.assert_array_equal(scattered, [[2, 0, 1], [3, 4, 0]])


ADAM = schedule.search_alphas(SearchConfig(arch_lr=0.05))


def two_path_update(tx, opt, alphas, mask, pair, gate_gradients, costs):
    """Straight-through gradient plus expected latency of the pair; Adam; rescale."""
    model = cost.CostModel(costs, 1.0)
    q = gates.pair_probabilities(alphas, pair)
    gradient = gates.scatter_pair(gates.alpha_gradient(q, gate_gradients), pair, K)
    gradient += jax.grad(lambda a: cost.expected_pair(model, a, pair))(alphas)
    with jax.numpy_dtype_promotion("standard"):  # optax joins counts and floats
        updates, opt = tx.update(gradient, opt, alphas)
    updated = optax.apply_updates(alphas, updates)
    return gates.rescale_pair(alphas, updated, pair), updated, opt


@jax.jit
def two_updates(seed, alphas, mask, gate_gradients, costs):
    """Two steps with different pairs: [(alphas, pair, moved, new)] * 2."""
    opt, trail = ADAM.init(alphas), []
    for key in jax.random.split(jax.random.key(seed)):
        pair = gates.sample_pair(key, alphas, mask)
        new, moved, opt = two_path_update(
            ADAM, opt, alphas, mask, pair, gate_gradients[:, :2], costs
        )
        trail.append((alphas, pair.indices, moved, new))
        alphas = new
    return trail


@few
@given(seeds, alphas_of, masks_of, gradients_of, arrays(0, 8))
def test_with_the_pair_expectation_unsampled_probabilities_stay_to_1e_6(
    seed, alphas, mask, gate_gradients, costs
):
    trail = two_updates(seed, alphas, mask, gate_gradients, costs)
    for old, indices, moved, new in jax.tree.map(np.asarray, trail):
        sampled = np.zeros((L, K), bool)
        np.put_along_axis(sampled, indices, True, axis=1)
        # an unsampled alpha does not move at all
        np.testing.assert_array_equal(moved[~sampled], old[~sampled])
        np.testing.assert_array_equal(new[~sampled], old[~sampled])
        drift = np.abs(probabilities(new, mask) - probabilities(old, mask))
        assert drift[~sampled].max(initial=0) <= 1e-6


@few
@given(seeds, alphas_of, masks_of, arrays(-1, 1))
def test_rescale_preserves_the_exponential_sum_of_the_pair(seed, alphas, mask, change):
    pair = sample_pair(jax.random.key(seed), alphas, mask)
    new = np.asarray(rescale_pair(alphas, alphas + change, pair))

    def mass(values):
        two = np.take_along_axis(values, np.asarray(pair.indices), axis=1)
        return np.exp(two.astype(np.float64)).sum(axis=1)

    np.testing.assert_allclose(mass(new), mass(alphas), rtol=5e-6)
    # the difference of the two is the one of the update
    before, after = (
        np.diff(np.take_along_axis(values, np.asarray(pair.indices), axis=1))
        for values in (alphas + change, new)
    )
    np.testing.assert_allclose(after, before, atol=4e-6)


def test_rescale_does_not_overflow_at_large_alphas():
    old = jnp.array([[500.0, 499.0, 498.0]])
    new = rescale_pair(old, old + 1.0, pair_of([0], [1]))
    np.testing.assert_allclose(new, [[500.0, 499.0, 499.0]])


@functools.partial(jax.jit, static_argnums=0)
def drift_of_unsampled(b1):
    """Largest change of an unsampled probability when the pair changes from step 1."""
    tx = optax.adam(0.05, b1=b1, b2=0.999)
    alphas, mask = jnp.zeros((1, K)), jnp.ones((1, K), bool)
    costs, opt = jnp.zeros((1, K)), tx.init(alphas)
    push = jnp.array([[1.0, -1.0]])
    first, second = pair_of([0], [1]), pair_of([2], [3])
    alphas, _, opt = two_path_update(tx, opt, alphas, mask, first, push, costs)
    new, _, _ = two_path_update(tx, opt, alphas, mask, second, push, costs)
    unsampled = np.array([0, 1, 4])
    change = gates.probabilities(new, mask) - gates.probabilities(alphas, mask)
    return jnp.abs(change)[0, unsampled].max()


def test_only_beta1_0_keeps_unsampled_probabilities():
    """Momentum would go on moving the pair of the step before."""
    assert drift_of_unsampled(0.0) <= 1e-6
    assert drift_of_unsampled(0.9) > 1e-3


# --- entropy -------------------------------------------------------------------------


def test_entropy_of_the_untouched_imagenet_space():
    mask = builders.imagenet_mobile().mask
    probs = gates.probabilities(jnp.zeros(mask.shape), mask)
    value = float(gates.entropy(probs))
    assert value == pytest.approx((15 * math.log(7) + 6 * math.log(6)) / 21, rel=1e-6)
    assert round(value, 4) == 1.9019


def test_entropy_of_a_decided_search_is_0_with_finite_gradient():
    one_hot = jnp.eye(3)
    assert float(gates.entropy(one_hot)) == 0
    assert np.isfinite(jax.grad(gates.entropy)(one_hot)).all()
