"""How a step is computed: devices, parts of a batch, numbers.

What needs several devices runs in one process of its own with four simulated ones.
"""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import config
from nas_jax.config import SearchConfig, SpaceConfig
from nas_jax.config.experiment import DevicesConfig
from nas_jax.data.batches import Batch
from nas_jax.networks import network
from nas_jax.search import (
    arch_step,
    cost,
    divergence,
    schedule,
    search_state,
    weight_step,
)
from nas_jax.spaces import architecture, builders
from nas_jax.training import devices, losses
from nas_jax.training.devices import PLAIN
from tests import compiled
from tests.clean_python import python

SPACE = builders.mobile(
    SpaceConfig(
        name="small",
        input_size=8,
        input_channels=1,
        classes=3,
        stem_channels=8,
        stem_stride=1,
        first_block_channels=None,
        stage_widths=(8,),
        cells=(2,),
        strides=(2,),
        candidates=("mb3_k3", "mb6_k3", "zero"),
        head_channels=8,
    )
)
EXPERIMENT = config.Experiment(
    name="any",
    data=config.DataConfig(train_weights=48, train_alphas=48, valid=30),
    search=SearchConfig(batch=24, arch_batch=12, target_ratio=0.5),
    train=config.TrainConfig(batch=36),
)


def keep(key, images):
    return images


def data(images, seed=0):
    numbers = np.random.default_rng(seed)
    pixels = numbers.normal(size=(images, *SPACE.input_shape)).astype(np.float32)
    return Batch(pixels, numbers.integers(3, size=images).astype(np.int32))


# --- parts of a batch ----------------------------------------------------------------


def counted(images):
    pixels = np.arange(images, dtype=np.float32).reshape(-1, 1, 1, 1)
    return Batch(pixels, np.zeros(images, np.int32))


def test_parts_take_every_nth_image_one_after_the_other():
    """Of 0..7 in two parts: 0 + 2 + 4 + 6 = 12, then 1 + 3 + 5 + 7 = 16."""

    def fn(carry, part):
        total = part.images.sum()
        return 100 * carry + total, {"sum": total}

    carry, values = dataclasses.replace(PLAIN, accumulate=2).accumulated(
        fn, jnp.float32(0), counted(8)
    )
    assert (float(carry), float(values["sum"])) == (1216.0, 14.0)
    carry, values = PLAIN.accumulated(fn, jnp.float32(0), counted(8))
    assert (float(carry), float(values["sum"])) == (28.0, 28.0)


def test_gradients_of_parts_average_to_that_of_the_batch():
    """For a loss that is a mean over images and has no batch normalisation."""
    batch = data(12)
    weights = jnp.linspace(-1.0, 1.0, 64 * 3).reshape(64, 3)

    def gradient(carry, part):
        def loss(weights):
            logits = part.images.reshape(len(part.labels), -1) @ weights
            return losses.cross_entropy(logits, part.labels)

        return carry, jax.grad(loss)(weights)

    whole = PLAIN.accumulated(gradient, None, batch)[1]
    parts = dataclasses.replace(PLAIN, accumulate=4).accumulated(gradient, None, batch)
    np.testing.assert_allclose(parts[1], whole, rtol=1e-5, atol=1e-7)


# --- numbers -------------------------------------------------------------------------


APART_IN_BFLOAT16 = {
    "logits": 0.02,
    "statistics": 0.002,
    "classifier's gradient": 0.02,
    "cross-entropy": 0.01,
}
"""At most, relative to float32: 2^-9 per rounding, a few dozen roundings."""
ALONG_IN_BFLOAT16 = 0.95
"""Cosine of a whole gradient and float32's, at least."""


def half(**fields):
    return dataclasses.replace(PLAIN, compute_dtype="bfloat16", **fields)


@pytest.mark.parametrize("estimator", ["two_path", "full", "reinforce"])
def test_nothing_in_the_state_leaves_float32(estimator):
    own = SearchConfig(estimator=estimator, batch=4, arch_batch=4)
    weights_tx = schedule.search_weights(own, 10)
    alphas_tx = schedule.search_alphas(own)
    state = jax.eval_shape(
        lambda key: search_state.init(key, SPACE, own, weights_tx, alphas_tx),
        jax.random.key(0),
    )
    running, batch = half(accumulate=2), data(4)
    ascent = schedule.multipliers(own, 10)
    model = cost.CostModel(jnp.ones(SPACE.mask.shape), 0.0)
    weight = weight_step.make_weight_step(
        SPACE, own, tx=weights_tx, augment=keep, devices=running
    )
    arch = arch_step.make_arch_step(alphas_tx, ascent=ascent, devices=running)
    problem = search_state.SearchProblem(SPACE, own, model, jnp.float32(1))
    calls = [(weight, (batch,)), (arch, (batch, problem))]
    for step, rest in calls:
        after, metrics = jax.eval_shape(step, state, *rest)
        assert after == state  # shapes and types of every leaf
        metrics.pop(divergence.PATH, None)  # numbers of candidates
        assert {leaf.dtype.name for leaf in jax.tree.leaves(metrics)} == {"float32"}
        # and yet it computes in the other numbers
        assert "bf16[4,4,4,24]" not in str(jax.make_jaxpr(step)(state, *rest))
        assert "bf16[2,4,4,8]" in str(jax.make_jaxpr(step)(state, *rest))


