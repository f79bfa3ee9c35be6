"""Numbers at their edges: extreme alphas, layers without a choice, modes of JAX.

Every case works, with finite numbers, or is refused in a line before it is compiled.
"""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.config import SearchConfig
from nas_jax.search import (
    arch_step,
    cost,
    derivation,
    divergence,
    gates,
    knapsack,
    schedule,
    search_state,
    weight_step,
)
from nas_jax.spaces import builders
from nas_jax.training import finite
from tests import small_run, whole_search

EXTREME = jnp.array([[700.0, -700.0, 0.0], [-700.0, -700.0, 700.0], [0.0, 0.0, 0.0]])
MASK = jnp.array([[True, True, True], [True, True, True], [False, True, False]])
COSTS = jnp.array([[1.0, 2.0, 0.0], [3.0, 5.0, 0.0], [0.0, 2.0, 0.0]])
MODEL = cost.CostModel(COSTS, 1.0)


def is_finite(*trees):
    return not finite.wrong(trees)


# --- alphas --------------------------------------------------------------------------


def test_extreme_alphas_have_certain_gates():
    probs = gates.probabilities(EXTREME, MASK)
    np.testing.assert_array_equal(probs, [[1, 0, 0], [0, 0, 1], [0, 1, 0]])
    np.testing.assert_allclose(gates.entropy(probs), 0, atol=1e-6)
    for seed in range(20):
        key = jax.random.key(seed)
        path = gates.sample_path(key, EXTREME, MASK)
        np.testing.assert_array_equal(path, [0, 2, 1])
        pair = gates.sample_pair(key, EXTREME, MASK)
        np.testing.assert_array_equal(pair.active, [0, 2, 1])
        q = gates.pair_probabilities(EXTREME, pair)
        np.testing.assert_allclose(q.sum(axis=1), 1)
        moved = gates.rescale_pair(EXTREME, EXTREME + 1, pair)
        assert is_finite(q, moved, gates.alpha_gradient(q, jnp.ones((3, 2))))


def test_extreme_alphas_have_finite_gradients():
    def entropy(alphas):
        return gates.entropy(gates.probabilities(alphas, MASK))

    def expected(alphas):
        return cost.expected_full(MODEL, alphas, MASK)

    with jax.debug_nans(True):
        assert is_finite(jax.grad(entropy)(EXTREME), jax.grad(expected)(EXTREME))
    np.testing.assert_allclose(expected(EXTREME), 1.0 + 1 + 0 + 2)


def test_certain_probabilities_are_derived_and_others_where_a_limit_needs_them():
    probs = np.asarray(gates.probabilities(EXTREME, MASK), np.float64)
    limit = derivation.Limit("cost", np.array([[2.0, 5.0, 0.5]]), 0.0, 1.0)
    one = np.array([[1.0, 0.0, 0.0]])
    found = derivation.most_probable_within(whole_search.SPACE, one, [limit])
    assert found.path.tolist() == [2]  # vanished, and all that is left
    assert found.log_prob_given_up > 100
    values = np.where(MASK, np.log(np.maximum(probs, 1e-45)), -np.inf)
    free = np.zeros((1, 3, 3))
    best = knapsack.solve(values, free, np.zeros(1), np.zeros(1))
    assert best.picks.tolist() == [0, 2, 1]


@pytest.mark.slow
@pytest.mark.parametrize("way", whole_search.WAYS, ids=lambda way: way["estimator"])
def test_step_from_extreme_alphas_is_finite(way):
    config = SearchConfig(**way, batch=4, arch_batch=4)
    tx, alphas_tx = schedule.search_weights(config, 10), schedule.search_alphas(config)
    searched = whole_search.SPACE
    state = search_state.init(jax.random.key(0), searched, config, tx, alphas_tx)
    alphas = jnp.array([[700.0, -700.0, -700.0]])
    state = dataclasses.replace(state, alphas=alphas)
    ascent = schedule.multipliers(config, 10)
    weight = weight_step.make_weight_step(
        searched, config, tx=tx, augment=whole_search.keep
    )
    arch = arch_step.make_arch_step(alphas_tx, ascent=ascent)
    state, seen = weight(state, whole_search.data(0, 4))
    assert seen[divergence.PATH].tolist() == [0]
    model = cost.CostModel(jnp.array([[2.0, 3.0, 0.0]]), 1.0)
    problem = search_state.SearchProblem(searched, config, model, jnp.float32(2))
    state, more = arch(state, whole_search.data(1, 4), problem)
    seen.pop(divergence.PATH)
    kept = dataclasses.replace(state, key=None, baseline=None)
    assert is_finite(kept, seen, more)


# --- no choice, no width -------------------------------------------------------------


def changed(**fields):
    base = dataclasses.replace(small_run.EXPERIMENT.space, cells=(1,), head_channels=4)
    return builders.mobile(dataclasses.replace(base, **fields))


