"""Parts of a network as pure functions: shapes, initial values, output.

Where an operation is found: `spaces.operations` registers it (names, costs),
`operations` implements it, and `module(part)` here builds the Linen module of a block
or of any other part of `spaces.parts`. `init` and `apply` work on plain pytrees.
"""

import functools
import inspect
import math
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nas_jax.base import PRNGKey, PyTree
from nas_jax.networks import operations as operations  # registers the modules
from nas_jax.networks.layers import (
    ConvBNAct,
    NormAct,
    PoolAndPad,
    PooledLinear,
    ShuffledConv,
)
from nas_jax.networks.onnx.writer import Graph
from nas_jax.spaces.operations import Block, OpSpec
from nas_jax.spaces.parts import (
    BN_EPS,
    OURS,
    Classifier,
    Conventions,
    Head,
    HiddenSlice,
    Norm,
    NormConv,
    Part,
    Stem,
    Widen,
)

_NAMES = ("kernel", "bias", "scale", "mean", "var")


def implementations(operations: Iterable[OpSpec]) -> tuple[type, ...]:
    """The classes that compute these operations: a program is made of their code."""
    return tuple(op.operation.implementation for op in operations)


def module(part: Part | HiddenSlice, conventions: Conventions = OURS) -> Any:
    """The Linen module of a part; of a block without its shortcut."""
    bn_eps = conventions.bn_eps
    match part:
        case Block():
            return _operation(part, conventions)
        case HiddenSlice(block=block):
            return block.op.operation.slice(block, conventions)
        case Stem(out_channels=width, kernel=k, stride=stride):
            return ConvBNAct(
                width,
                k,
                stride,
                activation=part.activation,
                bn_eps=bn_eps,
                padding=conventions.padding,
            )
        case Head():
            width, activation = part.out_channels, part.activation
            return ConvBNAct(width, activation=activation, bn_eps=bn_eps)
        case Norm():
            return NormAct("relu" if part.activate else "none", bn_eps)
        case NormConv():
            return ShuffledConv(part, bn_eps)
        case Widen():
            return PoolAndPad(part)
        case Classifier():
            return PooledLinear(part, bn_eps)


def _operation(block: Block, conventions: Conventions) -> Any:
    make, kind = block.op.operation.implementation, block.op.kind
    bn_eps = conventions.bn_eps
    if make is None:
        raise ValueError(
            f"operation {kind!r}: expected a module, got none; decorate one with "
            "operations.register(...).module"
        )
    known = inspect.signature(make).parameters
    if "padding" in known:
        return make(block, bn_eps=bn_eps, padding=conventions.padding)
    if "bn_eps" in known:
        return make(block, bn_eps=bn_eps)
    if bn_eps != BN_EPS and shapes(block)[1]:
        raise ValueError(
            f"operation {kind!r}: expected the default epsilon {BN_EPS} of batch "
            f"normalisation, got a network with {bn_eps}; give its module a field "
            "bn_eps"
        )
    return make(block)


def to_onnx(
    part: Part, graph: Graph, path: str, value: str, conventions: Conventions
) -> str:
    """Writes a part, a block without its shortcut; returns the name of its output.

    That is "" for `zero`, whose output is 0, and `value` for `identity`.
    """
    if isinstance(part, Block):
        require_onnx(part.op)
    return module(part, conventions).to_onnx(graph, path, value)


def require_onnx(op: OpSpec) -> None:
    """Raises `ValueError` for an operation that has no form in ONNX."""
    if not hasattr(op.operation.implementation, "to_onnx"):
        raise ValueError(
            f"operation {op.name!r}: expected a way to write it in ONNX, got none; "
            "give its module a method to_onnx(graph, path, value)"
        )


@functools.cache
def shapes(part: Part | HiddenSlice) -> tuple[PyTree, PyTree]:
    """Shapes of the parameters and of the batch statistics (empty dicts for zero)."""
    variables = jax.eval_shape(
        lambda x: module(part).init(jax.random.key(0), x, False), _one_image(part)
    )
    return variables.get("params", {}), variables.get("batch_stats", {})


