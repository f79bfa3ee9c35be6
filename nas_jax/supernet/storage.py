"""How the parameters of all candidates are stored.

Per run of R equal layers a table `[R N P]` with one row per layer and candidate
(`packing`). `gather` takes the rows of the sampled candidates out, `scatter` puts them
back; `candidate` and `extract` are the ways out for everybody else.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from nas_jax.base import Path, PRNGKey, PyTree
from nas_jax.networks import parts
from nas_jax.spaces.architecture import Architecture, path_of
from nas_jax.spaces.operations import OpSpec
from nas_jax.spaces.space import SearchSpace
from nas_jax.supernet import packing


def _table(
    space: SearchSpace, run: range, trees: list[list[PyTree]], *, batch_stats: bool
) -> Float[Array, "R N P"]:
    """The table of a run from the trees of its layers' candidates."""
    layer = space.layers[run.start]
    longest = packing.longest_row(layer, batch_stats=batch_stats)

    def row(op: OpSpec, tree: PyTree) -> Array:
        packed = packing.packing(layer, op)
        return packing.pack(packed, tree, longest, batch_stats=batch_stats)

    rows = [[*map(row, layer.candidates, own)] for own in trees]
    kind = packing.module_of(list(itertools.chain(*rows)))
    return kind.stack([kind.stack(own) for own in rows])


def _place(space: SearchSpace, layer: int) -> tuple[int, int]:
    """Run of a layer, and its place there."""
    for index, run in enumerate(space.runs):
        if layer in run:
            return index, layer - run.start
    raise IndexError(f"layer {layer}: expected one of {len(space.layers)}")


def by_run(space: SearchSpace, array: Array) -> list[Array]:
    """An array `[L ...]` cut into those of the runs, `[R ...]` each."""
    return [array[run.start : run.stop] for run in space.runs]


def init(key: PRNGKey, space: SearchSpace) -> tuple[PyTree, PyTree]:
    """Initial parameters and batch statistics of all candidates."""
    fixed = space.fixed
    blocks = [[layer.block(op) for op in layer.candidates] for layer in space.layers]
    made = iter(parts.init_all(key, [*fixed.values(), *itertools.chain(*blocks)]))
    params: dict[str, Any] = {}
    batch_stats: dict[str, Any] = {}
    for name in fixed:
        params[name], batch_stats[name] = next(made)
    layers = [[next(made) for _ in candidates] for candidates in blocks]
    for kind, tree in enumerate((params, batch_stats)):
        tree["layers"] = [
            _table(
                space,
                run,
                [[one[kind] for one in layers[layer]] for layer in run],
                batch_stats=bool(kind),
            )
            for run in space.runs
        ]
    return jax.device_put((params, batch_stats), may_alias=False)


def insert(
    space: SearchSpace,
    tree: PyTree,
    layer: int,
    op: OpSpec,
    values: PyTree,
    *,
    batch_stats: bool,
) -> PyTree:
    """`tree` (parameters or batch statistics) with one candidate's values replaced."""
    run, place = _place(space, layer)
    spec, layers = space.layers[layer], list(tree["layers"])
    packed, longest = packing.packing(spec, op), layers[run].shape[-1]
    values = packing.pack(packed, values, longest, batch_stats=batch_stats)
    layers[run] = layers[run].at[place, spec.candidates.index(op)].set(values)
    return {**tree, "layers": layers}


def candidate(
    space: SearchSpace, params: PyTree, batch_stats: PyTree, layer: int, op: OpSpec
) -> tuple[PyTree, PyTree]:
    """Parameters and batch statistics of one candidate, as `parts.init` would give."""
    return (
        _candidate(space, params, layer, op, batch_stats=False),
        _candidate(space, batch_stats, layer, op, batch_stats=True),
    )


def _candidate(
    space: SearchSpace, tree: PyTree, layer: int, op: OpSpec, *, batch_stats: bool
) -> PyTree:
    spec, (run, place) = space.layers[layer], _place(space, layer)
    row = tree["layers"][run][place, spec.candidates.index(op)]
    shapes = parts.shapes(spec.block(op))[batch_stats]
    packed = packing.packing(spec, op)
    return packing.unpack(packed, row, shapes, batch_stats=batch_stats)


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
    for run in smaller.runs:
        candidates = [
            [
                _candidate(space, tree, layer, op, batch_stats=batch_stats)
                for op in smaller.layers[layer].candidates
            ]
            for layer in run
        ]
        layers.append(_table(smaller, run, candidates, batch_stats=batch_stats))
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
    rows = jnp.asarray(np.array(position), jnp.int32)
    return rows[jnp.arange(len(position)), path]


def gather(tree: PyTree, rows: Int[Array, "L"]) -> PyTree:
    """The same tree with each run's table `[R N P]` replaced by its rows `[R P]`."""
    layers = []
    for table, starts in _starts(tree, rows):
        size = 1, 1, table.shape[2]
        taken = [lax.dynamic_slice(table, start, size)[0] for start in starts]
        layers.append(jnp.concatenate(taken))
    return {**tree, "layers": layers}


def scatter(tree: PyTree, sampled: PyTree, rows: Int[Array, "L"]) -> PyTree:
    """Puts what `gather` took out, now updated, back into the tables."""
    layers = []
    for (table, starts), new in zip(
        _starts(tree, rows), sampled["layers"], strict=True
    ):
        for place, start in enumerate(starts):
            table = lax.dynamic_update_slice(table, new[place][None, None], start)
        layers.append(table)
    return {**sampled, "layers": layers}


def _starts(tree: PyTree, rows: Int[Array, "L"]) -> Iterator[tuple[Array, list[Any]]]:
    """Every table and where its sampled rows begin."""
    layers = itertools.count()
    for table in tree["layers"]:
        # integers of one type, also where Python's are of 64 bits
        zero, places = np.int32(0), map(np.int32, range(len(table)))
        yield table, [(place, rows[next(layers)], zero) for place in places]
