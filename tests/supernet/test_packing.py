"""Rows of numbers and the candidates they stand for."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import fusion, parts
from nas_jax.spaces.operations import OpSpec
from nas_jax.spaces.space import LayerSpec
from nas_jax.supernet import packing, paths
from nas_jax.supernet.branches import branches_of


def layer(*names, stride=1, out_channels=4):
    candidates = tuple(map(OpSpec.parse, names))
    return LayerSpec(candidates, 4, out_channels, stride, 6)


MIXED = layer("mb3_k3", "mb6_k3", "mb6_k5", "zero", "mb1_k3", "mb2_k5", "sep_k3")


def slices(spec):
    found = [packing.packing(spec, op) for op in spec.candidates]
    width = [
        one.slice.block.op.expansion if one.slice is not None else 0 for one in found
    ]
    return [(w, one.slices) for w, one in zip(width, found, strict=True)]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("mb3_k3", "mb6_k3"), [(3, 1), (3, 2)]),
        (("mb3_k3", "mb6_k5"), [(3, 1), (3, 2)]),  # whatever the kernel
        (("mb6_k3", "mb6_k5"), [(6, 1), (6, 1)]),
        (("mb4_k3", "mb6_k3"), [(4, 1), (6, 1)]),  # 4 does not divide 6
        (("mb2_k3", "mb3_k3", "mb6_k3"), [(2, 1), (3, 1), (2, 3)]),
        (("mb1_k3", "mb6_k3"), [(1, 1), (6, 1)]),  # mb1 has no expansion to repeat
        (("zero", "sep_k3"), [(0, 0), (0, 0)]),
    ],
)
def test_slices_are_as_wide_as_the_narrowest_of_the_layer(names, expected):
    assert slices(layer(*names)) == expected


def test_candidates_of_a_kernel_share_a_branch():
    found = branches_of(MIXED)
    assert found.branch.tolist() == [0, 1, 2, 3, 4, 2, 5]
    assert found.slices.tolist() == [1, 3, 3, 0, 1, 1, 0]  # mb3 is no multiple of mb2
    assert len(found.each) == 6


def values(spec, op, seed=0):
    """Parameters and statistics of a candidate, different everywhere."""
    leaves, structure = jax.tree.flatten(parts.shapes(spec.block(op)))
    rng = np.random.default_rng(seed)
    made = [rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32) for leaf in leaves]
    return jax.tree.unflatten(structure, made)


@pytest.mark.parametrize("op", MIXED.candidates, ids=lambda op: op.name)
@pytest.mark.parametrize("batch_stats", [False, True])
def test_a_row_holds_every_number_once(op, batch_stats):
    packed = packing.packing(MIXED, op)
    tree = values(MIXED, op)[batch_stats]
    size = packing.row_size(packed, batch_stats=batch_stats)
    row = packing.pack(packed, tree, size + 3, batch_stats=batch_stats)
    numbers = np.concatenate([np.zeros(0), *map(np.ravel, jax.tree.leaves(tree))])
    assert size == numbers.size
    np.testing.assert_array_equal(np.sort(row[:size]), np.sort(numbers))
    np.testing.assert_array_equal(row[size:], 0)
    shapes = parts.shapes(MIXED.block(op))[batch_stats]
    again = packing.unpack(packed, row, shapes, batch_stats=batch_stats)
    chex.assert_trees_all_equal(again, tree)


def by_block(spec, op, params, stats, x, dy):
    """Output, new statistics and gradients by the whole block under autodiff."""
    block = spec.block(op)
    y, pull_back, new_stats = jax.vjp(
        lambda params, x: parts.apply(block, params, stats, x, True),
        params,
        x,
        has_aux=True,
    )
    return y, new_stats, *pull_back(dy)


def by_branch(spec, op, params, stats, x, dy):
    packed, i = packing.packing(spec, op), spec.candidates.index(op)
    rows = [
        packing.pack(
            packed,
            tree,
            packing.longest_row(spec, batch_stats=kind),
            batch_stats=kind,
        )
        for kind, tree in ((False, params), (True, stats))
    ]
    y, pull_back, new_stats = jax.vjp(
        lambda row, x: paths.mixed_op(spec, jnp.array(i), row, rows[1], x),
        rows[0],
        x,
        has_aux=True,
    )
    drow, dx = pull_back(dy)
    shapes, stats_shapes = parts.shapes(spec.block(op))
    return (
        y,
        packing.unpack(packed, new_stats, stats_shapes, batch_stats=True),
        packing.unpack(packed, drow, shapes, batch_stats=False),
        dx,
    )


STRIDED = layer("mb3_k3", "mb6_k3", "mb6_k5", stride=2, out_channels=8)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        *((MIXED, op.name) for op in MIXED.candidates),
        *((STRIDED, op.name) for op in STRIDED.candidates),
    ],
)
def test_a_branch_is_the_block(spec, name):
    op = OpSpec.parse(name)
    params, stats = values(spec, op)
    rng = np.random.default_rng(1)
    side = spec.output_size
    x = rng.normal(size=(3, 6, 6, 4)).astype(np.float32)
    dy = rng.normal(size=(3, side, side, spec.out_channels)).astype(np.float32)
    found, expected = (
        run(spec, op, params, stats, x, dy) for run in (by_branch, by_block)
    )
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(
            ours, theirs, rtol=2e-4, atol=2e-4
        ),
        found,
        expected,
    )


# --- compiled apart ------------------------------------------------------------------


def program(fn):
    def both(x):
        y = fn(x)
        return jnp.sin(y), jnp.cos(y)

    return jax.jit(both).lower(jnp.ones((64,))).compile().as_text()


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="elsewhere nothing changes")
def test_what_is_apart_is_computed_once():
    def costly(x):
        return x * 2 + x * x

    def additions(text):
        return sum(" add(" in line for line in text.splitlines())

    assert additions(program(costly)) == 2  # once for each consumer
    assert additions(program(fusion.apart(costly))) == 1
    np.testing.assert_array_equal(fusion.apart(costly)(jnp.arange(3.0)), [0, 3, 8])
