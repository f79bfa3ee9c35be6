"""Blocks of several families in one supernet: the same as their plain networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import supernet
from nas_jax.config import EndsConfig, SpaceConfig
from nas_jax.networks import network
from nas_jax.spaces import builders
from nas_jax.spaces.architecture import from_path
from nas_jax.supernet import packing

SPACE = builders.mobile(
    SpaceConfig(
        name="mixed",
        input_size=8,
        input_channels=1,
        classes=3,
        stem_channels=8,
        stem_stride=1,
        first_block_channels=None,
        stage_widths=(8, 16),
        cells=(2, 2),
        strides=(1, 2),
        candidates=(
            *(
                "mb3_k3_hs",
                "mb6_k3_hs",
                "mb2.3_k3_hs",
                "mb6_k3_se_hs",
                "mb3_k5_se_silu",
            ),
            *("mb3_k3_g2", "uib2_a3_k0", "uib4_a3_k5", "uib2_a0_k0", "fused_mb2_k3"),
            "zero",
        ),
        head_channels=16,
        ends=EndsConfig("hard_swish", "relu", 24, "bn", "hard_swish"),
    )
)
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(4, 8, 8, 1)).astype(np.float32)
DIRECTION = RNG.normal(size=(4, 3)).astype(np.float32)
STATE = supernet.init(jax.random.key(0), SPACE)


@jax.jit
def of_supernet(params, batch_stats, path):
    rows = supernet.rows_of(SPACE, path)
    stats = supernet.gather(batch_stats, rows)

    def loss(sampled):
        logits, moved = supernet.apply(SPACE, sampled, stats, rows, IMAGES)
        return (logits * DIRECTION).sum(), (logits, moved)

    sampled = supernet.gather(params, rows)
    grads, (logits, moved) = jax.grad(loss, has_aux=True)(sampled)
    zeros = jax.tree.map(jnp.zeros_like, params)
    return (
        logits,
        supernet.scatter(zeros, grads, rows),
        supernet.scatter(batch_stats, moved, rows),
    )


def of_plain(found, params, batch_stats):
    def loss(params):
        logits, moved = network.apply(found, params, batch_stats, IMAGES, train=True)
        return (logits * DIRECTION).sum(), (logits, moved)

    grads, (logits, moved) = jax.jit(jax.grad(loss, has_aux=True))(params)
    return logits, grads, moved


def paths():
    """Each candidate wherever it is offered, the first that is where it is not."""
    for k in range(len(SPACE.candidates)):
        yield [k if row[k] else int(np.flatnonzero(row)[0]) for row in SPACE.mask]


@pytest.mark.slow
@pytest.mark.parametrize("path", [*paths()], ids=[op.name for op in SPACE.candidates])
def test_path_is_its_plain_network(path):
    found = from_path(SPACE, path, "net")
    logits, grads, moved = of_supernet(*STATE, np.array(path, np.int32))
    own = supernet.extract(SPACE, *STATE, found)
    expected, plain_grads, plain_moved = of_plain(found, *own)
    np.testing.assert_allclose(logits, expected, atol=2e-5, rtol=2e-5)
    ours = supernet.extract(SPACE, grads, moved, found)
    for tree, other in zip(ours, (plain_grads, plain_moved), strict=True):
        for place, leaf in jax.tree.leaves_with_path(other):
            one = tree
            for key in place:
                one = one[getattr(key, "key", getattr(key, "idx", None))]
            scale = max(1.0, float(np.abs(leaf).max()))
            np.testing.assert_allclose(one, leaf, atol=5e-5 * scale, err_msg=place)


def test_slices_are_those_of_sums():
    """A squeeze reads all hidden channels, and rounded widths do not divide."""
    layer = SPACE.layers[0]
    found = {op.name: packing.packing(layer, op).slices for op in layer.candidates}
    assert found.pop("mb6_k3_hs") == 2
    assert found.pop("mb3_k3_hs") == 1
    assert set(found.values()) == {0}


def test_layers_offer_what_can_stand_there():
    offered = [{op.name for op in layer.candidates} for layer in SPACE.layers]
    every = {op.name for op in SPACE.candidates}
    assert offered[0] == offered[1] == offered[3] == every
    # at stride 2 nothing is skipped, and an FFN has no depthwise convolution
    assert offered[2] == every - {"zero", "uib2_a0_k0"}
