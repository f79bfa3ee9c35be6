"""How the parameters of all candidates are stored.

Per searchable layer a table with one row per candidate, parameters raveled and padded
to the longest. `gather` takes the rows of the sampled candidates out, `scatter` puts
them back; `candidate` and `extract` are the ways out for everybody else.
"""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from nas_jax import ops
from nas_jax.architecture import Architecture, path_of
from nas_jax.base import Path, PRNGKey, PyTree
from nas_jax.parts import Block, OpSpec
from nas_jax.space import LayerSpec, SearchSpace


def size(shapes: PyTree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def blocks_of(layer: LayerSpec) -> list[Block]:
    return [layer.block(op) for op in layer.candidates]


def ravel(tree: PyTree, size: int) -> Float[Array, "P"]:
    leaves = [jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)]
    flat = jnp.concatenate(leaves) if leaves else jnp.zeros((0,))
    return jnp.pad(flat, (0, size - flat.size))


def unravel(row: Float[Array, "P"], shapes: PyTree) -> PyTree:
    leaves, structure = jax.tree.flatten(shapes)
    ends = np.cumsum([leaf.size for leaf in leaves])
    starts = ends - [leaf.size for leaf in leaves]
    values = [
        row[start:end].reshape(leaf.shape)
        for leaf, start, end in zip(leaves, starts, ends, strict=True)
    ]
    return jax.tree.unflatten(structure, values)


def _table(trees: list[PyTree]) -> Float[Array, "N P"]:
    longest = max(size(tree) for tree in trees)
    return jnp.stack([ravel(tree, longest) for tree in trees])


@functools.partial(jax.jit, static_argnums=1)
def init(key: PRNGKey, space: SearchSpace) -> tuple[PyTree, PyTree]:
    """Initial parameters and batch statistics of all candidates."""
    fixed = space.fixed
    blocks = [blocks_of(layer) for layer in space.layers]
    made = iter(ops.init_all(key, [*fixed.values(), *itertools.chain(*blocks)]))
    params: dict[str, Any] = {}
    batch_stats: dict[str, Any] = {}
    for name in fixed:
        params[name], batch_stats[name] = next(made)
    layers = [[next(made) for _ in candidates] for candidates in blocks]
    params["layers"] = [_table([one for one, _ in layer]) for layer in layers]
    batch_stats["layers"] = [_table([one for _, one in layer]) for layer in layers]
    return params, batch_stats


def insert(
    space: SearchSpace,
    tree: PyTree,
    layer: int,
    op: OpSpec,
    values: PyTree,
) -> PyTree:
    """`tree` (parameters or batch statistics) with one candidate's values replaced."""
    row = space.layers[layer].candidates.index(op)
    table = tree["layers"][layer]
    layers = list(tree["layers"])
    layers[layer] = table.at[row].set(ravel(values, table.shape[1]))
    return {**tree, "layers": layers}


def candidate(
    space: SearchSpace, params: PyTree, batch_stats: PyTree, layer: int, op: OpSpec
) -> tuple[PyTree, PyTree]:
    """Parameters and batch statistics of one candidate, as `ops.init` would give."""
    block = space.layers[layer].block(op)
    row = space.layers[layer].candidates.index(op)
    shapes, stats_shapes = ops.shapes(block)
    return (
        unravel(params["layers"][layer][row], shapes),
        unravel(batch_stats["layers"][layer][row], stats_shapes),
    )


def extract(
    space: SearchSpace, params: PyTree, batch_stats: PyTree, architecture: Architecture
) -> tuple[PyTree, PyTree]:
    """Parameters and batch statistics of a network of the space, for `network`."""
    path = path_of(space, architecture)
    chosen = [
        candidate(space, params, batch_stats, layer, space.candidates[k])
        for layer, k in enumerate(path)
    ]
    plain = []
    for index, tree in enumerate((params, batch_stats)):
        fixed = {name: tree[name] for name in space.fixed}
        first = [fixed.pop("first_block")] if "first_block" in fixed else []
        plain.append({**fixed, "blocks": [*first, *(one[index] for one in chosen)]})
    return plain[0], plain[1]


def select(
    space: SearchSpace, smaller: SearchSpace, tree: PyTree, *, batch_stats: bool
) -> PyTree:
    """The tree of a space with fewer candidates, from that of `space`.

    Every candidate that stays keeps its values; rows shorten to the longest one left.
    """
    layers = []
    for before, after, table in zip(
        space.layers, smaller.layers, tree["layers"], strict=True
    ):
        rows = [before.candidates.index(op) for op in after.candidates]
        owned = [ops.shapes(block)[batch_stats] for block in blocks_of(after)]
        layers.append(table[jnp.array(rows), : max(map(size, owned))])
    return {**tree, "layers": layers}


def rows_of(space: SearchSpace, path: Path) -> Int[Array, "L"]:
    """Row of each layer's table that holds the sampled candidate."""
    position = [
        [
            layer.candidates.index(op) if op in layer.candidates else 0
            for op in space.candidates
        ]
        for layer in space.layers
    ]
    return jnp.asarray(np.array(position, np.int32))[jnp.arange(len(position)), path]


def gather(tree: PyTree, rows: Int[Array, "L"]) -> PyTree:
    """The same tree with each layer's table replaced by its sampled row."""
    layers = [
        lax.dynamic_index_in_dim(table, rows[index], keepdims=False)
        for index, table in enumerate(tree["layers"])
    ]
    return {**tree, "layers": layers}


def scatter(tree: PyTree, sampled: PyTree, rows: Int[Array, "L"]) -> PyTree:
    """Puts what `gather` took out, now updated, back into the tables."""
    layers = [
        lax.dynamic_update_index_in_dim(table, row, rows[index], 0)
        for index, (table, row) in enumerate(
            zip(tree["layers"], sampled["layers"], strict=True)
        )
    ]
    return {**sampled, "layers": layers}
