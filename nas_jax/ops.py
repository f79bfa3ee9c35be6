"""Parts of a network as Flax Linen modules: the only file that knows Linen.

`module(part)` gives the module of a part; `init` and `apply` work on plain pytrees.
Conventions of the reference: convolutions without bias, k//2 padding on every side at
every stride, ReLU6, batch normalisation of `batch_norm` with eps 1e-3 or the network's.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from nas_jax.base import PRNGKey, PyTree
from nas_jax.batch_norm import BatchNorm
from nas_jax.depthwise import depthwise
from nas_jax.parts import BN_EPS, Block, Classifier, Head, Part, Stem

# Modules declare shapes only; the initial values are made by `init` below.
_ZEROS = nn.initializers.zeros


@jax.custom_jvp
def relu6(x: Array) -> Array:
    """min(max(x, 0), 6); the derivative is 1 strictly between."""
    return jnp.clip(x, 0.0, 6.0)


@relu6.defjvp
def _relu6_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    y = relu6(primals[0])
    # From the output alone, so that the input need not be kept for the backward pass.
    return y, jnp.where((y > 0) & (y < 6), tangents[0], 0)


class Pointwise(nn.Module):
    """1x1 convolution as one matrix product, BN, and ReLU6 if `activate`."""

    channels: int
    activate: bool
    bn_eps: float = BN_EPS

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        shape = (1, 1, x.shape[-1], self.channels)
        kernel = self.param("kernel", _ZEROS, shape)
        y = x.reshape(-1, x.shape[-1]) @ kernel[0, 0]
        y = y.reshape(*x.shape[:-1], self.channels)
        y = BatchNorm(self.bn_eps, name="bn")(y, train)
        return relu6(y) if self.activate else y


class Depthwise(nn.Module):
    """Depthwise k x k convolution, BN, ReLU6."""

    kernel_size: int
    stride: int
    bn_eps: float = BN_EPS

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        k = self.kernel_size
        kernel = self.param("kernel", _ZEROS, (k, k, 1, x.shape[-1]))
        y = depthwise(x, kernel, self.stride)
        return relu6(BatchNorm(self.bn_eps, name="bn")(y, train))


class MBConv(nn.Module):
    """Inverted bottleneck: expand 1x1, depthwise k x k, project 1x1.

    BN after each, ReLU6 after the first two; no expansion layer at expansion 1. The
    shortcut is not part of it: it belongs to the block.
    """

    block: Block
    bn_eps: float = BN_EPS

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        block, eps = self.block, self.bn_eps
        if block.op.expansion > 1:
            x = Pointwise(block.inner_channels, True, eps, name="expand")(x, train)
        x = Depthwise(block.op.kernel, block.stride, eps, name="depthwise")(x, train)
        return Pointwise(block.out_channels, False, eps, name="project")(x, train)


class Zero(nn.Module):
    """Output 0: with the shortcut around it, the block is the identity."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        return jnp.zeros_like(x)


class StemConv(nn.Module):
    """Dense k x k convolution, BN, ReLU6."""

    stem: Stem
    bn_eps: float = BN_EPS

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        stem, k = self.stem, self.stem.kernel
        kernel = self.param(
            "kernel", _ZEROS, (k, k, stem.in_channels, stem.out_channels)
        )
        y = lax.conv_general_dilated(
            x,
            kernel,
            window_strides=(stem.stride, stem.stride),
            padding=[(k // 2, k // 2)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return relu6(BatchNorm(self.bn_eps, name="bn")(y, train))


class Linear(nn.Module):
    """Global average pooling, then a linear layer with bias."""

    classifier: Classifier

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool
    ) -> Float[Array, "B classes"]:
        part = self.classifier
        kernel = self.param("kernel", _ZEROS, (part.in_channels, part.classes))
        bias = self.param("bias", _ZEROS, (part.classes,))
        return x.mean((1, 2)) @ kernel + bias


def module(part: Part, bn_eps: float = BN_EPS) -> nn.Module:
    """The module of a part; of a block without its shortcut."""
    match part:
        case Stem():
            return StemConv(part, bn_eps)
        case Block() if part.op.kind == "zero":
            return Zero()
        case Block():
            return MBConv(part, bn_eps)
        case Head():
            return Pointwise(part.out_channels, True, bn_eps)
        case Classifier():
            return Linear(part)


@functools.cache
def shapes(part: Part) -> tuple[PyTree, PyTree]:
    """Shapes of the parameters and of the batch statistics (empty dicts for zero)."""
    x = jax.ShapeDtypeStruct(
        (1, part.input_size, part.input_size, part.in_channels), jnp.float32
    )
    variables = jax.eval_shape(
        lambda x: module(part).init(jax.random.key(0), x, False), x
    )
    return variables.get("params", {}), variables.get("batch_stats", {})


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
        if name != "kernel":
            return jnp.full(leaf.shape, name in ("scale", "var"), jnp.float32)
        values = noise[used : used + leaf.size].reshape(leaf.shape)
        used += leaf.size
        if isinstance(part, Classifier):
            uniform = 2 * jax.scipy.special.ndtr(values) - 1
            return uniform * part.in_channels**-0.5
        k, _, _, out = leaf.shape
        return values * (2 / (k * k * out)) ** 0.5

    params, batch_stats = shapes(part)
    return (
        jax.tree.map_with_path(initial, params),
        jax.tree.map_with_path(initial, batch_stats),
    )


def init_all(key: PRNGKey, parts: Sequence[Part]) -> list[tuple[PyTree, PyTree]]:
    """`init` for many parts from a single draw."""
    sizes = [noise_size(part) for part in parts]
    noise = jax.random.normal(key, (sum(sizes),))
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
    variables = {"params": params, "batch_stats": batch_stats}
    if not train:
        y: Any = module(part, bn_eps).apply(variables, x, False)
        return y, batch_stats
    outputs: Any = module(part, bn_eps).apply(
        variables, x, True, mutable=["batch_stats"]
    )
    y, updated = outputs
    return y, updated.get("batch_stats", {})
