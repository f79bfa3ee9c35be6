"""The over-parameterised network: all candidates stored, one path run.

A path is data (Int `[L]`), so one compiled program serves every path. One path costs
one path: `lax.switch` picks the candidate, and the backward pass switches again and
recomputes inside the branch, because a switch under autodiff would keep residuals of
every branch. `gather` takes the sampled candidates out of the tables, a step
differentiates and updates them only, `scatter` puts them back: unsampled candidates
stay bit-unchanged. Never `vmap` over paths: a switch would become a select and run all
branches.

Storage is private to this module: per searchable layer a table with one row per
candidate, parameters raveled and padded to the longest. `candidate` and `extract` are
the ways out.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from nas_jax import ops
from nas_jax.architecture import Architecture, path_of
from nas_jax.base import Images, Logits, Path, PRNGKey, PyTree
from nas_jax.gates import PathPair
from nas_jax.space import Block, LayerSpec, OpSpec, Part, SearchSpace

_FIXED_NAMES = ("stem", "first_block", "head", "classifier")


# --- storage -------------------------------------------------------------------------


def _size(shapes: PyTree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def _blocks(layer: LayerSpec) -> list[Block]:
    return [layer.block(op) for op in layer.candidates]


def _ravel(tree: PyTree, size: int) -> Float[Array, "P"]:
    leaves = [jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)]
    flat = jnp.concatenate(leaves) if leaves else jnp.zeros((0,))
    return jnp.pad(flat, (0, size - flat.size))


def _unravel(row: Float[Array, "P"], shapes: PyTree) -> PyTree:
    leaves, structure = jax.tree.flatten(shapes)
    ends = np.cumsum([leaf.size for leaf in leaves])
    starts = ends - [leaf.size for leaf in leaves]
    values = [
        row[start:end].reshape(leaf.shape)
        for leaf, start, end in zip(leaves, starts, ends, strict=True)
    ]
    return jax.tree.unflatten(structure, values)


def _table(trees: list[PyTree]) -> Float[Array, "N P"]:
    longest = max(_size(tree) for tree in trees)
    return jnp.stack([_ravel(tree, longest) for tree in trees])


def _fixed_parts(space: SearchSpace) -> dict[str, Part]:
    parts = (space.stem, space.first_block, space.head, space.classifier)
    return {
        name: part
        for name, part in zip(_FIXED_NAMES, parts, strict=True)
        if part is not None
    }


@functools.partial(jax.jit, static_argnums=1)
def init(key: PRNGKey, space: SearchSpace) -> tuple[PyTree, PyTree]:
    """Initial parameters and batch statistics of all candidates."""
    fixed = _fixed_parts(space)
    blocks = [_blocks(layer) for layer in space.layers]
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
    layers[layer] = table.at[row].set(_ravel(values, table.shape[1]))
    return {**tree, "layers": layers}


def candidate(
    space: SearchSpace, params: PyTree, batch_stats: PyTree, layer: int, op: OpSpec
) -> tuple[PyTree, PyTree]:
    """Parameters and batch statistics of one candidate, as `ops.init` would give."""
    block = space.layers[layer].block(op)
    row = space.layers[layer].candidates.index(op)
    shapes, stats_shapes = ops.shapes(block)
    return (
        _unravel(params["layers"][layer][row], shapes),
        _unravel(batch_stats["layers"][layer][row], stats_shapes),
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
        first = [tree["first_block"]] if "first_block" in tree else []
        blocks = [*first, *(one[index] for one in chosen)]
        fixed = {name: tree[name] for name in ("stem", "head", "classifier")}
        plain.append({**fixed, "blocks": blocks})
    return plain[0], plain[1]


# --- the sampled candidates ----------------------------------------------------------


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


# --- forward -------------------------------------------------------------------------

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
            block, _unravel(row, shapes), _unravel(stats, stats_shapes), x, True
        )
        return y, _ravel(new_stats, stats_size)

    return run


@functools.cache
def _batch_branch(block: Block) -> Branch:
    """As `_branch` with batch statistics, leaving the running ones alone."""

    @jax.jit
    def run(row: Array, x: Array) -> Array:
        shapes, stats_shapes = ops.shapes(block)
        stats = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), stats_shapes)
        return ops.apply(block, _unravel(row, shapes), stats, x, True)[0]

    return run


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def mixed_op(
    layer: LayerSpec, i: Array, row: Array, stats: Array, x: Array
) -> tuple[Array, Array]:
    """Output and new batch statistics of candidate `i`; keeps only its inputs."""
    branches = [_branch(block, stats.size) for block in _blocks(layer)]
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

    branches = [pull_back(block) for block in _blocks(layer)]
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
    branches = [_batch_branch(block) for block in _blocks(layer)]
    return lax.switch(pair[0], branches, rows[0], x)


def _two_path_forward(
    layer: LayerSpec, gates: Any, pair: Any, rows: Any, x: Array
) -> Any:
    return two_path_op(layer, gates, pair, rows, x), (gates, pair, rows, x)


def _two_path_backward(layer: LayerSpec, residuals: Any, dy: Array) -> Any:
    gates, pair, rows, x = residuals

    def pull_back(block: Block) -> Branch:
        run = _batch_branch(block)

        def both(row: Array, x: Array, dy: Array) -> tuple[Array, Array]:
            y, vjp = jax.vjp(functools.partial(run, row), x)
            return jnp.vdot(dy, y), vjp(dy)[0]

        return both

    def gate_only(block: Block) -> Branch:
        run = _batch_branch(block)
        return lambda row, x, dy: jnp.vdot(dy, run(row, x))

    blocks = _blocks(layer)
    active = [pull_back(block) for block in blocks]
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
    layer_fn: Callable[[int, LayerSpec, Array], Array],
    *,
    train: bool,
) -> tuple[Logits, PyTree]:
    """Fixed parts around the searchable layers; shortcuts added here."""
    new_stats = {}

    def run(name: str, x: Array) -> Array:
        part = _fixed_parts(space)[name]
        y, new_stats[name] = ops.apply(part, fixed[name], fixed_stats[name], x, train)
        return y

    x = run("stem", jnp.asarray(images))
    if space.first_block is not None:
        x = run("first_block", x)
    for index, layer in enumerate(space.layers):
        y = layer_fn(index, layer, x)
        x = x + y if layer.shortcut else y
    return run("classifier", run("head", x)), new_stats


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
    layer_stats: list[Array] = []

    def one_path(index: int, layer: LayerSpec, x: Array) -> Array:
        row, stats = sampled["layers"][index], sampled_stats["layers"][index]
        y, new = mixed_op(layer, rows[index], row, stats, x)
        layer_stats.append(new)
        return y

    logits, new_stats = _through_layers(
        space, sampled, sampled_stats, images, one_path, train=True
    )
    return logits, {**new_stats, "layers": layer_stats}


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
    active, inactive = (rows_of(space, path) for path in pair)
    first, second = gather(params, active), gather(params, inactive)

    def two_path(index: int, layer: LayerSpec, x: Array) -> Array:
        indices = jnp.stack([active[index], inactive[index]])
        rows = (first["layers"][index], second["layers"][index])
        return two_path_op(layer, gates[index], indices, rows, x)

    return _through_layers(space, params, batch_stats, images, two_path, train=True)[0]
