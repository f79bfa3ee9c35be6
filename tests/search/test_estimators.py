"""The estimators of the alphas' gradient: values by hand, oracles, what moves.

Their bias and variance against the exact gradient: benchmarks/tests/test_benchmarks.py.
"""

import dataclasses
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import supernet
from nas_jax.config import SearchConfig
from nas_jax.data.batches import Batch
from nas_jax.networks import parts
from nas_jax.search import (
    arch_step,
    cost,
    estimators,
    gates,
    reinforce,
    schedule,
    search_state,
    spendable,
)
from nas_jax.search.search_state import SearchProblem
from nas_jax.spaces import builders
from nas_jax.training import losses
from nas_jax.training.devices import PLAIN
from tests import tiny_spaces

SPACE = builders.mobile(tiny_spaces.THREE_LAYERS)
MASK = jnp.asarray(SPACE.mask)
MODEL = cost.CostModel(jnp.where(MASK, jnp.array([2.0, 0.0, 5.0]), 0.0), 1.0)
TARGET = 6.0


def config(estimator, **changes):
    settings = {
        "two_path": {},
        "full": {"expectation": "full"},
        "reinforce": {
            "expectation": "full",
            "objective": "mnasnet",
            "reinforce_samples": 3,
        },
    }[estimator]
    return SearchConfig(
        estimator=estimator, alpha_init_std=0.3, **{**settings, **changes}
    )


def fresh(one, seed=0):
    tx = schedule.search_weights(one, steps_per_epoch=50)
    key = jax.random.key(seed)
    return search_state.init(key, SPACE, one, tx, schedule.search_alphas(one))


def data(seed, count=4):
    numbers = np.random.default_rng(seed)
    images = numbers.normal(size=(count, 8, 8, 1)).astype(np.float32)
    return Batch(images, numbers.integers(0, 3, count).astype(np.int32))


def copies(tree):
    return jax.tree.map(np.array, tree)


# --- full ----------------------------------------------------------------------------


def surrogate(state, path, batch):
    """dCE/dg by autodiff through y = sum_k g_k o_k(x), all candidates evaluated."""

    def run(part, weights, x):
        return parts.apply(part, *weights, x, True)[0]

    def fixed(name):
        return state.params[name], state.batch_stats[name]

    def loss_fn(gate_values):
        x = run(SPACE.stem, fixed("stem"), batch.images)
        for layer, spec in enumerate(SPACE.layers):
            y = 0.0
            for op in spec.candidates:
                weights = supernet.candidate(
                    SPACE, state.params, state.batch_stats, layer, op
                )
                gate = gate_values[layer, SPACE.candidates.index(op)]
                y += gate * run(spec.block(op), weights, x)
            x = x + y if spec.shortcut else y
        x = run(SPACE.head, fixed("head"), x)
        logits = run(SPACE.classifier, fixed("classifier"), x)
        return losses.cross_entropy(logits, batch.labels)

    return jax.grad(loss_fn)(jax.nn.one_hot(path, 3))


surrogate = jax.jit(surrogate)


@pytest.mark.parametrize("path", [(0, 0, 2), (2, 1, 0), (2, 1, 1)])
def test_gate_gradients_of_all_candidates_are_those_of_the_weighted_sum(path):
    one = config("full", objective="none")
    state, batch, path = fresh(one), data(0), jnp.array(path)
    found, alpha_grads, _ = estimators.full_gradients(
        SearchProblem(SPACE, one, MODEL, TARGET), state, path, batch
    )
    expected = surrogate(state, path, batch)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    # Zero, active or not, has output 0; layer 0 does not offer it
    np.testing.assert_array_equal(found[:, 1], [0, 0, 0])
    assert (np.abs(expected)[:, [0, 2]] > 1e-5).all()
    p = np.array(gates.probabilities(state.alphas, MASK), np.float64)
    by_hand = [p[i] * (expected[i] - (p[i] * expected[i]).sum()) for i in range(3)]
    np.testing.assert_allclose(alpha_grads, by_hand, rtol=1e-4, atol=1e-7)