def _one_image(part: Part | HiddenSlice) -> jax.ShapeDtypeStruct:
    shape = (1, part.input_size, part.input_size, part.in_channels)
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def noise_size(part: Part) -> int:
    """How many standard normal numbers `init` needs."""
    named = jax.tree.leaves_with_path(shapes(part)[0])
    return sum(leaf.size for path, leaf in named if path[-1].key == "kernel")


def init(noise: Float[Array, "N"], part: Part) -> tuple[PyTree, PyTree]:
    """Initial parameters and batch statistics from standard normal noise.

    Convolutions N(0, sqrt(2 / (k k out))), groups not divided out (the reference's
    `he_fout`); linear weights uniform within 1/sqrt(in); BN scale and variance 1, all
    else 0. The noise comes from outside because one draw for a whole network compiles
    in a moment, and hundreds of small ones take longer than the network.
    """
    used = 0

    def initial(path: tuple[Any, ...], leaf: Any) -> Any:
        nonlocal used
        name = path[-1].key
        if name not in _NAMES:
            raise ValueError(
                f"operation of {part.key!r}: expected parameters named "
                f"{', '.join(_NAMES)}, got {jax.tree_util.keystr(path)}"
            )
        if name != "kernel":
            return np.full(leaf.shape, name in ("scale", "var"), np.float32)
        values = noise[used : used + leaf.size].reshape(leaf.shape)
        used += leaf.size
        if isinstance(part, Classifier) and len(path) == 1:
            uniform = 2 * jax.scipy.special.ndtr(values) - 1
            return uniform * part.features**-0.5
        fan_out = math.prod(leaf.shape[:-2]) * leaf.shape[-1]
        return values * (2 / fan_out) ** 0.5

    params, batch_stats = (
        jax.tree.map_with_path(initial, tree) for tree in shapes(part)
    )
    return params, batch_stats


def init_all(key: PRNGKey, parts: Sequence[Part]) -> list[tuple[PyTree, PyTree]]:
    """`init` for many parts from a single draw.

    In NumPy, unless it is traced: to compile a thousand slices takes longer than the
    first step of a search.
    """
    sizes = [noise_size(part) for part in parts]
    noise: Any = jax.random.normal(key, (sum(sizes),), jnp.float32)
    if not isinstance(noise, jax.core.Tracer):
        noise = np.asarray(noise)
    ends = np.cumsum(sizes)
    return [
        init(noise[end - size : end], part)
        for part, size, end in zip(parts, sizes, ends, strict=True)
    ]


def apply(
    part: Part,
    params: PyTree,
    batch_stats: PyTree,
    x: Array,
    train: bool,
    conventions: Conventions = OURS,
    **more: Array | None,
) -> tuple[Array, PyTree]:
    """Output of a part and its batch statistics, updated if `train`.

    `more` is what its module takes besides, as a classifier's `kept`.
    """
    if train:
        return apply_once(part, params, batch_stats, x, conventions, **more)[:2]
    variables = {"params": params, "batch_stats": batch_stats}
    y: Any = module(part, conventions).apply(variables, x, False, **more)
    return y, batch_stats


def apply_once(
    part: Part | HiddenSlice,
    params: PyTree,
    batch_stats: PyTree,
    x: Array,
    conventions: Conventions = OURS,
    **more: Array | None,
) -> tuple[Array, PyTree, PyTree]:
    """In training: output, updated batch statistics, and the moments of the batch.

    The moments are what `apply_again` needs to skip every sum over the batch.
    """
    variables = {"params": params, "batch_stats": batch_stats}
    outputs: Any = module(part, conventions).apply(
        variables, x, True, mutable=["batch_stats", "moments"], **more
    )
    y, updated = outputs
    return y, updated.get("batch_stats", {}), updated.get("moments", {})


def apply_again(
    part: Part | HiddenSlice,
    params: PyTree,
    batch_stats: PyTree,
    moments: PyTree,
    x: Array,
    conventions: Conventions = OURS,
) -> Array:
    """Output of `apply_once`, to be differentiated; statistics are dropped."""
    variables = {"params": params, "batch_stats": batch_stats, "moments": moments}
    outputs: Any = module(part, conventions).apply(
        variables, x, True, mutable=["batch_stats"]
    )
    return outputs[0]
