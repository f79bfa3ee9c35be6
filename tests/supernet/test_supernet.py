"""The over-parameterised network and the two steps: what moves, what stays, what it
costs."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nas_jax import supernet
from nas_jax.base import PathPair, stream
from nas_jax.config import SearchConfig, SpaceConfig, shipped
from nas_jax.config.space import MBCONV_CANDIDATES
from nas_jax.data.batches import Batch
from nas_jax.networks import network, parts
from nas_jax.search import (
    arch_step,
    cost,
    estimators,
    gates,
    loop,
    schedule,
    search_state,
    weight_step,
)
from nas_jax.search.search_state import SearchProblem
from nas_jax.spaces import builders
from nas_jax.spaces.architecture import from_ops, from_path
from nas_jax.spaces.operations import OpSpec
from nas_jax.supernet import paths
from nas_jax.training import losses
from tests import tiny_spaces
from tests.oracles import conv2d_nhwc
from tests.supernet.plain_candidate import output

SPACE_CONFIG = tiny_spaces.THREE_LAYERS
SPACE = builders.mobile(SPACE_CONFIG)
MASK = jnp.asarray(SPACE.mask)
CONFIG = SearchConfig(
    warmup_epochs=1,
    joint_epochs=1,
    arch_start_epoch=0,
    batch=4,
    arch_batch=4,
    arch_every=1,
    alpha_init_std=0.3,
    objective="none",
    expectation="pair",
    target_ms=6.0,
)
MODEL = cost.CostModel(jnp.where(MASK, jnp.array([2.0, 0.0, 5.0]), 0.0), 1.0)
PROBLEM = SearchProblem(SPACE, CONFIG, MODEL, jnp.float32(6.0))
WEIGHTS_TX = schedule.search_weights(CONFIG, steps_per_epoch=50)
ALPHAS_TX = schedule.search_alphas(CONFIG)


@chex.assert_max_traces(1)
def augment(key, images):
    """Called when the weight step is traced, not when it runs."""
    return images


WEIGHT_STEP = weight_step.make_weight_step(
    SPACE, CONFIG, tx=WEIGHTS_TX, augment=augment
)
ARCH_STEP = arch_step.make_arch_step(ALPHAS_TX)


def data(seed, count=4):
    numbers = np.random.default_rng(seed)
    images = numbers.normal(size=(count, 8, 8, 1)).astype(np.float32)
    return Batch(images, numbers.integers(0, 3, count).astype(np.int32))


def fresh(seed=0):
    """A new state; the steps donate theirs."""
    return search_state.init(jax.random.key(seed), SPACE, CONFIG, WEIGHTS_TX, ALPHAS_TX)


def path_at(state):
    key = stream(state.key, "path", state.step)
    return tuple(gates.sample_path(key, state.alphas, MASK).tolist())


def copies(tree):
    return jax.tree.map(np.array, tree)


def momentum(state):
    return optax.tree.get(state.weight_opt, "trace")


def rows_of_state(state):
    """What every candidate owns: {(layer, op): {kind: one long array}}."""
    owned = {}
    for layer, spec in enumerate(SPACE.layers):
        for op in spec.candidates:
            trees = supernet.candidate(
                SPACE, state.params, state.batch_stats, layer, op
            )
            trees += supernet.candidate(
                SPACE, momentum(state), state.batch_stats, layer, op
            )[:1]
            owned[layer, SPACE.candidates.index(op)] = {
                kind: np.concatenate([np.zeros(0), *map(np.ravel, jax.tree.leaves(t))])
                for kind, t in zip(("params", "stats", "momentum"), trees, strict=True)
            }
    return owned


def moved(before, after):
    """The candidates of which anything changed."""
    return {
        place
        for place, kinds in before.items()
        if any(not np.array_equal(kinds[kind], after[place][kind]) for kind in kinds)
    }


def with_weights(path):
    """The places of a path that own weights: `zero` has none to move."""
    return {
        (layer, k) for layer, k in enumerate(path) if SPACE.candidates[k].kind != "zero"
    }


# --- compiled once -------------------------------------------------------------------


def test_both_steps_are_compiled_once_for_ten_different_paths():
    state, paths = fresh(), set()
    for step in range(60):
        paths.add(path_at(state))
        state, _ = WEIGHT_STEP(state, data(step))
        model = cost.CostModel(MODEL.costs + step, MODEL.fixed)  # another table
        problem = SearchProblem(SPACE, CONFIG, model, jnp.float32(step))
        state, _ = ARCH_STEP(state, data(step + 100), problem)
        if len(paths) == 10:
            break
    assert len(paths) == 10
    assert (WEIGHT_STEP._cache_size(), ARCH_STEP._cache_size()) == (1, 1)


# --- what moves and what stays -------------------------------------------------------


def test_weight_step_moves_the_sampled_candidates_and_no_others():
    state = fresh()
    for step in range(6):  # so that momentum and statistics are no longer initial
        state, _ = WEIGHT_STEP(state, data(step))
    for step in range(6, 9):
        path, before = path_at(state), rows_of_state(state)
        alphas, arch_opt = copies((state.alphas, state.arch_opt))
        state, _ = WEIGHT_STEP(state, data(step))
        after = rows_of_state(state)
        assert moved(before, after) == with_weights(path)
        for place in with_weights(path):
            for kind, values in before[place].items():
                assert not np.array_equal(values, after[place][kind]), (place, kind)
        chex.assert_trees_all_equal((state.alphas, state.arch_opt), (alphas, arch_opt))


def test_arch_step_moves_the_alphas_and_nothing_else():
    state, _ = WEIGHT_STEP(fresh(), data(0))
    kept = (state.params, state.batch_stats, state.weight_opt, state.step)
    kept, alphas = copies(kept), np.array(state.alphas)
    state, _ = ARCH_STEP(state, data(1), PROBLEM)
    chex.assert_trees_all_equal(
        (state.params, state.batch_stats, state.weight_opt, state.step), kept
    )
    assert (np.asarray(state.alphas) != alphas).any(axis=1).all()


def test_validation_changes_nothing():
    state, _ = WEIGHT_STEP(fresh(), data(0))
    kept = (
        copies(jax.random.key_data(state.key)),
        copies(dataclasses.replace(state, key=None)),
    )
    accuracy = loop.make_validate(SPACE)(state, jnp.array([2, 1, 0]), data(1, 12))
    assert 0 <= float(accuracy) <= 1
    chex.assert_trees_all_equal(jax.random.key_data(state.key), kept[0])
    chex.assert_trees_all_equal(dataclasses.replace(state, key=None), kept[1])


def test_labels_are_smoothed_in_weight_steps_only():
    state, batch = fresh(), data(0)

    def on_problem(state, batch):
        return ARCH_STEP(state, batch, PROBLEM)

    pair_key = stream(state.key, "pair", state.step)
    active = gates.sample_pair(pair_key, state.alphas, MASK).active
    for step, path, name, smoothing in (
        (WEIGHT_STEP, jnp.array(path_at(state)), "search/loss", 0.1),
        (on_problem, active, "search/arch_loss", 0.0),
    ):
        logits = along_path(SPACE, state.params, state.batch_stats, path, batch)[0]
        both = [losses.cross_entropy(logits, batch.labels, s) for s in (0.0, 0.1)]
        _, metrics = step(fresh(), batch)
        expected = losses.cross_entropy(logits, batch.labels, smoothing)
        np.testing.assert_allclose(metrics[name], expected, rtol=1e-5)
        assert abs(float(both[0] - both[1])) > 1e-3


def test_alphas_begin_normal_with_the_stated_deviation():
    """N(0, 1e-3) by default, 141 of them in the paper's space."""
    searched, config = builders.imagenet_mobile(), SearchConfig()
    alphas = np.concatenate(
        [
            np.array(search_state.initial_alphas(key, searched, config))[searched.mask]
            for key in jax.random.split(jax.random.key(0), 20)
        ]
    )
    assert len(alphas) == 20 * 141
    # 2820 draws: the standard error of the deviation is 1.3 %, of the mean 2e-5
    np.testing.assert_allclose(alphas.std(), 1e-3, rtol=0.06)
    assert abs(alphas.mean()) < 1e-4
    # a normal distribution has 4.6 % beyond two deviations, a uniform one none
    assert 0.03 < (np.abs(alphas) > 2e-3).mean() < 0.06


