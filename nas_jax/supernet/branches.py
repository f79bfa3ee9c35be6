"""The computations among which a layer of the supernet switches.

One branch for all candidates that differ in their number of slices alone (`packing`);
the number is data, and so is everything else: a row of parameters, of statistics.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from nas_jax.networks import fusion, parts
from nas_jax.spaces.operations import Block
from nas_jax.spaces.parts import Conventions, HiddenSlice, Norm
from nas_jax.spaces.space import LayerSpec
from nas_jax.supernet import packing
from nas_jax.supernet.packing import ravel, size, unravel


class Branch(NamedTuple):
    """Forward and backward pass; `n` is the number of slices.

    `kept` is what the tail reads, of the shape of the output. The backward passes run
    the slices a second time and take the batch's moments from the first, so that no sum
    over the batch is made twice.
    """

    first: Callable[..., Any]
    """(n, row, stats, x) -> (y, kept, new stats, moments)"""
    pull_back: Callable[..., Any]
    """(n, row, moments, x, kept, dy) -> (drow, dx)"""
    pull_back_input: Callable[..., Any]
    """(n, row, moments, x, kept, dy) -> (dx, <dy, y>): weights get no gradient"""


class Branches(NamedTuple):
    """The branches of a layer, and for each candidate which one and how many slices."""

    each: tuple[Branch, ...]
    branch: np.ndarray
    slices: np.ndarray


@functools.cache
def branches_of(layer: LayerSpec) -> Branches:
    """What a layer switches among."""
    packed = [packing.packing(layer, op) for op in layer.candidates]
    codes = list(dict.fromkeys(one._replace(slices=0) for one in packed))
    stats_size = packing.longest_row(layer, batch_stats=True)
    branch = np.array([codes.index(one._replace(slices=0)) for one in packed])
    slices = np.array([one.slices for one in packed])
    each = [
        _whole(code.tail, stats_size, layer.conventions)
        if code.slice is None
        else _sliced(
            code.tail,
            code.slice,
            bool((slices[branch == place] != 1).any()),
            layer.conventions,
        )
        for place, code in enumerate(codes)
    ]
    return Branches(tuple(each), branch, slices)


def switch(layer: LayerSpec, kind: str, i: Array, *operands: Any) -> Any:
    """Runs the function `kind` of candidate `i`'s branch."""
    found = branches_of(layer)
    functions = [getattr(branch, kind) for branch in found.each]
    n = jnp.asarray(found.slices)[i]
    return lax.switch(jnp.asarray(found.branch)[i], functions, n, *operands)


def inner_product(dy: Array, y: Array, row: Array) -> Array:
    """<dL/dy, o(x)>, a gate's gradient, added up in the numbers of the parameters."""
    return jnp.vdot(dy.astype(row.dtype), y.astype(row.dtype))


# Makers are cached and what they make is jitted, so that a branch is traced once,
# however many switches it stands in.


@functools.cache
def _part(
    part: Block | Norm | HiddenSlice,
    conventions: Conventions,
    padded: int | None = None,
) -> Any:
    """Forward once and again of a part whose numbers lie in rows."""
    shapes, stats_shapes = parts.shapes(part)
    stats_size = size(stats_shapes) if padded is None else padded

    def once(row: Array, stats: Array, x: Array) -> tuple[Array, Array, Array]:
        y, *after = parts.apply_once(
            part, unravel(row, shapes), unravel(stats, stats_shapes), x, conventions
        )
        new_stats, moments = (ravel(tree, stats_size, stats.dtype) for tree in after)
        return y, new_stats, moments

    def again(row: Array, moments: Array, x: Array) -> Array:
        zeros = jax.tree.map(
            lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), stats_shapes
        )
        known = unravel(moments, stats_shapes)
        params = unravel(row, shapes)
        return parts.apply_again(part, params, zeros, known, x, conventions)

    return once, again


