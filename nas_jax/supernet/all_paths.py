"""A forward pass along one path that tells how every candidate would have done.

The reference's mode `full_v2`: one path is kept in memory, and the gradients of all
gates come from running every candidate once more in the backward pass, one at a time.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from nas_jax.base import Images, Logits, Path, PyTree
from nas_jax.spaces.space import LayerSpec, SearchSpace
from nas_jax.supernet import paths, storage
from nas_jax.supernet.branches import inner_product, switch


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def full_op(
    layer: LayerSpec,
    gates: Float[Array, "N"],
    i: Int[Array, ""],
    table: Float[Array, "N P"],
    x: Array,
) -> Array:
    """y = sum_k g_k o_k(x) at the gates onehot(i), over the layer's N candidates.

    Forward runs candidate `i` alone. Backward gives dL/dg_k = <dL/dy, o_k(x)> for all,
    running the others without residuals one after the other, and dL/dx through
    candidate `i`; weights get no gradient. Zero has output 0, so its gate's gradient
    is 0, and it costs nothing. Running statistics are not touched.
    """
    return _full_forward(layer, gates, i, table, x)[0]


def _full_forward(layer: LayerSpec, gates: Any, i: Any, table: Any, x: Array) -> Any:
    # the gates' value is onehot(i) by construction
    y, kept, moments = paths.run(layer, i, table[i], x)
    return y, (gates, i, table, x, kept, moments)


def _full_backward(layer: LayerSpec, residuals: Any, dy: Array) -> Any:
    gates, i, table, x, kept, moments = residuals
    dx, gate = switch(layer, "pull_back_input", i, table[i], moments, x, kept, dy)

    # A loop holds one candidate's memory at a time; unrolled, the compiler may overlap
    # them. The active one is known already.
    def other(k: Array) -> Array:
        return lax.cond(
            k == i,
            lambda: gate,
            lambda: inner_product(dy, paths.run(layer, k, table[k], x)[0], table),
        )

    dgates = lax.map(other, jnp.arange(len(layer.candidates), dtype=i.dtype))
    return dgates.astype(gates.dtype), None, jnp.zeros_like(table), dx


full_op.defvjp(_full_forward, _full_backward)


def apply_full(
    space: SearchSpace,
    params: PyTree,
    batch_stats: PyTree,
    path: Path,
    gates: Float[Array, "L K"],
    images: Images,
) -> Logits:
    """Logits along `path`, differentiable with respect to all gates `[L K]`.

    `gates` must be onehot(path). Costs a forward pass of every candidate and one input
    gradient, in the memory of one path. Batch normalisation uses the batch; running
    statistics stay as they are.
    """

    def all_paths(layer: LayerSpec, x: Array, operand: Any) -> tuple[Array, None]:
        layer_gates, i, table = operand
        columns = jnp.array([space.candidates.index(op) for op in layer.candidates])
        return full_op(layer, layer_gates[columns], i, table, x), None

    by_run = (
        storage.by_run(space, gates),
        storage.by_run(space, storage.rows_of(space, path)),
        params["layers"],
    )
    return paths.through_layers(
        space, params, batch_stats, images, all_paths, by_run, train=True
    )[0]
