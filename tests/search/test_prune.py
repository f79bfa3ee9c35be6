"""Pruning while a search runs: what stays is unchanged, what is gone is gone."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import supernet
from nas_jax.config import SearchConfig, SpaceConfig
from nas_jax.data.batches import Batch
from nas_jax.search import cost, gates, loop, prune, schedule, search_state, weight_step
from nas_jax.search.search_state import SearchProblem
from nas_jax.spaces import architecture, builders

SPACE = builders.mobile(
    SpaceConfig(
        name="tiny",
        input_size=8,
        classes=10,
        stem_channels=8,
        stem_stride=1,
        first_block_channels=None,
        stage_widths=(8, 16),
        cells=(1, 1),
        strides=(1, 2),
        candidates=("mb3_k3", "mb6_k3", "mb3_k5", "zero"),
        head_channels=16,
    )
)
MASK = jnp.asarray(SPACE.mask)
CONFIG = SearchConfig(
    warmup_epochs=0,
    joint_epochs=1,
    batch=8,
    arch_batch=8,
    arch_every=1,
    arch_start_epoch=0,
    objective="none",
)
KEEP = np.array([[True, False, False, True], [True, False, True, False]])


def images(count=16):
    rng = np.random.default_rng(0)
    pictures = rng.normal(size=(count, 8, 8, 3)).astype(np.float32)
    return Batch(pictures, (np.arange(count) % 10).astype(np.int32))


@pytest.fixture(scope="module")
def trained():
    """A state with momentum in every table that is sampled."""
    tx, alphas_tx = schedule.search_weights(CONFIG, 2), schedule.search_alphas(CONFIG)
    state = search_state.init(jax.random.key(0), SPACE, CONFIG, tx, alphas_tx)
    step = weight_step.make_weight_step(SPACE, CONFIG, tx=tx, augment=lambda key, x: x)
    batch = jax.tree.map(lambda a: a[:8], images())
    for _ in range(6):
        state, _ = step(state, batch)
    return state


def test_candidates_below_the_threshold_go_and_the_best_stays():
    probs = np.array([[0.5, 0.3, 0.15, 0.05], [0.34, 0.33, 0.33, 0.0]])
    keep = prune.surviving(SPACE, probs, 0.2)
    assert keep.tolist() == [[True, True, False, False], [True, True, True, False]]
    assert prune.surviving(SPACE, probs, 0.9).sum(axis=1).tolist() == [1, 1]


def test_restricted_space_has_the_mask_that_was_asked_for():
    smaller = prune.restrict(SPACE, KEEP)
    np.testing.assert_array_equal(smaller.mask, KEEP)
    assert smaller.architectures == 4
    assert smaller.candidates == SPACE.candidates


def test_what_stays_is_bit_unchanged(trained):
    smaller = prune.restrict(SPACE, KEEP)
    small = prune.shrink(SPACE, smaller, trained)
    for layer, row in np.argwhere(KEEP):
        op = SPACE.candidates[row]
        before = supernet.candidate(
            SPACE, trained.params, trained.batch_stats, layer, op
        )
        after = supernet.candidate(smaller, small.params, small.batch_stats, layer, op)
        chex.assert_trees_all_equal(before, after)
    np.testing.assert_array_equal(trained.alphas, small.alphas)


def test_momentum_is_cut_with_its_weights(trained):
    smaller = prune.restrict(SPACE, KEEP)
    small = prune.shrink(SPACE, smaller, trained)

    def shapes(tree):
        return [leaf.shape for leaf in jax.tree.leaves(tree)]

    momentum = [
        leaf
        for leaf in jax.tree.leaves(
            small.weight_opt, is_leaf=lambda t: isinstance(t, dict) and "layers" in t
        )
        if isinstance(leaf, dict)
    ]
    assert momentum
    assert all(shapes(tree) == shapes(small.params) for tree in momentum)


def test_network_of_the_survivors_is_the_same_before_and_after(trained):
    smaller = prune.restrict(SPACE, KEEP)
    small = prune.shrink(SPACE, smaller, trained)
    found = architecture.from_path(SPACE, np.array([3, 2]), "found")
    before = supernet.extract(SPACE, trained.params, trained.batch_stats, found)
    after = supernet.extract(smaller, small.params, small.batch_stats, found)
    chex.assert_trees_all_equal(before, after)


def test_stored_weights_fall(trained):
    smaller = prune.restrict(SPACE, KEEP)
    small = prune.shrink(SPACE, smaller, trained)

    def size(state):
        return sum(leaf.size for leaf in jax.tree.leaves(state.params["layers"]))

    assert size(small) < 0.6 * size(trained)


@pytest.mark.slow
def test_search_prunes_and_goes_on_with_the_smaller_supernet():
    """With a threshold above 1/4 the undecided first layer falls to few candidates."""
    config = dataclasses.replace(
        CONFIG, joint_epochs=4, arch_lr=0.5, prune_below=0.24, prune_every_epochs=2
    )
    model = cost.CostModel(jnp.zeros(SPACE.mask.shape), 1.0)
    data = images()
    epochs = list(
        loop.run(
            jax.random.key(0),
            SearchProblem(SPACE, config, model, 1.0),
            loop.SearchData(data, data, data, lambda key, x: x),
        )
    )
    left = [int((np.asarray(one.probs) > 0).sum()) for one in epochs]
    assert left[0] == left[1] == SPACE.mask.sum()
    assert left[3] <= left[2] < left[1]
    assert [one.metrics["search/candidates"] for one in epochs] == left
    for one in epochs:
        np.testing.assert_allclose(np.asarray(one.probs).sum(axis=1), 1, atol=1e-5)
    gone = (np.asarray(epochs[2].probs) == 0) & SPACE.mask
    assert not np.asarray(epochs[3].probs)[gone].any()
    sampled = gates.sample_path(jax.random.key(1), epochs[3].state.alphas, MASK)
    assert sampled.shape == (2,)


def test_threshold_that_chance_is_under_is_refused():
    """At four candidates an undecided one has 0.25: pruning would be a draw."""
    prune.require_below_chance(SPACE, 0.24)
    with pytest.raises(ValueError, match=r"expected less than 1/4, .* got 0\.25"):
        prune.require_below_chance(SPACE, 0.25)


@pytest.mark.slow
def test_nothing_is_pruned_before_the_first_architecture_step():
    """The alphas of the first epoch are as drawn: far apart here, and chance."""
    config = dataclasses.replace(
        CONFIG,
        joint_epochs=3,
        arch_start_epoch=1,
        alpha_init_std=2.0,
        prune_below=0.2,
        prune_every_epochs=1,
    )
    model = cost.CostModel(jnp.zeros(SPACE.mask.shape), 1.0)
    data = images()
    epochs = loop.run(
        jax.random.key(0),
        SearchProblem(SPACE, config, model, 1.0),
        loop.SearchData(data, data, data, lambda key, x: x),
    )
    left = [one.metrics["search/candidates"] for one in epochs]
    assert left[0] == left[1] == SPACE.mask.sum() > left[2]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        # the first step is with weights as drawn; the path has a name for each layer
        (
            {"lr": 1e30},
            r"the search diverged in epoch 0, weight step 1: expected finite numbers, "
            r"got loss nan on path (mb\d_k\d|zero) mb\d_k\d, first in stem; lower sear",
        ),
        (
            {"arch_lr": 1e39},
            r"weight step 1: expected .*, got \d non-finite prob.* in layer 1 of 2; ",
        ),
    ],
)
# the rate is infinite in float32, which NumPy warns of
@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.slow
def test_search_that_diverges_stops_and_says_so(values, message):
    """Before anything is pruned or derived from numbers that mean nothing."""
    config = dataclasses.replace(
        CONFIG, joint_epochs=3, prune_below=0.2, prune_every_epochs=1, **values
    )
    model = cost.CostModel(jnp.zeros(SPACE.mask.shape), 1.0)
    data = images()
    with pytest.raises(ValueError, match=message):
        list(
            loop.run(
                jax.random.key(0),
                SearchProblem(SPACE, config, model, 1.0),
                loop.SearchData(data, data, data, lambda key, x: x),
            )
        )


@pytest.mark.parametrize(
    ("below", "every", "message"),
    [
        (0.1, 0, "search.prune_every_epochs: expected 1 or more with search.prune"),
        (0.0, 5, "search.prune_below: expected above 0 with search.prune_every"),
        (1.0, 5, "search.prune_below: expected below 1, got 1.0"),
        (-0.1, 5, "search.prune_below: expected at least 0, got -0.1"),
        (0.1, -1, "search.prune_every_epochs: expected at least 0, got -1"),
        (0.1, 120, "search.prune_every_epochs: expected less than search.joint_epoch"),
    ],
)
def test_half_a_pruning_schedule_is_refused(below, every, message):
    with pytest.raises(ValueError, match=message):
        SearchConfig(prune_below=below, prune_every_epochs=every)
