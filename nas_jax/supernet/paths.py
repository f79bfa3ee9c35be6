"""Forward and backward passes of the supernet along sampled paths.

One path costs one path: `lax.switch` picks the candidate, and the backward pass
switches again and runs what it needs of the candidate once more inside the branch,
because a switch under autodiff would keep residuals of every branch. Inputs, what the
last batch normalisation reads, and the batch's moments are all that is kept. Equal
layers in a row are scanned, so that the compiled step contains their code once.

Three operations of a layer: `mixed_op` gives the gradients of the weights,
`two_path_op` those of the gates of two candidates, `full_op` those of all gates. The
last two leave the running statistics as they are.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from nas_jax.base import Images, Logits, Path, PathPair, PyTree
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


def run(layer: LayerSpec, i: Array, row: Array, x: Array) -> tuple[Array, Array, Array]:
    """Output of candidate `i`, its tail's input, and its moments; statistics stay."""
    size = packing.longest_row(layer, batch_stats=True)
    stats = jnp.zeros((size,), row.dtype)
    y, kept, _, moments = switch(layer, "first", i, row, stats, x)
    return y, kept, moments


def _gate_gradient(layer: LayerSpec, i: Array, row: Array, x: Array, dy: Array) -> Any:
    """dL/dg_i = <dL/dy, o_i(x)>, of a candidate that is run without residuals."""
    return inner_product(dy, run(layer, i, row, x)[0], row)


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
    for both, and dL/dx through the active one; weights get no gradient.
    """
    return _two_path_forward(layer, gates, pair, rows, x)[0]


def _two_path_forward(
    layer: LayerSpec, gates: Any, pair: Any, rows: Any, x: Array
) -> Any:
    # the gates' value is (1, 0) by construction
    y, kept, moments = run(layer, pair[0], rows[0], x)
    return y, (gates, pair, rows, x, kept, moments)


def _two_path_backward(layer: LayerSpec, residuals: Any, dy: Array) -> Any:
    gates, pair, rows, x, kept, moments = residuals
    dx, active = switch(
        layer, "pull_back_input", pair[0], rows[0], moments, x, kept, dy
    )
    inactive = _gate_gradient(layer, pair[1], rows[1], x, dy)
    dgates = jnp.stack([active, inactive]).astype(gates.dtype)
    return dgates, None, jax.tree.map(jnp.zeros_like, rows), dx


two_path_op.defvjp(_two_path_forward, _two_path_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def full_op(
    layer: LayerSpec,
    gates: Float[Array, "N"],
    i: Int[Array, ""],
    table: Float[Array, "N P"],
    x: Array,
) -> Array:
    """y = sum_k g_k o_k(x) at the gates onehot(i), over the layer's N candidates.

    As `two_path_op`, with dL/dg_k of all candidates, run one after the other.
    """
    return _full_forward(layer, gates, i, table, x)[0]


def _full_forward(layer: LayerSpec, gates: Any, i: Any, table: Any, x: Array) -> Any:
    # the gates' value is onehot(i) by construction
    y, kept, moments = run(layer, i, table[i], x)
    return y, (gates, i, table, x, kept, moments)


def _full_backward(layer: LayerSpec, residuals: Any, dy: Array) -> Any:
    gates, i, table, x, kept, moments = residuals
    dx, active = switch(layer, "pull_back_input", i, table[i], moments, x, kept, dy)

    # A loop holds one candidate's memory at a time; unrolled, the compiler may overlap
    # them.
    def gradient(k: Array) -> Array:
        return lax.cond(
            k == i, lambda: active, lambda: _gate_gradient(layer, k, table[k], x, dy)
        )

    dgates = lax.map(gradient, jnp.arange(len(layer.candidates), dtype=i.dtype))
    return dgates.astype(gates.dtype), None, jnp.zeros_like(table), dx


full_op.defvjp(_full_forward, _full_backward)


RunLayer = Callable[[LayerSpec, Array, Any], tuple[Array, Any]]
"""(layer, x, its operand) -> (y, its result)."""


def through_layers(
    space: SearchSpace,
    weights: tuple[PyTree, PyTree],
    images: Images,
    run_layer: RunLayer,
    by_run: tuple[list[Any], ...],
) -> tuple[Logits, PyTree, list[Any]]:
    """Training pass of the fixed parts and the searchable layers, as the space says.

    `weights` are parameters and batch statistics, of which the fixed parts are used.
    `by_run` holds the operands of `run_layer`: lists with an entry per run of equal
    layers, each with a leading axis for the layers of the run. Returns the logits, the
    statistics of the fixed parts, and the results of the layers in the same form.
    """
    new_stats = {}
    operands = list(zip(*by_run, strict=True))
    results: list[Any] = [None] * len(space.runs)

    def run_fixed(name: str, x: Array) -> Array:
        params, stats = (tree[name] for tree in weights)
        y, new_stats[name] = parts.apply(
            space.fixed[name], params, stats, x, True, space.conventions
        )
        return y

    def run_equal(place: int, x: Array) -> Array:
        layer = space.layers[space.runs[place].start]

        def body(x: Array, operand: Any) -> tuple[Array, Any]:
            y, result = run_layer(layer, x, operand)
            return (x + y if layer.shortcut else y), result

        if len(space.runs[place]) > 1:
            x, results[place] = lax.scan(body, x, operands[place])
        else:
            only = jax.tree.map(lambda array: array[0], operands[place])
            x, result = body(x, only)
            results[place] = jax.tree.map(lambda array: array[None], result)
        return x

    logits = space.forward(run_fixed, run_equal, jnp.asarray(images))
    return logits, new_stats, results


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
    weights = sampled, sampled_stats
    logits, new_stats, layers = through_layers(space, weights, images, one_path, by_run)
    return logits, {**new_stats, "layers": layers}


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
        gate, indices, *rows = operand
        return two_path_op(layer, gate, indices, tuple(rows), x), None

    return through_layers(space, (params, batch_stats), images, two_path, by_run)[0]


def apply_full(
    space: SearchSpace,
    params: PyTree,
    batch_stats: PyTree,
    path: Path,
    gates: Float[Array, "L K"],
    images: Images,
) -> Logits:
    """Logits along `path`, differentiable with respect to all gates `[L K]`.

    The reference's mode `full_v2`; `gates` must be onehot(path). Costs a forward pass
    of every candidate and one input gradient, in the memory of one path. Batch
    normalisation uses the batch; running statistics stay as they are.
    """
    by_run = (
        storage.by_run(space, gates),
        storage.by_run(space, storage.rows_of(space, path)),
        params["layers"],
    )

    def all_paths(layer: LayerSpec, x: Array, operand: Any) -> tuple[Array, None]:
        layer_gates, i, table = operand
        columns = jnp.array([space.candidates.index(op) for op in layer.candidates])
        return full_op(layer, layer_gates[columns], i, table, x), None

    return through_layers(space, (params, batch_stats), images, all_paths, by_run)[0]
