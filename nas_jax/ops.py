"""Parts of a network as pure functions: shapes, initial values, output.

`module(part)` gives the Linen module of a part; `init` and `apply` work on plain
pytrees. Operations of a user's own come in through `register`.
"""

import functools
import inspect
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nas_jax import layers
from nas_jax.base import PRNGKey, PyTree
from nas_jax.parts import (
    BN_EPS,
    OWN_OPERATIONS,
    Block,
    Bottleneck,
    Classifier,
    Head,
    Norm,
    NormConv,
    OwnOperation,
    Part,
    Stem,
    Widen,
    is_known,
)

_NAMES = ("kernel", "bias", "scale", "mean", "var")


def module(part: Part | Bottleneck, bn_eps: float = BN_EPS) -> nn.Module:
    """The module of a part; of a block without its shortcut."""
    match part:
        case Bottleneck():
            return layers.Bottleneck(part.block, bn_eps)
        case Stem():
            return layers.StemConv(part, bn_eps)
        case Block():
            return _operation(part, bn_eps)
        case Head():
            return layers.Pointwise(part.out_channels, True, bn_eps)
        case Classifier():
            return layers.Linear(part)
        case Norm():
            return layers.NormActivation(part.activate, bn_eps)
        case NormConv():
            return layers.NormConvolution(part, bn_eps)
        case Widen():
            return layers.Widening(part)


def _operation(block: Block, bn_eps: float) -> nn.Module:
    match block.op.kind:
        case "mbconv":
            return layers.MBConv(block, bn_eps)
        case "sep" | "dil":
            return layers.Separable(block, bn_eps)
        case "avg" | "max":
            return layers.Pool(block)
        case "identity":
            return layers.Identity()
        case "zero":
            return layers.Zero()
        case own:
            if bn_eps != BN_EPS:
                raise ValueError(
                    f"operation {own!r} is a user's own and has the default epsilon "
                    f"{BN_EPS} in its batch normalisation, got a network with {bn_eps}"
                )
            return OWN_OPERATIONS[own].module(block)


def register(
    name: str,
    macs: Callable[[Block], int],
    to_onnx: Callable[..., str] | None = None,
) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Makes a Linen module a candidate operation under a name of its own.

    The module takes the `Block` it stands in (widths, stride, side) and is called with
    `(x [B H W C], train)`. Its kernels have to be named "kernel" and its other numbers
    "bias", "scale", "mean" or "var", as in `layers`, whose modules may be used in it:
    initial values go by these names. `macs` counts its multiply-adds for one image.
    `to_onnx(graph, path, block, value)` writes it into an `onnx_writer.Graph` and
    returns the name of its output; export and measurement in ONNX Runtime need it.

        @ops.register("ghost", macs=lambda block: ...)
        class Ghost(nn.Module):
            block: Block
            @nn.compact
            def __call__(self, x, train): ...

    Raises:
      ValueError: if the name is one of the package's own or not a plain word, or
        already stands for another module in this process (compiled steps know it).
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or (
        name not in OWN_OPERATIONS and is_known(name)
    ):
        raise ValueError(
            f"operation {name!r}: expected a name of small letters, digits and _ that "
            "the package does not use itself"
        )

    def keep(module: type[nn.Module]) -> type[nn.Module]:
        known = OWN_OPERATIONS.get(name)
        if known is not None and _source(known.module) != _source(module):
            raise ValueError(
                f"operation {name!r}: expected the module that has this name already, "
                "got another; choose a new name, or restart the process"
            )
        OWN_OPERATIONS[name] = OwnOperation(module, macs, to_onnx)
        return module

    return keep


def _source(module: Any) -> Any:
    """What a module says; a file read twice says the same twice."""
    try:
        return inspect.getsource(module)
    except (OSError, TypeError):
        return module


@functools.cache
def shapes(part: Part | Bottleneck) -> tuple[PyTree, PyTree]:
    """Shapes of the parameters and of the batch statistics (empty dicts for zero)."""
    variables = jax.eval_shape(
        lambda x: module(part).init(jax.random.key(0), x, False), _one_image(part)
    )
    return variables.get("params", {}), variables.get("batch_stats", {})


