"""Networks for LiteRT: JAX's programs in StableHLO, with batch normalisation folded.

Weights are constants, channels last. A convolution followed by batch normalisation is
lowered as one convolution and a bias, also where it trains as a matrix product.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from nas_jax.base import PyTree
from nas_jax.networks import layers, network, operations, parts
from nas_jax.networks.batch_norm import BatchNorm
from nas_jax.networks.depthwise import Pads, portable
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.parts import Part

Compute = Callable[[jax.Array], jax.Array]


def of_network(
    architecture: Architecture, params: PyTree, batch_stats: PyTree
) -> Compute:
    """Logits `[B classes]` of images `[B H W C]`."""

    def compute(x: jax.Array) -> jax.Array:
        with nn.intercept_methods(_folded):
            return network.apply(architecture, params, batch_stats, x, train=False)[0]

    return compute


def of_part(part: Part, params: PyTree, batch_stats: PyTree) -> Compute:
    """Output of a part alone; a block with a shortcut includes the addition."""

    def compute(x: jax.Array) -> jax.Array:
        with nn.intercept_methods(_folded):
            y = parts.apply(part, params, batch_stats, x, False)[0]
        return x + y if getattr(part, "shortcut", False) else y

    return compute


def _folded(
    layer: Callable[..., Any],
    arguments: tuple[Any, ...],
    named: dict[str, Any],
    context: nn.module.InterceptorContext,
) -> Any:
    """The output of a layer in evaluation, its batch normalisation as constants."""
    module = context.module
    if isinstance(module, BatchNorm):
        gain, shift = _affine(module.variables, module.eps)
        return arguments[0] * gain + shift
    if isinstance(module, layers.ConvBNAct):
        gain, shift = _affine(_of_bn(module), module.bn_eps)
        kernel = np.asarray(module.variables["params"]["kernel"]) * gain
        pads = module.pads(arguments[0].shape[1])
        y = _convolution(arguments[0], kernel, module.stride, pads) + shift
        return _activated(module.activation, y)
    if isinstance(module, layers.SqueezeExcite):
        y = arguments[0].mean((1, 2), keepdims=True)
        for name, act in (("reduce", module.activation), ("expand", module.gate)):
            y = _activated(act, _of_affine(module.variables["params"][name], y))
        return arguments[0] * y
    if isinstance(module, layers.AffineAct):
        params = module.variables["params"]["conv"]
        return _activated(module.activation, _of_affine(params, arguments[0]))
    if isinstance(module, operations.SeparableConv):
        gain, shift = _affine(_of_bn(module), module.bn_eps)
        kernels = module.variables["params"]
        x = jax.nn.relu(arguments[0] * gain + shift)
        each = kernels["depthwise"]["kernel"]
        x = portable(x, each, module.block.stride, module.dilation)
        return _convolution(x, kernels["pointwise"]["kernel"])
    return layer(*arguments, **named)


def _of_affine(params: Any, x: jax.Array) -> jax.Array:
    """A 1x1 convolution, with a bias if it has one."""
    y = _convolution(x, params["kernel"])
    return y + params["bias"][None, None, None] if "bias" in params else y


def _activated(name: str, y: jax.Array) -> jax.Array:
    """An activation as the converter knows it: without a function of its own.

    JAX's own are functions that are called, with gradients of their own.
    """
    match name:
        case "relu6":
            return jnp.clip(y, 0.0, 6.0)
        case "relu":
            return jnp.maximum(y, 0.0)
        case "hard_swish":
            return y * (jnp.clip(y + 3.0, 0.0, 6.0) / 6.0)
        case "hard_sigmoid":
            return jnp.clip(y + 3.0, 0.0, 6.0) / 6.0
        case "silu":
            return y * lax.logistic(y)
    return layers.activation(name).apply(y)


def _of_bn(module: nn.Module) -> dict[str, Any]:
    return {kind: tree["bn"] for kind, tree in module.variables.items()}


def _affine(variables: Any, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """Batch normalisation in evaluation as x gain + shift, both `[1 1 1 C]`."""
    trees = {**variables["params"], **variables["batch_stats"]}
    scale, bias, mean, var = (
        np.asarray(trees[name], np.float64)[None, None, None]
        for name in ("scale", "bias", "mean", "var")
    )
    gain = scale / np.sqrt(var + eps)
    return gain.astype(np.float32), (bias - gain * mean).astype(np.float32)


def _convolution(
    x: jax.Array, kernel: Any, stride: int = 1, pads: Pads = (0, 0)
) -> jax.Array:
    """k x k over x `[B H W C]`; depthwise where a filter has one channel of many."""
    return lax.conv_general_dilated(
        x,
        jnp.asarray(kernel),
        window_strides=(stride, stride),
        padding=[pads] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1] // kernel.shape[2],
    )