def test_full_adds_the_gradient_of_the_expected_cost_of_every_candidate():
    batch, path = data(0), jnp.array([0, 1, 2])
    without = config("full", objective="none")
    with_cost = config("full", objective="add_linear", penalty=0.5)
    state = fresh(with_cost)
    grads = [
        estimators.full_gradients(
            SearchProblem(SPACE, one, MODEL, TARGET), state, path, batch
        )[1]
        for one in (with_cost, without)
    ]
    # dE/dalpha_i = p_i (F_i - sum p F), weighted 0.5 / T; Zero costs 0 and is cheap
    p, costs = gates.probabilities(state.alphas, MASK), MODEL.costs
    by_hand = p * (costs - (p * costs).sum(axis=1, keepdims=True)) * 0.5 / TARGET
    np.testing.assert_allclose(grads[0] - grads[1], by_hand, atol=1e-6)
    assert (by_hand[1:, 1] < -1e-3).all()


# --- reinforce -----------------------------------------------------------------------


def test_score_gradient_by_hand():
    # p = (1/2, 1/4, 1/4); paths 0 and 2, advantages 1 and -2:
    # (1 (p - (1, 0, 0)) - 2 (p - (0, 0, 1))) / 2 = (-p - (1, 0, -2)) / 2
    p = jnp.array([[0.5, 0.25, 0.25]])
    found = reinforce.score_gradient(p, jnp.array([[0], [2]]), jnp.array([1.0, -2.0]))
    np.testing.assert_allclose(found, [[-0.75, -0.125, 0.875]])


def test_score_gradient_is_that_of_minus_the_log_likelihood():
    numbers = np.random.default_rng(0)
    alphas = jnp.asarray(numbers.normal(size=(3, 3)), jnp.float32)
    paths = jnp.array([[0, 1, 2], [2, 0, 0], [2, 2, 1], [0, 0, 0]])
    advantages = jnp.array([0.3, -1.0, 2.0, 0.1])

    def surrogate_loss(alphas):
        log_p = jnp.log(gates.probabilities(alphas, MASK))
        chosen = log_p[jnp.arange(3), paths].sum(axis=1)
        return -(advantages * chosen).mean()

    found = reinforce.score_gradient(
        gates.probabilities(alphas, MASK), paths, advantages
    )
    np.testing.assert_allclose(found, jax.grad(surrogate_loss)(alphas), atol=1e-6)


def test_leave_one_out_is_the_mean_of_the_others():
    rewards = np.array([0.5, 0.7, 0.9, 0.1], np.float32)
    expected = [np.delete(rewards, m).mean() for m in range(4)]
    found = reinforce.leave_one_out(jnp.asarray(rewards))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_moving_baseline_is_the_references_recursion():
    baseline = jnp.array(jnp.nan)
    expected = [2.0, 2.0 + 0.99 * (5.0 - 2.0), 4.97 + 0.99 * (1.0 - 4.97)]
    for mean, value in zip((2.0, 5.0, 1.0), expected, strict=True):
        rewards = jnp.array([mean - 1, mean + 1])
        baseline = reinforce.moving_baseline(baseline, rewards)
        np.testing.assert_allclose(baseline, value, rtol=1e-6)