@pytest.mark.slow
def test_bfloat16_is_near_float32():
    found = architecture.from_path(SPACE, [1, 0], "any")
    params, stats = compiled.init(jax.random.key(1), found)
    batch = data(16)

    @jax.jit
    def run(images):
        def loss(params):
            logits, new_stats = network.apply(found, params, stats, images, train=True)
            ce = losses.cross_entropy(logits, batch.labels)
            return ce, (logits, new_stats)

        return jax.value_and_grad(loss, has_aux=True)(params)

    (ce, (logits, new_stats)), grads = run(batch.images)
    (ce_half, (logits_half, stats_half)), grads_half = run(half().cast(batch.images))
    every = (ce_half, logits_half, stats_half, grads_half)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(every)} == {"float32"}

    def flat(*trees):
        return [
            np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])
            for tree in trees
        ]

    def apart(mine, exact):
        mine, exact = flat(mine, exact)
        return np.linalg.norm(mine - exact) / np.linalg.norm(exact)

    compared = {
        "logits": (logits_half, logits),
        "statistics": (stats_half, new_stats),
        "classifier's gradient": (grads_half["classifier"], grads["classifier"]),
        "cross-entropy": (ce_half, ce),
    }
    for name, most in APART_IN_BFLOAT16.items():
        assert 0 < apart(*compared[name]) < most, name
    # of noise, what is left of the gradient behind the pooling is a small difference:
    # its direction stays
    mine, exact = flat(grads_half, grads)
    length = np.linalg.norm(mine) * np.linalg.norm(exact)
    assert mine @ exact > ALONG_IN_BFLOAT16 * length


def test_float32_is_left_as_it_came():
    images = np.zeros((1, 2, 2, 1), np.float64)
    assert PLAIN.cast(images) is images


# --- devices at hand -----------------------------------------------------------------


@pytest.fixture
def four(monkeypatch):
    monkeypatch.setattr(devices.jax, "devices", lambda: list(range(4)))
    monkeypatch.setattr(devices, "on", lambda chosen: devices.Devices(tuple(chosen)))


def asked(**fields):
    return dataclasses.replace(EXPERIMENT, devices=DevicesConfig(**fields))


def test_every_field_arrives(four):
    own = {"accumulate": 3, "compute_dtype": "bfloat16", "paths_per_step": 4}
    found = devices.of(asked(**own))
    assert {name: getattr(found, name) for name in own} == own


def test_all_devices_by_default(four):
    found = devices.of(asked())
    assert found.mesh == (0, 1, 2, 3)
    assert devices.of(asked(data=2)).mesh == (0, 1)
    assert devices.of(asked(data=1)) == PLAIN


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"data": 5}, "devices.data: expected at most 4, .* got 5; XLA_FLAGS="),
        ({"data": 3, "accumulate": 5}, "search.batch: expected a multiple of devices."),
        (
            {"accumulate": 2},
            "search.arch_batch / devices.accumulate: expected a multiple of 4, .* got "
            "6; .* --devices.data 3",
        ),
        ({"paths_per_step": 2}, "paths_per_step: expected 1, or 4 .* got 2"),
    ],
)
def test_what_devices_cannot_do_is_refused_in_one_line(four, fields, said):
    with pytest.raises(ValueError, match=said) as refused:
        devices.of(asked(**fields))
    assert "\n" not in str(refused.value)


def test_a_sample_per_device_needs_the_full_expectation():
    own = dataclasses.replace(
        EXPERIMENT.search, objective="add_linear", expectation="pair"
    )
    with pytest.raises(ValueError, match=r"paths_per_step: expected 1 with .* 'pair'"):
        dataclasses.replace(
            EXPERIMENT, search=own, devices=DevicesConfig(paths_per_step=4)
        )


@pytest.mark.parametrize("field", ["data", "accumulate", "paths_per_step"])
def test_nonsense_is_refused_where_it_is_made(field):
    with pytest.raises(ValueError, match=rf"devices\.{field}: expected .* got 0"):
        DevicesConfig(**{field: 0})


# --- four simulated devices ----------------------------------------------------------

