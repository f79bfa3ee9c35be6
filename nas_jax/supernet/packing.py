"""How the numbers of one candidate lie in a row of a table.

A candidate is its *tail* and, before it, the sum of *slices* of hidden channels:

    o(x) = tail(sum over slices s of slice_s(x)),     or o(x) = tail(x) without slices.

The tail of an MBConv is its last batch normalisation, and its slices are as wide as
the narrowest MBConv of the layer: beside an `mb3_k3`, `mb6_k5` is two slices, each an
`mb3_k5`. So candidates of one kernel are one computation, run once or twice, and the
compiled step contains it once; and a slice's hidden channels are all that is in memory
of them at a time, whichever kernels a pruned layer has left. Every other operation is
a tail alone. A row holds the tail, the slices, and zeros up to the longest candidate
of the layer.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nas_jax.base import PyTree
from nas_jax.networks import parts
from nas_jax.spaces.operations import Block, OpSpec
from nas_jax.spaces.parts import HiddenSlice, Norm
from nas_jax.spaces.space import LayerSpec


class Packing(NamedTuple):
    """Tail, slice, and how many slices; equal up to the number means equal code."""

    tail: Block | Norm
    slice: HiddenSlice | None
    slices: int


@functools.cache
def packing(layer: LayerSpec, op: OpSpec) -> Packing:
    """How a candidate of a layer is put together."""
    if not op.is_sum:
        return Packing(layer.block(op), None, 0)
    narrowest = min(
        other.expansion
        for other in layer.candidates
        if other.kind == op.kind
        and other.is_sum
        and op.expansion % other.expansion == 0
        # without an expansion the code is another
        and (other.expansion > 1 or op.expansion == 1)
    )
    # as a block of its own: the layer need not have it among its candidates
    narrow = dataclasses.replace(op, expansion=narrowest)
    each = dataclasses.replace(layer.block(op), op=narrow)
    tail = Norm(layer.out_channels, layer.output_size)
    return Packing(tail, HiddenSlice(each), int(op.expansion // narrowest))


def size(shapes: PyTree) -> int:
    """Numbers in a tree."""
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def row_size(packed: Packing, *, batch_stats: bool) -> int:
    """Numbers of a candidate in its row, without the zeros at the end."""
    tail, each = _shapes(packed, batch_stats)
    return size(tail) + packed.slices * size(each)


def longest_row(layer: LayerSpec, *, batch_stats: bool) -> int:
    """Length of all rows of a layer."""
    packed = (packing(layer, op) for op in layer.candidates)
    return max(row_size(one, batch_stats=batch_stats) for one in packed)


def _shapes(packed: Packing, batch_stats: bool) -> tuple[PyTree, PyTree]:
    """Of the tail and of a slice."""
    each = ({}, {}) if packed.slice is None else parts.shapes(packed.slice)
    return parts.shapes(packed.tail)[batch_stats], each[batch_stats]


def ravel(tree: PyTree, size: int, dtype: Any = jnp.float32) -> Float[Array, "P"]:
    """All numbers of a tree, and zeros up to `size`; those alone are of `dtype`."""
    leaves = jax.tree.leaves(tree)
    kind = module_of(leaves)
    flats = [*map(kind.ravel, leaves)]
    flat = kind.concatenate(flats) if flats else jnp.zeros((0,), dtype)
    return kind.pad(flat, (0, size - flat.size))


def module_of(arrays: Sequence[Any]) -> Any:
    """`numpy` for arrays of NumPy's alone, which nothing compiles; else `jax.numpy`."""
    is_numpy = arrays and all(isinstance(one, np.ndarray) for one in arrays)
    return np if is_numpy else jnp


def unravel(row: Float[Array, "P"], shapes: PyTree) -> PyTree:
    """The tree that begins a row."""
    leaves, structure = jax.tree.flatten(shapes)
    ends = np.cumsum([leaf.size for leaf in leaves])
    values = [
        row[end - leaf.size : end].reshape(leaf.shape)
        for leaf, end in zip(leaves, ends, strict=True)
    ]
    return jax.tree.unflatten(structure, values)


def pack(
    packed: Packing, tree: PyTree, size: int, *, batch_stats: bool
) -> Float[Array, "P"]:
    """A row from parameters or batch statistics as `parts.init` gives them."""
    if packed.slice is None:
        return ravel(tree, size)
    tail, hidden = _without_last_norm(tree)
    shapes, structure = jax.tree.flatten(parts.shapes(packed.slice)[batch_stats])
    pieces = [
        module_of([leaf]).split(
            leaf, packed.slices, _hidden_axis(leaf.shape, shape.shape)
        )
        for leaf, shape in zip(jax.tree.leaves(hidden), shapes, strict=True)
    ]
    slices = [jax.tree.unflatten(structure, own) for own in zip(*pieces, strict=True)]
    return ravel([tail, slices], size)


def unpack(
    packed: Packing, row: Float[Array, "P"], shapes: PyTree, *, batch_stats: bool
) -> PyTree:
    """What `pack` took, of these shapes."""
    if packed.slice is None:
        return unravel(row, shapes)
    tail_shapes, each = _shapes(packed, batch_stats)
    tail, slices = unravel(row, [tail_shapes, [each] * packed.slices])
    hidden_shapes = _without_last_norm(shapes)[1]

    def join(shape: Any, *pieces: Array) -> Array:
        return jnp.concatenate(pieces, _hidden_axis(shape.shape, pieces[0].shape))

    hidden = jax.tree.map(join, hidden_shapes, *slices)
    return {**hidden, "project": {**hidden.get("project", {}), **tail}}


def _without_last_norm(tree: PyTree) -> tuple[PyTree, PyTree]:
    """An MBConv's tree as that of its tail and that of its hidden channels."""
    project = dict(tree["project"])
    tail = {"bn": project.pop("bn")}
    rest = {name: part for name, part in tree.items() if name != "project"}
    return tail, {**rest, "project": project} if project else rest


def _hidden_axis(whole: tuple[int, ...], each: tuple[int, ...]) -> int:
    """The axis of the hidden channels: the one that slices make shorter."""
    return next((axis for axis, n in enumerate(whole) if n != each[axis]), 0)
