"""A training with everything that a recipe has: pure, resumable, the same in parts."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.config.data import DataConfig
from nas_jax.config.experiment import TrainConfig
from nas_jax.data import augment
from nas_jax.data.batches import Batch
from nas_jax.data.mixing import Mixed
from nas_jax.networks import network
from nas_jax.networks.checkpoint import Model
from nas_jax.runs.snapshots import Snapshots
from nas_jax.search import baselines
from nas_jax.spaces import builders
from nas_jax.spaces.parts import Hidden
from nas_jax.training import loop, losses
from nas_jax.training.devices import PLAIN
from tests import compiled, small_run
from tests.search.test_resume_steps import assert_same_bits

SPACE = builders.build(
    dataclasses.replace(small_run.EXPERIMENT.space, input_channels=3)
)
NETWORK = baselines.hand_designed(SPACE)
FULL = TrainConfig(
    epochs=3,
    batch=4,
    optimiser="adamw",
    lr=0.01,
    warmup_epochs=0.7,
    decays="weights",
    ema_epochs=0.5,
    dropout=0.3,
    augmentation="trivial",
    mixup_alpha=0.4,
    cutmix_alpha=1.0,
    class_weights="balanced",
)
DATA = DataConfig(name="cifar10", shift_pixels=1, flip=True)


def pictures(count=13):
    numbers = np.random.default_rng(0)
    images = numbers.integers(0, 256, (count, *SPACE.input_shape), np.uint8)
    classes = NETWORK.classifier.classes
    return Batch(images, numbers.integers(classes, size=count).astype(np.int32))


def recipe(devices=PLAIN, **changes):
    config = dataclasses.replace(FULL, **changes)
    return loop.Recipe(
        config, pictures(), augment.of(DATA, config.augmentation), devices
    )


KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def compile_once():
    ready = {}

    def compiled(wanted):
        return ready.setdefault("step", {n: c.function for n, c in wanted.items()})

    return compiled


@pytest.fixture(scope="module")
def whole(compile_once):
    """Every point between two steps, the metrics of all epochs."""
    points, epochs = [], []

    def keep(reached):
        collected = jax.tree.map(float, jax.device_get(reached.collected))
        points.append(loop.Reached(jax.tree.map(jnp.copy, reached.state), collected))

    for one in loop.run(KEY, NETWORK, recipe(), compile=compile_once, save=keep):
        epochs.append(one.metrics)
        points.append(loop.Reached(jax.tree.map(jnp.copy, one.state)))
    return points, epochs


@pytest.mark.parametrize("place", range(8))
def test_it_goes_on_from_any_step_bit_by_bit(whole, compile_once, place):
    points, epochs = whole
    running = loop.run(
        KEY, NETWORK, recipe(), compile=compile_once, after=points[place]
    )
    found = list(running)
    assert [one.metrics for one in found] == epochs[(place + 1) // 3 :]
    assert_same_bits(found[-1].state, points[-1].state)


def test_snapshots_hold_the_average(whole, tmp_path):
    state = whole[0][4].state
    assert jax.tree.leaves(state.average)

    def like(notes):
        return jax.eval_shape(lambda: loop.init(KEY, NETWORK, recipe()))

    with Snapshots(tmp_path, kept=1) as kept:
        kept.save(5, state, {})
    found = Snapshots(tmp_path, kept=1).newest(like, pytest.fail)
    assert_same_bits(found.state, state)


def test_what_is_shipped_is_the_average_of_the_last_steps(whole):
    """Half an epoch of 3 steps reaches 1.5 of them: 2/3 of the newest, 2/9 before."""
    states = [point.state for point in whole[0]]
    average = states[0].params
    for state in states[1:]:
        average = jax.tree.map(lambda a, w: a + (w - a) / 1.5, average, state.params)
    shipped = loop.trained(NETWORK, states[-1], PLAIN)
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, atol=1e-5),
        shipped.params,
        average,
    )
    is_moved = jax.tree.map(
        lambda a, b: bool(np.any(a != b)), shipped.batch_stats, states[-1].batch_stats
    )
    assert all(jax.tree.leaves(is_moved))


def test_without_an_average_the_last_weights_are_shipped():
    state = loop.init(KEY, NETWORK, recipe(ema_epochs=0.0))
    assert state.average == ()
    shipped = loop.trained(NETWORK, state, PLAIN)
    assert_same_bits((shipped.params, shipped.batch_stats), state.weights)


def test_parts_of_a_batch_draw_as_the_whole_of_it(monkeypatch):
    """With the running statistics in place of those of a part, all is the same."""
    plain = network.apply

    def as_evaluated(*arguments, train, kept):
        return plain(*arguments, train=False, kept=kept)

    monkeypatch.setattr(network, "apply", as_evaluated)
    found = []
    for parts in (1, 2):
        devices = dataclasses.replace(PLAIN, accumulate=parts)
        given = recipe(devices, optimiser="sgd", augmentation="data")
        state = loop.init(KEY, NETWORK, given)
        state = dataclasses.replace(state, step=state.step + 5)  # not of a rate of 0
        step = loop.make_train_step(NETWORK, given)
        after, metrics = step(state, given.batches(KEY)(5))
        found.append((after.params, metrics))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), *found)


def test_batch_that_the_data_do_not_fill_is_refused_at_once():
    with pytest.raises(ValueError) as caught:
        next(loop.run(KEY, NETWORK, recipe(batch=14)))
    assert str(caught.value) == (
        "train.batch: expected at most the 13 images of the data, got 14; lower it"
    )


# --- dropout -------------------------------------------------------------------------


WITH_HIDDEN = dataclasses.replace(
    NETWORK,
    classifier=dataclasses.replace(NETWORK.classifier, hidden=Hidden(7)),
)


@pytest.mark.parametrize("one", [NETWORK, WITH_HIDDEN], ids=["plain", "hidden"])
@pytest.mark.parametrize("seed", range(3))
def test_channels_that_are_kept_scale_the_inputs_of_the_linear_layer(seed, one):
    """Logits are linear in these inputs: two halves sum to the whole.

    In those of a hidden layer before it they are not.
    """
    params, stats = compiled.init(jax.random.key(seed), one)
    numbers = np.random.default_rng(seed)
    images = numbers.normal(size=(3, *SPACE.input_shape)).astype(np.float32)
    kept = numbers.integers(0, 2, (3, one.classifier.features))
    kept = kept.astype(np.float32)
    run = jax.jit(
        lambda kept: network.apply(one, params, stats, images, train=True, kept=kept)[0]
    )
    bias = params["classifier"]["bias"][None]
    halves = run(kept) + run(1 - kept) - bias
    np.testing.assert_allclose(halves, run(np.ones_like(kept)), rtol=1e-4, atol=1e-5)
    none = compiled.apply(one, params, stats, images, train=True)[0]
    np.testing.assert_allclose(run(np.ones_like(kept)), none, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        run(np.zeros_like(kept)), np.broadcast_to(bias, none.shape), atol=1e-6
    )


# --- labels of blended images --------------------------------------------------------

LOGITS = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
MIXED = Mixed(
    np.array([0, 1, 2, 0, 1], np.int32),
    np.array([1, 1, 0, 2, 0], np.int32),
    np.array([1.0, 0.25, 0.5, 0.0, 0.9], np.float32),
)


@pytest.mark.parametrize("weights", [None, np.array([0.5, 2.0, 3.0])])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_of_blended_images_is_that_of_soft_labels(smoothing, weights):
    one_hot = np.eye(3)
    each = np.ones(3) if weights is None else weights
    smooth = each[:, None] * ((1 - smoothing) * one_hot + smoothing / 3)
    share = MIXED.share[:, None]
    soft = share * smooth[MIXED.labels] + (1 - share) * smooth[MIXED.others]
    log_probs = LOGITS - np.log(np.exp(LOGITS).sum(1, keepdims=True))
    expected = -(soft * log_probs).sum(1).mean()
    ours = losses.cross_entropy(jnp.asarray(LOGITS), MIXED, smoothing, weights)
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_accuracy_of_blended_images_counts_shares():
    """Guesses 0, 0, 0, 0, 1 of the above: 1 + 0 + 0.5 + 0 + 0.9, of five."""
    logits = jnp.asarray(np.eye(3, dtype=np.float32)[[0, 0, 0, 0, 1]])
    assert float(losses.accuracy(logits, MIXED)) == pytest.approx(2.4 / 5)


def test_a_student_follows_its_teacher():
    """The share is all: labels are not seen, and the answers come near the teacher's.

    The teacher may see images of another side.
    """
    wide = dataclasses.replace(
        baselines.hand_designed(
            builders.mobile(
                dataclasses.replace(small_run.EXPERIMENT.space, input_size=12)
            )
        ),
        name="teacher",
    )
    params, stats = compiled.init(jax.random.key(5), wide)
    params["classifier"]["kernel"] *= 30  # of an opinion
    teacher = Model(wide, params, stats)
    given = recipe(
        distillation=0.999, dropout=0.0, mixup_alpha=0.0, cutmix_alpha=0.0, lr=0.02
    )
    given = dataclasses.replace(given, teacher=teacher)
    step = jax.jit(loop.make_train_step(NETWORK, given))
    state, batch = loop.init(KEY, NETWORK, given), given.batches(KEY)(0)
    (weights,) = given.taught_by
    state, first = step(state, batch, weights)
    for _ in range(30):
        state, last = step(state, batch, weights)
    assert last["train/loss"] < first["train/loss"] - 0.1
    images = jnp.asarray(batch.images)
    assert given.answers(weights, images).shape == (len(images), 10)
    alone = loop.programs(KEY, NETWORK, recipe())["training step"]
    assert len(alone.arguments) == 2