# --- the same numbers as the plain network -------------------------------------------


def smooth_loss(logits, labels):
    return losses.cross_entropy(logits, labels, 0.1)


@functools.partial(jax.jit, static_argnums=0)
def along_path(space, params, batch_stats, path, batch):
    """Logits, gradients and statistics of the supernet, by plain autodiff."""
    rows = supernet.rows_of(space, path)
    stats = supernet.gather(batch_stats, rows)

    def loss_fn(params):
        sampled = supernet.gather(params, rows)
        logits, new = supernet.apply(space, sampled, stats, rows, batch.images)
        return smooth_loss(logits, batch.labels), (logits, new)

    grads, (logits, new) = jax.grad(loss_fn, has_aux=True)(params)
    return logits, grads, supernet.scatter(batch_stats, new, rows)


OF_TENSORFLOW = builders.mobile(
    dataclasses.replace(SPACE_CONFIG, padding="same", bn_eps=0.01)
)


@pytest.mark.parametrize("space", [SPACE, OF_TENSORFLOW], ids=["ours", "tensorflow"])
@pytest.mark.parametrize("path", [(0, 0, 2), (2, 1, 0), (2, 2, 1), (0, 1, 1)])
def test_supernet_along_a_path_equals_the_extracted_network(path, space):
    state, batch = fresh(), data(0)
    architecture = from_path(space, path, "some")
    assert architecture.conventions == space.conventions
    logits, grads, stats = along_path(
        space, state.params, state.batch_stats, jnp.array(path), batch
    )
    plain = supernet.extract(space, state.params, state.batch_stats, architecture)

    @jax.jit
    def alone(params, batch_stats):
        def loss_fn(params):
            logits, new = network.apply(
                architecture, params, batch_stats, batch.images, train=True
            )
            return smooth_loss(logits, batch.labels), (logits, new)

        return jax.grad(loss_fn, has_aux=True)(params)

    expected_grads, (expected_logits, expected_stats) = alone(*plain)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
    close(logits, expected_logits)
    ours = supernet.extract(space, grads, stats, architecture)
    jax.tree.map(close, ours, (expected_grads, expected_stats))
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(ours[0])) > 1e-3