SMALL = {
    "one candidate": {"candidates": ("mb3_k3",)},
    "widths of 1": {"stem_channels": 1, "stage_widths": (1,), "head_channels": 1},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", SMALL)
def test_search_of_a_space_as_small_as_can_be(case):
    searched = changed(**SMALL[case])
    last = whole_search.searched(searched)
    kept = dataclasses.replace(last.state, key=None, baseline=None)
    assert is_finite(kept, last.metrics)
    np.testing.assert_allclose(last.probs.sum(axis=1), 1, rtol=1e-6)
    if case == "one candidate":
        np.testing.assert_array_equal(last.probs, [[1.0]])


def test_one_class_leaves_nothing_to_learn():
    with pytest.raises(
        ValueError, match=r"^space.classes: expected at least 2, .*got 1$"
    ):
        changed(classes=1)


@pytest.mark.slow
def test_batches_of_one_image():
    last = whole_search.searched(batch=1, arch_batch=1)
    kept = dataclasses.replace(last.state, key=None, baseline=None)
    assert is_finite(kept, last.metrics)


@pytest.mark.slow
def test_layer_with_zero_only():
    """The shortcut is all that is left of it; its alphas are never asked for."""
    searched = changed(cells=(2,))
    layers = list(searched.layers)
    zero = [op for op in searched.candidates if op.kind == "zero"]
    layers[1] = dataclasses.replace(layers[1], candidates=tuple(zero))
    last = whole_search.searched(dataclasses.replace(searched, layers=tuple(layers)))
    np.testing.assert_array_equal(last.probs[1], [0, 0, 1])
    kept = dataclasses.replace(last.state, key=None, baseline=None)
    assert is_finite(kept, last.metrics)


# --- not finite ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "where"),
    [("stem", "stem"), ("layers", "layer 1 of 1"), ("classifier", "classifier")],
)
def test_first_part_that_is_not_finite_is_named_with_step_and_path(place, where):
    config = SearchConfig()
    tx, alphas_tx = schedule.search_weights(config, 10), schedule.search_alphas(config)
    searched = whole_search.SPACE
    state = search_state.init(jax.random.key(0), searched, config, tx, alphas_tx)
    spoilt = jax.tree.map(lambda leaf: leaf * jnp.nan, state.params[place])
    params = {**state.params, place: spoilt}
    state = dataclasses.replace(state, params=params, step=jnp.int32(7))
    seen = {"search/loss": np.float32(1), divergence.PATH: np.array([1])}
    for one, what in ((seen, "weights"), (seen | {"search/loss": np.nan}, "loss nan")):
        with pytest.raises(ValueError) as caught:
            divergence.require_finite_state(searched, state, [one], 5)
        line = str(caught.value)
        assert line.startswith("the search diverged in epoch 1, weight step 6: ")
        assert what in line
        assert f"on path mb6_k3, first in {where}; lower search.lr" in line


def test_alphas_that_are_not_finite_name_their_layer():
    config = SearchConfig()
    tx, alphas_tx = schedule.search_weights(config, 10), schedule.search_alphas(config)
    searched = whole_search.SPACE
    state = search_state.init(jax.random.key(0), searched, config, tx, alphas_tx)
    state = dataclasses.replace(state, alphas=state.alphas * jnp.nan)
    with pytest.raises(ValueError, match=r"probabilities, first in layer 1 of 1; "):
        divergence.require_finite(searched, state, [], 5)


def test_training_that_diverges_names_step_and_array():
    weights = {"stem": np.ones(2), "head": np.array([np.nan])}
    finite.require("any", [1.0, 2.0], {"stem": np.ones(2)}, 12, 5)
    for losses, step, what in (
        ([1.0, 2.0], 11, "got 1 arrays of weights, first head; lower train.lr"),
        ([np.inf, 2.0], 10, "got loss inf, 1 arrays of weights, first head; "),
    ):
        with pytest.raises(ValueError) as caught:
            finite.require("any", losses, weights, 12, 5)
        start = f"the training of 'any' diverged in epoch 2, step {step}: expected"
        assert str(caught.value).startswith(start)
        assert what in str(caught.value)


@pytest.mark.slow
def test_training_stops_after_the_epoch_in_which_it_diverged():
    config = dataclasses.replace(small_run.EXPERIMENT.train, lr=1e30, batch=4)
    with pytest.raises(ValueError, match=r"^the training of 'any' diverged in epoch 0"):
        whole_search.trained(config)


# --- modes of JAX --------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "mode",
    [
        # the indices that JAX makes have 64 bits then, beside labels of 32
        {"JAX_ENABLE_X64": "1", "JAX_NUMPY_DTYPE_PROMOTION": "standard"},
        {"JAX_DEBUG_NANS": "1"},
    ],
    ids=["x64", "debug_nans"],
)
def test_search_and_training_in_a_mode_of_jax(mode):
    """In 64 bits all that is carried stays Float32; nothing is NaN on the way."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.whole_search"],
        cwd=Path(whole_search.__file__).parents[1],
        env={**os.environ, **mode},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "['float32', 'int32']\n"


def test_nothing_is_promoted_in_any_test():
    with pytest.raises(jax.dtypes.TypePromotionError):
        jnp.ones(2, jnp.float32) + jnp.ones(2, jnp.bfloat16)
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.ones((2, 3)) + jnp.ones(3)