ON_FOUR = """
import dataclasses, json, re
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import PartitionSpec
from nas_jax.config import SearchConfig
from nas_jax.data import batches
from nas_jax.data.batches import Batch
from nas_jax.networks import depthwise
from nas_jax.search import arch_step, estimators, gates
from nas_jax.search.cost import CostModel
from nas_jax.search.search_state import SearchProblem
from nas_jax.training import devices, losses

out = {}
four = devices.on(jax.devices()[::-1])
out["order"] = [device.id for device in four.mesh.devices]
numbers = np.random.default_rng(0)
batch = Batch(
    numbers.normal(size=(8, 6, 6, 2)).astype(np.float32), np.arange(8, dtype=np.int32)
)
placed = four.shared(batch)
out["labels"] = {s.device.id: s.data.tolist() for s in placed.labels.addressable_shards}
uneven = four.shared(Batch(batch.images[:7], batch.labels[:7]))
out["uneven"] = [s.data.shape[0] for s in uneven.labels.addressable_shards]
tree = {"key": jax.random.key(5), "x": jnp.arange(3.0)}
there = four.whole(tree)
out["whole"] = [len(there["x"].addressable_shards), there["x"].is_fully_replicated]
back = four.local(there)
out["back"] = [
    bool((jax.random.key_data(back["key"]) == jax.random.key_data(tree["key"])).all()),
    back["x"].tolist(),
    len(back["x"].sharding.device_set),
]

# augmentation draws for the whole batch, wherever the images lie
def shifted(key, images):
    return batches.shift(key, images, 2)

key = jax.random.key(3)
alone = jax.jit(shifted)(key, batch.images)
out["augmented"] = bool(
    (np.asarray(four.jit(shifted)(four.whole(key), placed.images)) == alone).all()
)

# the chain over images in the kernel's gradient stays on its device
kernel = jnp.asarray(numbers.normal(size=(3, 3, 1, 2)), jnp.float32)
def gradient(kernel, images):
    y = lambda kernel: (depthwise.shifted_products(images, kernel, 2, 1) ** 2).sum()
    return jax.grad(y)(kernel)

on_four = four.jit(gradient).lower(four.whole(kernel), placed.images).compile()
found = on_four(four.whole(kernel), placed.images)
expected = jax.jit(gradient)(kernel, batch.images)
largest = jnp.abs(expected).max()
out["kernel"] = float(jnp.abs(np.asarray(found) - expected).max() / largest)
kinds = "all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter"
found = re.findall(rf"\\b({kinds})(?:-start)?\\(", on_four.as_text())
out["exchanges"] = sorted(set(found))

# a class counts as much as another over the whole batch, not on each device
uneven = np.array([0] * 7 + [1], np.int32)
weights = losses.balanced_weights(uneven, 2)
logits = numbers.normal(size=(8, 2)).astype(np.float32)
loss = lambda logits, labels: losses.cross_entropy(logits, labels, 0.1, weights)
placed_logits, placed_labels = four.shared(Batch(logits, uneven))
out["weighted"] = [
    float(four.jit(loss)(placed_logits, placed_labels)), float(loss(logits, uneven))
]

# a sample per device: the estimate is replaced by one that only tells what it was given
mask = jnp.ones((5, 3), bool)
config = SearchConfig(estimator="full")

class Space:
    mask = np.ones((5, 3), bool)

problem = SearchProblem(Space(), config, CostModel(jnp.zeros((5, 3)), 0.0), 1.0)
alphas = jnp.asarray(numbers.normal(size=(5, 3)), jnp.float32)

@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    alphas: jax.Array
    baseline: jax.Array

def told(problem, state, sampled, batch):
    gradient = jax.nn.one_hot(sampled, 3)
    seen = {"mean": batch.images.mean()}
    return estimators.Estimate(gradient, state.baseline + 1, seen)

arch_step.estimate = told
own = dataclasses.replace(four, paths_per_step=4)
def step(state, batch):
    return arch_step.mean_over_devices(problem, state, key, batch, own)

found = own.jit(step)(four.whole(State(alphas, jnp.float32(2))), placed)
each = [
    jax.nn.one_hot(gates.sample_path(jax.random.fold_in(key, i), alphas, mask), 3)
    for i in range(4)
]
out["samples"] = [
    bool(np.allclose(found.alpha_gradients, np.mean(each, axis=0))),
    len({np.asarray(one).tobytes() for one in each}),
    float(found.baseline),
    bool(np.allclose(found.metrics["mean"], batch.images.mean())),
]
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def on_four():
    flags = "--xla_force_host_platform_device_count=4"
    return json.loads(python(ON_FOUR, XLA_FLAGS=flags, JAX_PLATFORMS="cpu").stdout)


def test_a_batch_is_cut_in_the_order_of_the_devices(on_four):
    assert on_four["order"] == [0, 1, 2, 3]
    assert on_four["labels"] == {str(i): [2 * i, 2 * i + 1] for i in range(4)}


def test_what_cannot_be_shared_evenly_lies_whole_on_each(on_four):
    assert on_four["uneven"] == [7, 7, 7, 7]


def test_states_lie_whole_on_each_and_come_back(on_four):
    assert on_four["whole"] == [4, True]
    assert on_four["back"] == [True, [0.0, 1.0, 2.0], 1]


def test_images_are_augmented_alike_wherever_they_lie(on_four):
    assert on_four["augmented"]


def test_depthwise_gradients_are_summed_and_no_image_travels(on_four):
    assert on_four["kernel"] < 1e-6
    assert on_four["exchanges"] == ["all-reduce"]


def test_classes_are_weighed_over_the_whole_batch(on_four):
    found, expected = on_four["weighted"]
    assert found == pytest.approx(expected, rel=1e-6)


def test_every_device_samples_for_itself_and_the_mean_is_followed(on_four):
    assert on_four["samples"] == [True, 4, 3.0, True]