def test_inserted_candidate_comes_out_again_and_disturbs_no_other():
    state, op = fresh(), OpSpec.parse("mb6_k5")
    before = rows_of_state(state)
    own, _ = supernet.candidate(SPACE, state.params, state.batch_stats, 1, op)
    values = jax.tree.map(lambda leaf: leaf + 1.0, own)
    params = supernet.insert(SPACE, state.params, 1, op, values, batch_stats=False)
    found, _ = supernet.candidate(SPACE, params, state.batch_stats, 1, op)
    chex.assert_trees_all_equal(found, values)
    after = rows_of_state(dataclasses.replace(state, params=params))
    assert moved(before, after) == {(1, 2)}


def test_extract_refuses_a_network_of_another_space():
    other = builders.mobile(SpaceConfig(name="other", candidates=("mb3_k3",)))
    foreign = from_ops(other, [OpSpec.parse("mb3_k3")] * 21, "foreign")
    state = fresh()
    with pytest.raises(
        ValueError, match="architecture 'foreign' is not a network of space 'tiny'"
    ):
        supernet.extract(SPACE, state.params, state.batch_stats, foreign)


# --- gradients of the gates ----------------------------------------------------------


def surrogate_gate_gradients(state, pair, batch):
    """dL/dg by autodiff through y = g_0 o_active(x) + g_1 o_inactive(x)."""

    def run(part, weights, x):
        return parts.apply(part, *weights, x, True)[0]

    def fixed(name):
        return state.params[name], state.batch_stats[name]

    def loss_fn(gate_values):
        x = run(SPACE.stem, fixed("stem"), batch.images)
        for layer, spec in enumerate(SPACE.layers):
            y = 0.0
            for place, path in enumerate(pair):
                op = SPACE.candidates[path[layer]]
                weights = supernet.candidate(
                    SPACE, state.params, state.batch_stats, layer, op
                )
                y += gate_values[layer, place] * run(spec.block(op), weights, x)
            x = x + y if spec.shortcut else y
        x = run(SPACE.head, fixed("head"), x)
        logits = run(SPACE.classifier, fixed("classifier"), x)
        return losses.cross_entropy(logits, batch.labels)

    return jax.jit(jax.grad(loss_fn))(jnp.tile(jnp.array([1.0, 0.0]), (3, 1)))


