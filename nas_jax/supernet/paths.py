"""Forward and backward passes of the supernet along sampled paths.

One path costs one path: `lax.switch` picks the candidate, and the backward pass
switches again and runs what it needs of the candidate once more inside the branch,
because a switch under autodiff would keep residuals of every branch. Inputs, what the
last batch normalisation reads, and the batch's moments are all that is kept. Equal
layers in a row are scanned, so that the compiled step contains their code once.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from nas_jax.base import Images, Logits, PathPair, PyTree
from nas_jax.networks import parts
from nas_jax.spaces.space import LayerSpec, SearchSpace
from nas_jax.supernet import packing, storage
from nas_jax.supernet.branches import inner_product, switch


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def mixed_op(
    layer: LayerSpec, i: Array, row: Array, stats: Array, x: Array
) -> tuple[Array, Array]:
    """Output and new batch statistics of candidate `i`."""
    return _mixed_forward(layer, i, row, stats, x)[0]


def _mixed_forward(
    layer: LayerSpec, i: Array, row: Array, stats: Array, x: Array
) -> Any:
    y, kept, new_stats, moments = switch(layer, "first", i, row, stats, x)
    return (y, new_stats), (i, row, moments, x, kept)


def _mixed_backward(layer: LayerSpec, residuals: Any, cotangents: Any) -> Any:
    i, row, moments, x, kept = residuals
    drow, dx = switch(layer, "pull_back", i, row, moments, x, kept, cotangents[0])
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
    y, kept, moments = run(layer, pair[0], rows[0], x)
    return y, (gates, pair, rows, x, kept, moments)


def run(layer: LayerSpec, i: Array, row: Array, x: Array) -> tuple[Array, Array, Array]:
    """Output of candidate `i`, what is kept of it, and its moments.

    Running statistics are not touched.
    """
    size = packing.longest_row(layer, batch_stats=True)
    stats = jnp.zeros((size,), row.dtype)
    y, kept, _, moments = switch(layer, "first", i, row, stats, x)
    return y, kept, moments


def _two_path_backward(layer: LayerSpec, residuals: Any, dy: Array) -> Any:
    gates, pair, rows, x, kept, moments = residuals
    dx, active_gate = switch(
        layer, "pull_back_input", pair[0], rows[0], moments, x, kept, dy
    )
    y = run(layer, pair[1], rows[1], x)[0]
    inactive_gate = inner_product(dy, y, rows[1])
    dgates = jnp.stack([active_gate, inactive_gate]).astype(gates.dtype)
    return dgates, None, jax.tree.map(jnp.zeros_like, rows), dx


two_path_op.defvjp(_two_path_forward, _two_path_backward)


RunLayer = Callable[..., tuple[Array, Any]]
"""(layer, x, what belongs to it) -> (y, what comes out beside it)."""


def through_layers(
    space: SearchSpace,
    fixed: PyTree,
    fixed_stats: PyTree,
    images: Images,
    run_layer: RunLayer,
    by_run: tuple[list[Any], ...],
    *,
    train: bool,
) -> tuple[Logits, PyTree, list[Any]]:
    """Fixed parts around the searchable layers, as the space puts them together.

    `by_run` is what `run_layer` gets: lists with an entry per run of equal layers, each
    with a leading axis for the layers of the run. Returns the logits, the statistics of
    the fixed parts, and what comes out of the layers in the same form.
    """
    new_stats = {}
    operands = list(zip(*by_run, strict=True))
    out: list[Any] = [None] * len(space.runs)

    def run_fixed(name: str, x: Array) -> Array:
        part = space.fixed[name]
        y, new_stats[name] = parts.apply(part, fixed[name], fixed_stats[name], x, train)
        return y

    def run_equal(place: int, x: Array) -> Array:
        layer = space.layers[space.runs[place].start]

        def body(x: Array, operand: Any) -> tuple[Array, Any]:
            y, beside = run_layer(layer, x, operand)
            return (x + y if layer.shortcut else y), beside

        if len(space.runs[place]) > 1:
            x, out[place] = lax.scan(body, x, operands[place])
        else:
            only = jax.tree.map(lambda array: array[0], operands[place])
            x, beside = body(x, only)
            out[place] = jax.tree.map(lambda array: array[None], beside)
        return x

    logits = space.forward(run_fixed, run_equal, jnp.asarray(images))
    return logits, new_stats, out


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

    def one_path(layer: LayerSpec, x: Array, operand: Any) -> tuple[Array, Array]:
        return mixed_op(layer, *operand, x)

    by_run = storage.by_run(space, rows), sampled["layers"], sampled_stats["layers"]
    logits, new_stats, out = through_layers(
        space,
        sampled,
        sampled_stats,
        images,
        one_path,
        by_run,
        train=True,
    )
    return logits, {**new_stats, "layers": out}


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
    by_run = (
        storage.by_run(space, gates),
        storage.by_run(space, jnp.stack([active, inactive], 1)),
        storage.gather(params, active)["layers"],
        storage.gather(params, inactive)["layers"],
    )

    def two_path(layer: LayerSpec, x: Array, operand: Any) -> tuple[Array, None]:
        gate, indices, first, second = operand
        return two_path_op(layer, gate, indices, (first, second), x), None

    return through_layers(
        space, params, batch_stats, images, two_path, by_run, train=True
    )[0]
