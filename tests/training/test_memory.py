"""One path costs one path: temporary memory of the compiled steps, by the compiler.

Measured against the training step of the plain network that needs most (7x7 kernels,
expansion 6), with `memory_analysis().temp_size_in_bytes`. `pytest -s` prints the sizes.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import pytest

from nas_jax.config import SearchConfig, SpaceConfig, TrainConfig, shipped
from nas_jax.config.space import MBCONV_CANDIDATES
from nas_jax.data.batches import Batch
from nas_jax.networks import network
from nas_jax.search import arch_step, cost, schedule, search_state
from nas_jax.spaces import builders
from nas_jax.spaces.architecture import from_ops
from nas_jax.spaces.operations import OpSpec
from nas_jax.supernet import paths
from nas_jax.training import loop, optim
from tests.supernet.plain_candidate import output

LARGEST = "mb6_k7"
# Two candidates at least: a switch of one is no switch.
FEW = ("mb6_k5", LARGEST)
BOUNDS = {"two_path": 1.3, "full": 1.15}


def digits(candidates=MBCONV_CANDIDATES, **changes):
    config = shipped.load_experiment("digits_cpu").space
    changed = dataclasses.replace(config, candidates=candidates, **changes)
    return builders.mobile(changed), 50


def first_stage(candidates=MBCONV_CANDIDATES):
    """Two layers of the digits space, which compile in seconds."""
    return digits(candidates, stage_widths=(8,), cells=(2,), strides=(1,))


def imagenet(candidates=MBCONV_CANDIDATES):
    """The paper's, at 224x224; the steps are compiled and not run."""
    return builders.mobile(SpaceConfig(candidates=candidates)), 8


def batch_shapes(searched, images):
    return Batch(
        jax.ShapeDtypeStruct((images, *searched.input_shape), jnp.float32),
        jax.ShapeDtypeStruct((images,), jnp.int32),
    )


def temporary_bytes(step, *arguments):
    return step.lower(*arguments).compile().memory_analysis().temp_size_in_bytes


@functools.cache
def arch_step_bytes(make, estimator, candidates=MBCONV_CANDIDATES):
    searched, images = make(candidates)
    config = SearchConfig(estimator=estimator, expectation="full")
    tx = schedule.search_alphas(config)
    model = cost.CostModel(jnp.ones(searched.mask.shape), 1.0)
    ascent = schedule.multipliers(config, steps_per_epoch=5)
    step = arch_step.make_arch_step(tx, ascent=ascent)
    state = jax.eval_shape(
        lambda key: search_state.init(
            key, searched, config, schedule.search_weights(config, 1), tx
        ),
        jax.random.key(0),
    )
    batch = batch_shapes(searched, images)
    problem = search_state.SearchProblem(searched, config, model, 5.0)
    return temporary_bytes(step, state, batch, problem)


@functools.cache
def plain_bytes(make):
    searched, images = make()
    ops = [OpSpec.parse(LARGEST)] * len(searched.layers)
    plain = from_ops(searched, ops, "largest")
    config = TrainConfig()
    tx = optim.train_weights(config, 1)
    step = loop.make_train_step(plain, config, tx, lambda key, images: images)

    def init(key):
        params, batch_stats = network.init(key, plain)
        return loop.TrainState(
            jnp.zeros((), jnp.int32), key, params, batch_stats, tx.init(params)
        )

    state = jax.eval_shape(init, jax.random.key(0))
    return temporary_bytes(step, state, batch_shapes(searched, images))


SPACES = [
    first_stage,
    pytest.param(digits, marks=pytest.mark.slow),
    pytest.param(imagenet, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("make", SPACES)
@pytest.mark.parametrize("estimator", BOUNDS)
def test_architecture_step_takes_the_memory_of_one_path(estimator, make):
    ours, plain = arch_step_bytes(make, estimator), plain_bytes(make)
    print(f"\n{make.__name__}: {estimator} {ours:,}, plain {plain:,} bytes", end=" ")
    print(f"= {ours / plain:.2f}")
    assert 0 < ours <= BOUNDS[estimator] * plain


@pytest.mark.parametrize("make", SPACES)
@pytest.mark.parametrize("estimator", BOUNDS)
def test_memory_does_not_grow_with_the_candidates(estimator, make):
    few, all_seven = (
        arch_step_bytes(make, estimator, candidates)
        for candidates in (FEW, MBCONV_CANDIDATES)
    )
    print(f"\n{make.__name__}: {estimator} {few:,} bytes at 2 candidates, ", end="")
    print(f"{all_seven:,} at 7")
    assert 0 < all_seven <= 1.1 * few


def test_memory_bound_tells_all_candidates_under_autodiff(monkeypatch):
    """The reference's mode `full`: all outputs are kept for the backward pass."""
    used = []

    def weighted_sum(layer, gates, i, table, x):
        used.append(layer)
        return sum(
            gates[k] * output(layer, op, table[k], x)
            for k, op in enumerate(layer.candidates)
        )

    def own_space(candidates=MBCONV_CANDIDATES):
        # of no other test: what is jitted inside would be found again
        return digits(candidates, stage_widths=(16,), cells=(2,), strides=(1,))

    monkeypatch.setattr(paths, "full_op", weighted_sum)
    few = arch_step_bytes(own_space, "full", FEW)
    all_seven = arch_step_bytes(own_space, "full")
    print(f"\nall under autodiff: {few:,} bytes at 2 candidates, {all_seven:,} at 7")
    assert len(used) == 4  # the replacement did run: two layers, two spaces
    assert all_seven > 1.5 * few
    assert all_seven > BOUNDS["full"] * plain_bytes(own_space)
