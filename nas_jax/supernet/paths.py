"""Forward and backward passes of the supernet along sampled paths.

One path costs one path: `lax.switch` picks the candidate, and the backward pass
switches again and recomputes inside the branch, because a switch under autodiff would
keep residuals of every branch.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from nas_jax import ops
from nas_jax.base import Images, Logits, PyTree
from nas_jax.gates import PathPair
from nas_jax.parts import Block
from nas_jax.space import LayerSpec, SearchSpace
from nas_jax.supernet import storage

Branch = Callable[..., Any]


# Branches are cached and jitted so that each is traced once, however many switches
# it stands in.


@functools.cache
def _branch(block: Block, stats_size: int) -> Branch:
    """Runs one candidate from its rows: (row, stats, x) -> (y, new stats)."""

    @jax.jit
    def run(row: Array, stats: Array, x: Array) -> tuple[Array, Array]:
        shapes, stats_shapes = ops.shapes(block)
        y, new_stats = ops.apply(
            block,
            storage.unravel(row, shapes),
            storage.unravel(stats, stats_shapes),
            x,
            True,
        )
        return y, storage.ravel(new_stats, stats_size)

    return run


@functools.cache
def _batch_branch(block: Block) -> Branch:
    """As `_branch` with batch statistics, leaving the running ones alone."""

    @jax.jit
    def run(row: Array, x: Array) -> Array:
        shapes, stats_shapes = ops.shapes(block)
        stats = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), stats_shapes)
        return ops.apply(block, storage.unravel(row, shapes), stats, x, True)[0]

    return run


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def mixed_op(
    layer: LayerSpec, i: Array, row: Array, stats: Array, x: Array
) -> tuple[Array, Array]:
    """Output and new batch statistics of candidate `i`; keeps only its inputs."""
    branches = [_branch(block, stats.size) for block in storage.blocks_of(layer)]
    return lax.switch(i, branches, row, stats, x)


def _mixed_forward(
    layer: LayerSpec, i: Array, row: Array, stats: Array, x: Array
) -> Any:
    return mixed_op(layer, i, row, stats, x), (i, row, stats, x)


def _mixed_backward(layer: LayerSpec, residuals: Any, cotangents: Any) -> Any:
    i, row, stats, x = residuals
    dy = cotangents[0]

    def pull_back(block: Block) -> Branch:
        run = _batch_branch(block)
        return lambda row, x, dy: jax.vjp(run, row, x)[1](dy)

    branches = [pull_back(block) for block in storage.blocks_of(layer)]
    drow, dx = lax.switch(i, branches, row, x, dy)
    return None, drow, jnp.zeros_like(stats), dx


mixed_op.defvjp(_mixed_forward, _mixed_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def two_path_op(
    layer: LayerSpec,
    gates: Float[Array, "2"],
    pair: Int[Array, "2"],
    rows: tuple[Array, Array],
    x: Array,
) -> Array:
    """y = g_0 o_active(x) + g_1 o_inactive(x) at the gates (1, 0).

    Forward runs the active candidate alone. Backward gives dL/dg_k = <dL/dy, o_k(x)>
    for both, running the inactive one without residuals, and dL/dx through the active
    one; weights get no gradient. Running statistics are not touched.
    """
    del gates  # their value is (1, 0) by construction
    branches = [_batch_branch(block) for block in storage.blocks_of(layer)]
    return lax.switch(pair[0], branches, rows[0], x)


def _two_path_forward(
    layer: LayerSpec, gates: Any, pair: Any, rows: Any, x: Array
) -> Any:
    return two_path_op(layer, gates, pair, rows, x), (gates, pair, rows, x)


def _pull_back(block: Block) -> Branch:
    """Of one candidate: (row, x, dy) -> (<dy, o(x)>, dx)."""
    run = _batch_branch(block)

    def both(row: Array, x: Array, dy: Array) -> tuple[Array, Array]:
        y, vjp = jax.vjp(functools.partial(run, row), x)
        return jnp.vdot(dy, y), vjp(dy)[0]

    return both


def _two_path_backward(layer: LayerSpec, residuals: Any, dy: Array) -> Any:
    gates, pair, rows, x = residuals

    def gate_only(block: Block) -> Branch:
        run = _batch_branch(block)
        return lambda row, x, dy: jnp.vdot(dy, run(row, x))

    blocks = storage.blocks_of(layer)
    active = [_pull_back(block) for block in blocks]
    active_gate, dx = lax.switch(pair[0], active, rows[0], x, dy)
    inactive = [gate_only(block) for block in blocks]
    inactive_gate = lax.switch(pair[1], inactive, rows[1], x, dy)
    dgates = jnp.stack([active_gate, inactive_gate]).astype(gates.dtype)
    return dgates, None, jax.tree.map(jnp.zeros_like, rows), dx


two_path_op.defvjp(_two_path_forward, _two_path_backward)


def _through_layers(
    space: SearchSpace,
    fixed: PyTree,
    fixed_stats: PyTree,
    images: Images,
    layer_fn: Callable[[int, Array], Array],
    *,
    train: bool,
) -> tuple[Logits, PyTree]:
    """Fixed parts around the searchable layers, as the space puts them together."""
    new_stats = {}

    def run(name: str, x: Array) -> Array:
        part = space.fixed[name]
        y, new_stats[name] = ops.apply(part, fixed[name], fixed_stats[name], x, train)
        return y

    return space.forward(run, layer_fn, jnp.asarray(images)), new_stats


def apply(
    space: SearchSpace,
    sampled: PyTree,
    sampled_stats: PyTree,
    rows: Int[Array, "L"],
    images: Images,
) -> tuple[Logits, PyTree]:
    """Training pass along one path: logits and the new statistics of its candidates.

    Args:
      space: the search space (static).
      sampled: what `gather` took from the parameters, with the same `rows`.
      sampled_stats: what it took from the batch statistics.
      rows: Int `[L]`, from `rows_of(space, path)`.
      images: Float `[B H W C]`, normalised.
    """
    layer_stats: dict[int, Array] = {}

    def one_path(index: int, x: Array) -> Array:
        row, stats = sampled["layers"][index], sampled_stats["layers"][index]
        y, layer_stats[index] = mixed_op(
            space.layers[index], rows[index], row, stats, x
        )
        return y

    logits, new_stats = _through_layers(
        space, sampled, sampled_stats, images, one_path, train=True
    )
    in_order = [layer_stats[index] for index in range(len(space.layers))]
    return logits, {**new_stats, "layers": in_order}


def apply_two_path(
    space: SearchSpace,
    params: PyTree,
    batch_stats: PyTree,
    pair: PathPair,
    gates: Float[Array, "L 2"],
    images: Images,
) -> Logits:
    """Logits along the active path, differentiable with respect to the gates `[L 2]`.

    Costs two forward passes and one input gradient. Batch normalisation uses the batch;
    running statistics stay as they are.
    """
    active, inactive = (storage.rows_of(space, path) for path in pair)
    first, second = storage.gather(params, active), storage.gather(params, inactive)

    def two_path(index: int, x: Array) -> Array:
        indices = jnp.stack([active[index], inactive[index]])
        rows = (first["layers"][index], second["layers"][index])
        return two_path_op(space.layers[index], gates[index], indices, rows, x)

    return _through_layers(space, params, batch_stats, images, two_path, train=True)[0]