@jax.jit
def gate_gradients(state, pair, batch):
    return estimators.two_path_gradients(PROBLEM, state, pair, batch)[:2]


@pytest.mark.parametrize(
    ("active", "inactive"),
    [((0, 0, 2), (2, 2, 0)), ((2, 1, 0), (0, 2, 1))],
    ids=["no_zero", "zero_active_and_inactive"],
)
def test_gate_gradients_are_those_of_the_weighted_sum(active, inactive):
    state, batch = fresh(), data(0)
    pair = PathPair(jnp.array(active), jnp.array(inactive))
    found, alpha_grads = gate_gradients(state, pair, batch)
    expected = surrogate_gate_gradients(state, (active, inactive), batch)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert (np.abs(expected).max(axis=1) > 1e-4).all()
    # the two gradients of a layer cancel, the unsampled candidate gets none
    q = gates.pair_probabilities(state.alphas, pair)
    by_hand = np.zeros(SPACE.mask.shape)
    for layer in range(3):
        slope = q[layer, 0] * q[layer, 1] * (expected[layer, 0] - expected[layer, 1])
        by_hand[layer, active[layer]], by_hand[layer, inactive[layer]] = slope, -slope
    np.testing.assert_allclose(alpha_grads, by_hand, rtol=1e-4, atol=1e-6)


# --- batch statistics ----------------------------------------------------------------


def test_running_variance_takes_the_unbiased_variance_of_the_batch():
    state, batch = fresh(), data(0)
    path, op = (2, 1, 1), OpSpec.parse("mb6_k5")
    _, _, stats = along_path(
        SPACE, state.params, state.batch_stats, jnp.array(path), batch
    )
    stem = state.params["stem"]
    before_bn = conv2d_nhwc(batch.images, np.asarray(stem["kernel"]), 1, 1)

    def check(found, activations):
        values = activations.reshape(-1, activations.shape[-1]).astype(np.float64)
        mean, var = 0.1 * values.mean(0), 0.9 + 0.1 * values.var(0, ddof=1)
        np.testing.assert_allclose(found["mean"], mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found["var"], var, rtol=1e-5)

    check(stats["stem"]["bn"], before_bn)
    mean, var = before_bn.mean((0, 1, 2)), before_bn.var((0, 1, 2))
    x = np.clip((before_bn - mean) / np.sqrt(var + 1e-3), 0, 6)
    params, new = supernet.candidate(SPACE, state.params, stats, 0, op)
    check(new["expand"]["bn"], x @ np.asarray(params["expand"]["kernel"])[0, 0])
    after = dataclasses.replace(state, batch_stats=stats)
    assert moved(rows_of_state(state), rows_of_state(after)) == {(0, 2)}


# --- one path costs one path ---------------------------------------------------------


# One inner width in the small set, two in the large: a switch under autodiff shares
# its residuals among branches of equal shapes, and would pass with both in each set.
# Two branches in every layer: a switch of one is no switch, and takes more memory.
FEW = ("mb6_k5", "mb6_k7")