def _one_image(part: Part | Bottleneck) -> jax.ShapeDtypeStruct:
    shape = (1, part.input_size, part.input_size, part.in_channels)
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def noise_size(part: Part) -> int:
    """How many standard normal numbers `init` needs."""
    return sum(math.prod(leaf.shape) for leaf in _kernels(part))


def _kernels(part: Part) -> list[Any]:
    named = jax.tree.leaves_with_path(shapes(part)[0])
    return [leaf for path, leaf in named if path[-1].key == "kernel"]


def init(noise: Float[Array, "N"], part: Part) -> tuple[PyTree, PyTree]:
    """Initial parameters and batch statistics from standard normal noise.

    Convolutions N(0, sqrt(2 / (k k out))), groups not divided out (the reference's
    `he_fout`); linear weights uniform within 1/sqrt(in); BN scale and variance 1, all
    else 0. The noise comes from outside because one draw for a whole network compiles
    in a moment, and hundreds of small ones take longer than the network.
    """
    used = 0

    def initial(path: tuple[Any, ...], leaf: Any) -> Array:
        nonlocal used
        name = path[-1].key
        if name not in _NAMES:
            raise ValueError(
                f"operation of {part.key!r}: expected parameters named "
                f"{', '.join(_NAMES)}, got {jax.tree_util.keystr(path)}"
            )
        if name != "kernel":
            return jnp.full(leaf.shape, name in ("scale", "var"), jnp.float32)
        values = noise[used : used + leaf.size].reshape(leaf.shape)
        used += leaf.size
        if isinstance(part, Classifier):
            uniform = 2 * jax.scipy.special.ndtr(values) - 1
            return uniform * part.in_channels**-0.5
        fan_out = math.prod(leaf.shape[:-2]) * leaf.shape[-1]
        return values * (2 / fan_out) ** 0.5

    params, batch_stats = shapes(part)
    return (
        jax.tree.map_with_path(initial, params),
        jax.tree.map_with_path(initial, batch_stats),
    )


def init_all(key: PRNGKey, parts: Sequence[Part]) -> list[tuple[PyTree, PyTree]]:
    """`init` for many parts from a single draw."""
    sizes = [noise_size(part) for part in parts]
    noise = jax.random.normal(key, (sum(sizes),), jnp.float32)
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
    bn_eps: float = BN_EPS,
) -> tuple[Array, PyTree]:
    """Output of a part and its batch statistics, updated if `train`."""
    if train:
        return apply_once(part, params, batch_stats, x, bn_eps)[:2]
    variables = {"params": params, "batch_stats": batch_stats}
    y: Any = module(part, bn_eps).apply(variables, x, False)
    return y, batch_stats


def apply_once(
    part: Part | Bottleneck,
    params: PyTree,
    batch_stats: PyTree,
    x: Array,
    bn_eps: float = BN_EPS,
) -> tuple[Array, PyTree, PyTree]:
    """In training: output, updated batch statistics, and the moments of the batch.

    The moments are what `apply_again` needs to skip every sum over the batch.
    """
    variables = {"params": params, "batch_stats": batch_stats}
    outputs: Any = module(part, bn_eps).apply(
        variables, x, True, mutable=["batch_stats", "moments"]
    )
    y, updated = outputs
    return y, updated.get("batch_stats", {}), updated.get("moments", {})


def apply_again(
    part: Part | Bottleneck,
    params: PyTree,
    batch_stats: PyTree,
    moments: PyTree,
    x: Array,
) -> Array:
    """The output of `apply_once`, to be differentiated; statistics are dropped."""
    variables = {"params": params, "batch_stats": batch_stats, "moments": moments}
    outputs: Any = module(part).apply(variables, x, True, mutable=["batch_stats"])
    return outputs[0]


@functools.cache
def moments_shapes(part: Part | Bottleneck) -> PyTree:
    """Shapes of the moments that `apply_once` returns."""
    once = functools.partial(apply_once, part)
    return jax.eval_shape(once, *shapes(part), _one_image(part))[2]