@pytest.mark.parametrize("name", ["leave_one_out", "reference"])
@pytest.mark.slow
def test_networks_are_rewarded_by_their_accuracy_and_cost(name):
    one = config("reinforce", reinforce_baseline=name)
    state, batch = fresh(one), data(0, 12)
    state = dataclasses.replace(state, baseline=jnp.array(0.25))
    paths = jnp.array([[0, 1, 2], [2, 0, 0], [0, 0, 1]])
    found = estimators.reinforce_gradients(
        SearchProblem(SPACE, one, MODEL, TARGET), state, paths, batch
    )
    accuracies = [
        float(losses.accuracy(path_logits(state, path, batch), batch.labels))
        for path in paths
    ]
    assert len(set(accuracies)) > 1
    costs = np.array([1 + 2 + 0 + 5, 1 + 5 + 2 + 2, 1 + 2 + 2 + 0])
    rewards = np.array(accuracies) * (TARGET / costs) ** 0.1
    if name == "leave_one_out":
        baselines, after = (rewards.sum() - rewards) / 2, 0.25
    else:
        baselines = after = 0.25 + 0.99 * (rewards.mean() - 0.25)
    p = np.array(gates.probabilities(state.alphas, MASK))
    expected = np.mean(
        [
            (reward - b) * (p - np.eye(3)[path])
            for reward, b, path in zip(
                rewards, np.broadcast_to(baselines, 3), paths, strict=True
            )
        ],
        axis=0,
    )
    np.testing.assert_allclose(found.alpha_gradients, expected, atol=1e-6)
    np.testing.assert_allclose(found.baseline, after, rtol=1e-6)
    np.testing.assert_allclose(found.metrics["search/arch_reward"], rewards.mean())


@jax.jit
def path_logits(state, path, batch):
    rows = supernet.rows_of(SPACE, path)
    sampled = supernet.gather(state.params, rows)
    stats = supernet.gather(state.batch_stats, rows)
    return supernet.apply(SPACE, sampled, stats, rows, batch.images)[0]


@pytest.mark.parametrize(("target", "is_exceeded"), [(TARGET, True), (20.0, False)])
def test_reward_under_the_constraint_adds_the_gradient_of_the_expected_cost(
    target, is_exceeded
):
    """dE/dalpha_i / T = p_i (F_i - sum p F) / T, weighted lambda + rho (E/T - 1).

    The reward is the accuracy alone. All networks take at most 16 of 20 and lambda is
    small: there the constraint lets go.
    """
    one, plain = (
        config("reinforce", objective=name) for name in ("constrained", "none")
    )
    state = dataclasses.replace(
        fresh(one), multipliers=jnp.array(0.3), penalty_weight=jnp.array(2.0)
    )
    paths, batch = jnp.array([[0, 1, 2], [2, 0, 0], [0, 0, 1]]), data(0, 12)
    is_spent = jnp.asarray(spendable.is_spent(SPACE.mask, MODEL, target))
    found, without = (
        estimators.reinforce_gradients(
            SearchProblem(SPACE, each, MODEL, target, is_spent), state, paths, batch
        )
        for each in (one, plain)
    )
    p, costs = np.array(gates.probabilities(state.alphas, MASK)), np.array(MODEL.costs)
    excess = (1 + (p * costs).sum()) / target - 1
    assert (0.3 + 2.0 * excess > 0) == is_exceeded
    weight = (0.3 + 2.0 * excess if is_exceeded else 0.0) / target
    by_hand = weight * p * (costs - (p * costs).sum(axis=1, keepdims=True))
    added = found.alpha_gradients - without.alpha_gradients
    np.testing.assert_allclose(added, by_hand, atol=1e-6)
    assert np.abs(without.alpha_gradients).max() > 1e-3
    np.testing.assert_array_equal(
        found.metrics["search/arch_reward"], found.metrics["search/arch_accuracy"]
    )


def test_sampled_networks_differ_and_are_offered():
    one = config("reinforce", reinforce_samples=50)
    paths = np.array(
        estimators.of(one).sample(jax.random.key(0), jnp.zeros(MASK.shape), MASK, one)
    )
    assert paths.shape == (50, 3)
    assert SPACE.mask[np.arange(3), paths].all()
    # all 2 * 3 * 3 networks would be 18
    assert len(set(map(tuple, paths))) > 12


