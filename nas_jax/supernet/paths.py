"""Forward and backward passes of the supernet along sampled paths.

One path costs one path: `lax.switch` picks the candidate, and the backward pass
switches again and runs the candidate once more inside the branch, because a switch
under autodiff would keep residuals of every branch. The second run takes the batch's
moments from the first, so that no sum over the batch is made twice; inputs, outputs and
moments are all that is kept.
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
def first_run(block: Block, stats_size: int) -> Branch:
    """Runs one candidate: (row, stats, x) -> (y, new stats, moments)."""

    @jax.jit
    def run(row: Array, stats: Array, x: Array) -> tuple[Array, Array, Array]:
        shapes, stats_shapes = ops.shapes(block)
        y, new_stats, moments = ops.apply_once(
            block,
            storage.unravel(row, shapes),
            storage.unravel(stats, stats_shapes),
            x,
        )
        return (
            y,
            storage.ravel(new_stats, stats_size),
            storage.ravel(moments, stats_size),
        )

    return run


@functools.cache
def second_run(block: Block) -> Branch:
    """Runs it again at known moments: (row, moments, x) -> y."""

    @jax.jit
    def run(row: Array, moments: Array, x: Array) -> Array:
        shapes, stats_shapes = ops.shapes(block)
        return ops.apply_again(
            block,
            storage.unravel(row, shapes),
            _zeros(stats_shapes),
            storage.unravel(moments, ops.moments_shapes(block)),
            x,
        )

    return run


@functools.cache
def batch_run(block: Block) -> Branch:
    """Runs one candidate, running statistics aside: (row, x) -> y."""

    @jax.jit
    def run(row: Array, x: Array) -> Array:
        shapes, stats_shapes = ops.shapes(block)
        params = storage.unravel(row, shapes)
        return ops.apply_once(block, params, _zeros(stats_shapes), x)[0]

    return run


def _zeros(shapes: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def mixed_op(
    layer: LayerSpec, i: Array, row: Array, stats: Array, x: Array
) -> tuple[Array, Array]:
    """Output and new batch statistics of candidate `i`; keeps its input and moments."""
    return _mixed_forward(layer, i, row, stats, x)[0]


def _mixed_forward(
    layer: LayerSpec, i: Array, row: Array, stats: Array, x: Array
) -> Any:
    branches = [first_run(block, stats.size) for block in storage.blocks_of(layer)]
    y, new_stats, moments = lax.switch(i, branches, row, stats, x)
    return (y, new_stats), (i, row, moments, x)


def _mixed_backward(layer: LayerSpec, residuals: Any, cotangents: Any) -> Any:
    i, row, moments, x = residuals

    def pull_back(block: Block) -> Branch:
        run = second_run(block)

        def back(row: Array, moments: Array, x: Array, dy: Array) -> Any:
            return jax.vjp(lambda row, x: run(row, moments, x), row, x)[1](dy)

        return back

    branches = [pull_back(block) for block in storage.blocks_of(layer)]
    drow, dx = lax.switch(i, branches, row, moments, x, cotangents[0])
    return None, drow, jnp.zeros_like(moments), dx


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
    return _two_path_forward(layer, gates, pair, rows, x)[0]


def _two_path_forward(
    layer: LayerSpec, gates: Any, pair: Any, rows: Any, x: Array
) -> Any:
    # the gates' value is (1, 0) by construction
    y, moments = run_active(layer, pair[0], rows[0], x)
    return y, (gates, pair, rows, x, y, moments)


def run_active(layer: LayerSpec, i: Array, row: Array, x: Array) -> tuple[Array, Array]:
    """Output and moments of candidate `i`, running statistics aside."""
    blocks = storage.blocks_of(layer)
    size = max(storage.size(ops.shapes(block)[1]) for block in blocks)

    def run(block: Block) -> Branch:
        first = first_run(block, size)
        return lambda row, x: first(row, jnp.zeros((size,), row.dtype), x)[::2]

    return lax.switch(i, [run(block) for block in blocks], row, x)


def pull_back_active(
    layer: LayerSpec, i: Array, row: Array, moments: Array, x: Array, dy: Array
) -> Array:
    """dL/dx through candidate `i`; weights get no gradient."""

    def pull_back(block: Block) -> Branch:
        run = second_run(block)

        def back(row: Array, moments: Array, x: Array, dy: Array) -> Array:
            return jax.vjp(lambda x: run(row, moments, x), x)[1](dy)[0]

        return back

    branches = [pull_back(block) for block in storage.blocks_of(layer)]
    return lax.switch(i, branches, row, moments, x, dy)


def gate_gradient(block: Block) -> Branch:
    """<dL/dy, o(x)>, nothing kept."""
    if block.op.kind == "zero":
        return lambda row, x, dy: jnp.zeros((), dy.dtype)
    run = batch_run(block)
    return lambda row, x, dy: jnp.vdot(dy, run(row, x))


def _two_path_backward(layer: LayerSpec, residuals: Any, dy: Array) -> Any:
    gates, pair, rows, x, y, moments = residuals
    dx = pull_back_active(layer, pair[0], rows[0], moments, x, dy)
    inactive = [gate_gradient(block) for block in storage.blocks_of(layer)]
    inactive_gate = lax.switch(pair[1], inactive, rows[1], x, dy)
    dgates = jnp.stack([jnp.vdot(dy, y), inactive_gate]).astype(gates.dtype)
    return dgates, None, jax.tree.map(jnp.zeros_like, rows), dx


two_path_op.defvjp(_two_path_forward, _two_path_backward)


def through_layers(
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

    logits, new_stats = through_layers(
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

    return through_layers(space, params, batch_stats, images, two_path, train=True)[0]
