"""A search or training goes on from any of its steps as if it had not been stopped."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.config import SearchConfig, SpaceConfig, TrainConfig
from nas_jax.data.batches import Batch
from nas_jax.runs.snapshots import Snapshots
from nas_jax.search import cost, prune, schedule, search_state
from nas_jax.search import loop as search_loop
from nas_jax.spaces import architecture, builders
from nas_jax.training import compiler
from nas_jax.training import loop as training_loop

SPACE = builders.mobile(
    SpaceConfig(
        name="tiny",
        input_size=4,
        classes=10,
        stem_channels=8,
        stem_stride=1,
        first_block_channels=None,
        stage_widths=(8,),
        cells=(1,),
        strides=(1,),
        candidates=("mb3_k3", "mb6_k3", "zero"),
        head_channels=8,
    )
)
# pruned within the joint phase, and an architecture step after the second of 3 steps
CONFIG = SearchConfig(
    warmup_epochs=1,
    joint_epochs=4,
    arch_start_epoch=1,
    batch=4,
    arch_batch=5,
    arch_every=2,
    arch_lr=0.5,
    objective="none",
    prune_below=0.3,
    prune_every_epochs=2,
)
MODEL = cost.CostModel(jnp.asarray(np.arange(3.0)[None], jnp.float32), 1.0)


def data(seed, count):
    numbers = np.random.default_rng(seed)
    images = numbers.normal(size=(count, 4, 4, 3)).astype(np.float32)
    return Batch(images, numbers.integers(10, size=count).astype(np.int32))


def noise(key, images):
    return images + jax.random.normal(key, images.shape)


@pytest.fixture(scope="module")
def compile_once():
    """Steps for every size of the state, compiled at its first use."""
    ready = {}

    def compiled(wanted):
        shapes = jax.tree.map(jnp.shape, [call.arguments for call in wanted.values()])
        return ready.setdefault(str(shapes), compiler.on_first_call(wanted))

    return compiled


def searched(compiled, after=None, between_steps=search_loop.do_nothing, config=CONFIG):
    return search_loop.run(
        jax.random.key(0),
        search_state.SearchProblem(SPACE, config, MODEL, 1.0),
        search_loop.SearchData(data(0, 13), data(1, 11), data(2, 7), noise),
        compile=compiled,
        after=after,
        between_steps=between_steps,
    )


def copied(reached):
    """As it comes from a file: no steps, numbers for metrics."""
    collected = [
        {name: float(value) for name, value in one.items() if name != "search/path"}
        for one in reached.collected
    ]
    state = jax.tree.map(jnp.copy, reached.state)
    return search_loop.Reached(reached.space, state, collected)


def assert_same_bits(ours, theirs):
    def plain(leaf):
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(leaf) if is_key else leaf)

    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(plain(a), plain(b), strict=True),
        ours,
        theirs,
    )


@pytest.fixture(scope="module")
def whole(compile_once):
    """Every point between two steps, the metrics of all epochs, and the last state."""
    points, epochs = [], []

    def keep(reached):
        points.append(copied(reached))

    for one in searched(compile_once, between_steps=keep):
        epochs.append((one.phase, one.metrics, np.asarray(one.probs)))
        points.append(copied(one.reached))
    return points, epochs, copied(one.reached)


def test_points_are_those_after_every_step(whole):
    points, epochs, _ = whole
    assert [int(one.state.step) for one in points] == list(range(1, 16))
    # steps since the epoch began, with those of the alphas
    assert [len(one.collected) for one in points] == [1, 2, 0] * 2 + [1, 3, 0] * 3
    left = [int(one.space.mask.sum()) for one in points]
    assert left[0] == SPACE.mask.sum() > left[-1]
    assert [phase for phase, _, _ in epochs] == ["warmup"] + 4 * ["joint"]


@pytest.mark.parametrize("place", range(15))
def test_search_goes_on_from_any_step_bit_by_bit(whole, compile_once, place):
    points, epochs, last = whole
    found = list(searched(compile_once, points[place]))
    assert len(found) == 5 - (place + 1) // 3
    for ours, theirs in zip(reversed(found), reversed(epochs), strict=False):
        assert (ours.phase, ours.metrics) == theirs[:2]
        np.testing.assert_array_equal(ours.probs, theirs[2])
    if found:
        assert found[-1].space == last.space
        assert_same_bits(found[-1].state, last.state)


def test_point_is_left_alone_by_the_search_that_goes_on(whole, compile_once):
    points, _, _ = whole
    before = copied(points[4])
    list(searched(compile_once, points[4]))
    assert_same_bits(points[4].state, before.state)


def test_pruned_state_comes_back_from_a_file(whole, tmp_path):
    _, _, last = whole
    tx, alphas_tx = schedule.search_weights(CONFIG, 3), schedule.search_alphas(CONFIG)

    def like(notes):
        smaller = prune.restrict(SPACE, np.array(notes["mask"]))
        key = jax.random.key(0)
        return jax.eval_shape(
            lambda: search_state.init(key, smaller, CONFIG, tx, alphas_tx)
        )

    with Snapshots(tmp_path, kept=1) as kept:
        kept.save(15, last.state, {"mask": last.space.mask.tolist()})
    found = Snapshots(tmp_path, kept=1).newest(like, pytest.fail)
    assert jax.tree.structure(found.state) == jax.tree.structure(last.state)
    assert_same_bits(found.state, last.state)


def test_alphas_are_not_pruned_twice_at_one_boundary(whole, compile_once):
    """The state after an epoch is unpruned; what goes on from it prunes it first."""
    points, _, _ = whole
    boundary = points[8]
    assert boundary.space == SPACE
    first = next(searched(compile_once, boundary))
    assert first.space == points[9].space != SPACE


@pytest.mark.parametrize("every", [1, 2, 3, 5])
@pytest.mark.parametrize("start", [0, 1, 2])
def test_architecture_steps_are_counted_as_they_are_taken(every, start):
    config = dataclasses.replace(CONFIG, arch_every=every, arch_start_epoch=start)
    taken = 0
    for step in range(5 * 5):
        assert schedule.arch_steps_before(config, 5, step) == taken
        taken += schedule.is_arch_step(config, 5, step)


# --- training ------------------------------------------------------------------------

TRAINING = TrainConfig(epochs=2, batch=4)


def trained(compiled, after=None, keep=training_loop.save_nothing):
    network = architecture.from_path(SPACE, np.array([0]), "net")
    recipe = training_loop.Recipe(TRAINING, data(0, 13), noise)
    return training_loop.run(
        jax.random.key(0), network, recipe, compile=compiled, after=after, save=keep
    )


def test_training_goes_on_from_any_step_bit_by_bit(compile_once):
    points, epochs = [], []

    def keep(reached):
        collected = jax.tree.map(float, jax.device_get(reached.collected))
        points.append(
            training_loop.Reached(jax.tree.map(jnp.copy, reached.state), collected)
        )

    for one in trained(compile_once, keep=keep):
        epochs.append(one.metrics)
        last = training_loop.Reached(jax.tree.map(jnp.copy, one.state))
        points.append(last)
    assert [int(one.state.step) for one in points] == list(range(1, 7))
    for place, point in enumerate(points[:-1]):
        found = list(trained(compile_once, point))
        assert [one.metrics for one in found] == epochs[(place + 1) // 3 :]
        assert_same_bits(found[-1].state, last.state)
