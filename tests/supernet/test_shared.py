"""Candidates that share weights: parts of the widest network, by masks and cut out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.config.space import ElasticConfig, SpaceConfig
from nas_jax.networks import network
from nas_jax.spaces import architecture, builders, elastic
from nas_jax.spaces.operations import OpSpec
from nas_jax.supernet import shared
from tests import compiled

SPACE = elastic.build(
    ElasticConfig(
        input_sizes=(8, 12),
        input_channels=2,
        classes=3,
        stem_widths=(8, 16),
        stage_choices=((8, 16), (16, 24)),
        cells=(2, 2),
        strides=(1, 2),
        head_channels=16,
    )
)


def drawn(seed, count=1):
    rng = np.random.default_rng(seed)
    for place in range(count):
        shape = int(rng.integers(len(SPACE.shapes)))
        path = [rng.choice(np.flatnonzero(row)) for row in SPACE.masks[shape]]
        yield SPACE.network(shape, np.array(path), f"network_{place}")


def everything():
    return [one for seed in range(5) for one in drawn(seed, 40)]


WIDEST = shared.widest(everything())
PARAMS, STATS = compiled.init(jax.random.key(0), WIDEST)
PARAMS = jax.tree.map(
    lambda leaf: leaf + 0.1 * jax.random.normal(jax.random.key(1), leaf.shape), PARAMS
)


def images(side, seed=0):
    return jax.random.normal(jax.random.key(seed), (6, side, side, 2))


def test_the_widest_network_has_all_choices_in_it():
    assert WIDEST.stem.out_channels == 16
    assert [block.out_channels for block in WIDEST.blocks] == [16, 16, 24, 24]
    assert {block.op.name for block in WIDEST.blocks} == {"mb6_k5"}


def test_a_layer_that_no_network_has_is_left_small():
    shape = len(SPACE.shapes) - 1
    networks = [
        SPACE.network(shape, np.array([first, 6, 0, 6]), "one") for first in (0, 1)
    ]
    within = shared.widest(networks)
    assert [block.op.name for block in within.blocks][1::2] == ["mb2_k3", "mb2_k3"]
    x = images(within.stem.input_size)
    for one in networks:
        own = shared.extract(PARAMS, within)
        found, _ = compiled.apply_masked(
            within,
            own,
            network.zero_stats(within),
            shared.choice(one),
            x,
            train=True,
        )
        alone, _ = compiled.apply(
            one, shared.extract(PARAMS, one), network.zero_stats(one), x, train=True
        )
        np.testing.assert_allclose(found, alone, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("seed", range(6))
def test_masked_is_cut_out(seed):
    (one,) = drawn(seed)
    x = images(one.stem.input_size, seed)
    masked, _ = compiled.apply_masked(
        WIDEST, PARAMS, STATS, shared.choice(one), x, train=True
    )
    _, stats = compiled.init(jax.random.key(0), one)
    cut, _ = compiled.apply(one, shared.extract(PARAMS, one), stats, x, train=True)
    np.testing.assert_allclose(masked, cut, atol=2e-4, rtol=1e-3)


def test_evaluation_takes_the_statistics_of_the_choice():
    (one,) = drawn(2)
    x, choice = images(one.stem.input_size), shared.choice(one)
    _, moved = compiled.apply_masked(WIDEST, PARAMS, STATS, choice, x, train=True)
    masked, same = compiled.apply_masked(WIDEST, PARAMS, moved, choice, x, train=False)
    _, own = compiled.apply(
        one,
        shared.extract(PARAMS, one),
        compiled.init(jax.random.key(0), one)[1],
        x,
        train=True,
    )
    cut, _ = compiled.apply(one, shared.extract(PARAMS, one), own, x, train=False)
    np.testing.assert_allclose(masked, cut, atol=2e-4, rtol=1e-3)
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), moved, same))


def test_networks_of_one_side_may_be_cut_out_together_first():
    few = [one for one in drawn(3, 12) if one.stem.input_size == 8]
    within = shared.widest(few)
    x, choice = images(8), shared.choice(few[0])
    whole, _ = compiled.apply_masked(WIDEST, PARAMS, STATS, choice, x, train=True)
    _, stats = compiled.init(jax.random.key(0), within)
    cut, _ = compiled.apply_masked(
        within, shared.extract(PARAMS, within), stats, choice, x, train=True
    )
    np.testing.assert_allclose(whole, cut, atol=2e-4, rtol=1e-3)


@pytest.mark.slow
def test_only_the_weights_of_the_part_get_a_gradient():
    (one,) = drawn(4)
    x = images(one.stem.input_size)

    def loss(params):
        logits, _ = compiled.apply_masked(
            WIDEST, params, STATS, shared.choice(one), x, train=True
        )
        return (logits**2).sum()

    def of_part(part):
        stats = compiled.init(jax.random.key(0), one)[1]
        return (compiled.apply(one, part, stats, x, train=True)[0] ** 2).sum()

    grads = jax.jit(jax.grad(loss))(PARAMS)
    own = jax.jit(jax.grad(of_part))(shared.extract(PARAMS, one))
    cut = shared.extract(grads, one)
    for found, expected in zip(*map(jax.tree.leaves, (cut, own)), strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-2, rtol=2e-2)
    # what the part leaves out does not move
    total = sum(float(jnp.abs(leaf).sum()) for leaf in jax.tree.leaves(grads))
    inside = sum(float(jnp.abs(leaf).sum()) for leaf in jax.tree.leaves(cut))
    assert inside == pytest.approx(total, rel=1e-3)


def test_one_program_runs_every_network_of_a_side():
    traces = []

    @jax.jit
    def run(choice, x):
        traces.append(1)
        return compiled.apply_masked(WIDEST, PARAMS, STATS, choice, x, train=True)[0]

    answers = [
        run(shared.choice(one), images(8))
        for one in drawn(5, 10)
        if one.stem.input_size == 8
    ]
    assert len(traces) == 1 and len(answers) > 2
    assert not np.allclose(answers[0], answers[1])


def test_operations_that_share_no_weights_are_refused():
    space = builders.mobile(
        SpaceConfig(candidates=("mb1_k3",), cells=(1,), stage_widths=(8,), strides=(1,))
    )
    other = architecture.homogeneous(space, OpSpec.parse("mb1_k3"))
    with pytest.raises(ValueError, match="got mb1_k3; search with weights of their"):
        shared.choice(other)