@functools.cache
def _whole(block: Block | Norm, stats_size: int, conventions: Conventions) -> Branch:
    """A tail alone."""
    once, again = _part(block, conventions, stats_size)

    @jax.jit
    def first(n: Array, row: Array, stats: Array, x: Array) -> Any:
        y, new_stats, moments = once(row, stats, x)
        return y, y, new_stats, moments

    @jax.jit
    def pull_back(n: Any, row: Any, moments: Any, x: Any, kept: Any, dy: Any) -> Any:
        return jax.vjp(lambda row, x: again(row, moments, x), row, x)[1](dy)

    @jax.jit
    def pull_back_input(
        n: Any, row: Any, moments: Any, x: Any, kept: Any, dy: Any
    ) -> Any:
        dx = jax.vjp(lambda x: again(row, moments, x), x)[1](dy)[0]
        return dx, inner_product(dy, kept, row)

    return Branch(first, pull_back, pull_back_input)


@functools.cache
def _sliced(
    tail: Block | Norm, each: HiddenSlice, is_repeated: bool, conventions: Conventions
) -> Branch:
    """A sum of slices, then the tail."""
    tail_once, tail_again = _part(tail, conventions)
    once, again = _part(each, conventions)
    side = each.block.output_size
    tail_sizes, sizes = (
        [size(shapes) for shapes in parts.shapes(part)] for part in (tail, each)
    )

    def place(s: Any, kind: int) -> Any:
        return tail_sizes[kind] + s * sizes[kind]

    def cut(row: Array, s: Any, kind: int) -> Array:
        start, size = (place(s, kind),), (sizes[kind],)
        return lax.dynamic_slice(row, start, size, allow_negative_indices=False)

    def put(row: Array, s: Any, kind: int, values: Array) -> Array:
        start = (place(s, kind),)
        return lax.dynamic_update_slice(
            row, values, start, allow_negative_indices=False
        )

    def repeat(n: Array, body: Callable[..., Any], start: Any) -> Any:
        return lax.fori_loop(0, n, body, start) if is_repeated else body(0, start)

    # Apart, the slice's parameters are read once from their place in the row and not
    # by every product, and both passes and all layers of this shape share the code.

    @fusion.apart
    def add(row: Array, stats: Array, x: Array, total: Array) -> Any:
        y, new_stats, moments = once(row, stats, x)
        return total + y, new_stats, moments

    @fusion.apart
    def back(row: Array, moments: Array, x: Array, dy: Array, dx: Array) -> Any:
        drow, more = jax.vjp(lambda row, x: again(row, moments, x), row, x)[1](dy)
        return drow, dx + more

    @fusion.apart
    def back_input(row: Array, moments: Array, x: Array, dy: Array, dx: Array) -> Any:
        return dx + jax.vjp(lambda x: again(row, moments, x), x)[1](dy)[0]

    @jax.jit
    def first(n: Array, row: Array, stats: Array, x: Array) -> Any:
        def body(s: Any, carry: Any) -> Any:
            total, *after = carry
            total, *own = add(cut(row, s, 0), cut(stats, s, 1), x, total)
            puts = (put(to, s, 1, one) for to, one in zip(after, own, strict=True))
            return total, *puts

        shape = x.shape[0], side, side, each.block.out_channels
        start = (jnp.zeros(shape, x.dtype), stats, jnp.zeros_like(stats))
        total, new_stats, moments = repeat(n, body, start)
        y, *of_tail = tail_once(row, stats, total)
        new_stats, moments = (
            slices.at[: tail_sizes[1]].set(tail)
            for slices, tail in zip((new_stats, moments), of_tail, strict=True)
        )
        return y, total, new_stats, moments

    @jax.jit
    def pull_back(n: Any, row: Any, moments: Any, x: Any, kept: Any, dy: Any) -> Any:
        drow, dtotal = jax.vjp(
            lambda row, total: tail_again(row, moments, total), row, kept
        )[1](dy)

        def body(s: Any, carry: Any) -> Any:
            drow, dx = carry
            own, dx = back(cut(row, s, 0), cut(moments, s, 1), x, dtotal, dx)
            return put(drow, s, 0, own), dx

        return repeat(n, body, (drow, jnp.zeros_like(x)))

    @jax.jit
    def pull_back_input(
        n: Any, row: Any, moments: Any, x: Any, kept: Any, dy: Any
    ) -> Any:
        y, pull = jax.vjp(lambda total: tail_again(row, moments, total), kept)
        dtotal = pull(dy)[0]

        def body(s: Any, dx: Array) -> Array:
            return back_input(cut(row, s, 0), cut(moments, s, 1), x, dtotal, dx)

        return repeat(n, body, jnp.zeros_like(x)), inner_product(dy, y, row)

    return Branch(first, pull_back, pull_back_input)