def test_baseline_moves_once_in_a_step_however_many_parts_its_batch_has():
    one = config("reinforce", reinforce_baseline="reference")
    state, batch = fresh(one), data(0, 12)
    state = dataclasses.replace(state, baseline=jnp.float32(0.1))
    paths = jnp.array([[0, 1, 2], [2, 0, 0], [0, 0, 1]])
    problem = SearchProblem(SPACE, one, MODEL, TARGET)
    devices = dataclasses.replace(PLAIN, accumulate=3)
    found = arch_step.mean_over_parts(problem, state, paths, batch, devices)
    parts = [
        estimators.reinforce_gradients(
            problem, state, paths, Batch(*(array[first::3] for array in batch))
        )
        for first in range(3)
    ]
    gradients = np.mean([part.alpha_gradients for part in parts], axis=0)
    np.testing.assert_allclose(found.alpha_gradients, gradients, atol=1e-6)
    # 0.1 + 0.99 (mean reward - 0.1)
    reward = np.mean([part.metrics["search/arch_reward"] for part in parts])
    assert float(found.baseline) == pytest.approx(0.001 + 0.99 * reward, abs=1e-6)


# --- the step ------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ["full", "reinforce"])
def test_step_moves_the_alphas_and_nothing_else_and_is_compiled_once(estimator):
    one = config(estimator, reinforce_baseline="reference")
    ascent = schedule.multipliers(one, steps_per_epoch=5)
    step = arch_step.make_arch_step(schedule.search_alphas(one), ascent=ascent)
    state = fresh(one)
    kept = copies((state.params, state.batch_stats, state.weight_opt, state.step))
    for seed in range(3):
        alphas, baseline = np.array(state.alphas), float(state.baseline)
        multiplier, weight = float(state.multipliers), float(state.penalty_weight)
        wanted = jnp.float32(TARGET + seed)
        problem = SearchProblem(SPACE, one, MODEL, wanted)
        state, metrics = step(state, data(seed, 12), problem)
        if estimator == "full":  # the default objective: the multiplier follows E
            expected = cost.expected_full(MODEL, state.alphas, MASK)
            multiplier += ascent.rate * weight * float(expected / wanted - 1)
        np.testing.assert_allclose(state.multipliers, multiplier, rtol=1e-5)
        state = dataclasses.replace(state, key=jax.random.key(seed))
        assert (np.array(state.alphas) != alphas)[SPACE.mask].any()
        assert all(np.isfinite(value) for value in metrics.values())
        assert (float(state.baseline) == baseline) == (
            estimator == "full" and not np.isnan(baseline)
        )
    chex.assert_trees_all_equal(
        (state.params, state.batch_stats, state.weight_opt, state.step), kept
    )
    assert step._cache_size() == 1


# --- configuration -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alias", "name"), [("two", "two_path"), ("full_v2", "full"), ("rl", "reinforce")]
)
def test_names_of_the_reference_mean_the_same(alias, name):
    settings = {"expectation": "full", "objective": "none"}
    by_alias = SearchConfig(estimator=alias, **settings)
    assert by_alias == SearchConfig(estimator=name, **settings)
    assert by_alias.estimator == name


def test_default_is_the_papers_two_path_update_under_the_constraint():
    default = SearchConfig()
    assert (default.estimator, default.objective, default.expectation) == (
        *("two_path", "constrained", "full"),
    )


@pytest.mark.parametrize("estimator", ["full", "full_v2", "reinforce", "rl"])
def test_pair_expectation_without_pairs_is_refused(estimator):
    with pytest.raises(
        ValueError, match=r"expectation: expected 'full' with estimator"
    ):
        estimators.of(
            SearchConfig(estimator=estimator, objective="none", expectation="pair")
        )


def test_objective_that_an_estimator_cannot_follow_is_refused():
    by_loss, by_reward = ("add_linear", "mul_log"), ("mnasnet", "tunas")
    wrong = [
        *itertools.product(("two_path", "full"), by_reward),
        *itertools.product(("reinforce",), by_loss),
    ]
    for estimator, name in wrong:
        with pytest.raises(
            ValueError, match=f"objective: .* with estimator {estimator}"
        ):
            estimators.of(SearchConfig(estimator=estimator, objective=name))


def test_a_single_sample_is_refused():
    with pytest.raises(ValueError, match="reinforce_samples: expected at least 2"):
        SearchConfig(reinforce_samples=1)