def temporary_bytes(candidates, **changes):
    """Temporary memory of the compiled weight step of the digits experiment."""
    experiment = shipped.load_experiment("digits_cpu")
    config = experiment.search
    searched = builders.mobile(
        dataclasses.replace(experiment.space, candidates=candidates, **changes)
    )
    tx = schedule.search_weights(config, steps_per_epoch=1)
    step = weight_step.make_weight_step(
        searched, config, tx=tx, augment=lambda key, images: images
    )
    state = jax.eval_shape(
        lambda key: search_state.init(
            key, searched, config, tx, schedule.search_alphas(config)
        ),
        jax.random.key(0),
    )
    batch = Batch(
        jax.ShapeDtypeStruct((config.batch, *searched.input_shape), jnp.float32),
        jax.ShapeDtypeStruct((config.batch,), jnp.int32),
    )
    return step.lower(state, batch).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.slow
def test_memory_of_a_weight_step_does_not_grow_with_the_candidates():
    few, all_seven = temporary_bytes(FEW), temporary_bytes(MBCONV_CANDIDATES)
    print(f"\ntemporary bytes: {few:,} at 2 candidates, {all_seven:,} at 7")
    assert 0 < all_seven <= 1.1 * few


@pytest.mark.slow
def test_memory_bound_tells_a_plain_switch_under_autodiff(monkeypatch):
    used = []

    def plain_switch(layer, i, row, stats, x):
        used.append(layer)
        branches = [functools.partial(output, layer, op) for op in layer.candidates]
        return jax.lax.switch(i, branches, row, x), stats

    monkeypatch.setattr(paths, "mixed_op", plain_switch)
    first_stage = {"stage_widths": (8,), "cells": (2,), "strides": (1,)}
    few = temporary_bytes(FEW, **first_stage)
    all_seven = temporary_bytes(MBCONV_CANDIDATES, **first_stage)
    print(f"\nplain switch: {few:,} at 2 candidates, {all_seven:,} at 7")
    assert len(used) == 2  # the replacement did run: one run of layers, two spaces
    assert all_seven > 1.1 * few


# --- reproducible --------------------------------------------------------------------


def test_path_is_a_function_of_seed_and_step():
    def trained(state, step):
        before = rows_of_state(state)
        state, _ = WEIGHT_STEP(state, data(step))
        return state, moved(before, rows_of_state(state))

    def run(seed):
        state, places = fresh(seed), []
        for step in range(6):
            state, place = trained(state, step)
            places.append(place)
        return places

    places = run(0)
    for step in (5, 2):  # other steps did not run before
        state = dataclasses.replace(fresh(), step=jnp.array(step, jnp.int32))
        assert trained(state, 9)[1] == places[step]
    assert len(set(map(frozenset, places))) > 1
    assert run(1) != places


@pytest.mark.slow
def test_search_with_one_seed_gives_the_same_numbers_twice():
    # every search compiles its steps anew, so the space is as small as can be
    config = dataclasses.replace(
        SPACE_CONFIG, cells=(1,), strides=(1,), candidates=("mb3_k3", "zero")
    )
    smallest = builders.mobile(config)
    model = cost.CostModel(jnp.array([[2.0, 0.0]]), 1.0)

    def run():
        epochs = loop.run(
            jax.random.key(3),
            SearchProblem(smallest, CONFIG, model, 2.0),
            loop.SearchData(
                *(data(0, 8), data(1, 8), data(2, 4)),
                lambda key, images: images + jax.random.normal(key, images.shape),
            ),
        )
        return [(one.metrics, np.array(one.state.alphas), one.phase) for one in epochs]

    first, second = run(), run()
    assert [phase for _, _, phase in first] == ["warmup", "joint"]
    for ours, again in zip(first, second, strict=True):
        assert ours[0] == again[0]
        np.testing.assert_array_equal(ours[1], again[1])
    assert not np.array_equal(first[0][1], first[1][1])
