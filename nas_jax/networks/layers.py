"""Building blocks as Linen modules, each with its form in ONNX.

`ConvBNAct`, `NormAct`, `SqueezeExcite`, and `Sequential`, which runs them one after the
other; then the fixed parts of a network. The candidate operations are in `operations`.

Conventions of the reference: convolutions without bias, k//2 padding on every side at
every stride (or the network's `padding`), ReLU6 in mobile parts and ReLU in tree cells,
batch normalisation of `batch_norm` with eps 1e-3 or the network's. Activations keep the
numbers of the images, and kernels are cast to them; only the classifier answers in
those of its parameters.

In ONNX (`to_onnx(graph, path, value)` writes a module whose weights are at a path, and
returns the name of its output) a batch normalisation after a convolution is folded, in
float64, into its weights:

    bn(w * x) = (g w) * x + (bias - g mean),    g = scale / sqrt(var + eps).

Before an activation and a convolution, as in tree cells, it stays a node.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from nas_jax.config.space import Padding
from nas_jax.networks.batch_norm import BatchNorm
from nas_jax.networks.depthwise import Pads, depthwise, native, portable
from nas_jax.networks.onnx.writer import Graph
from nas_jax.spaces.operations import Block
from nas_jax.spaces.parts import (
    BN_EPS,
    Classifier,
    Conventions,
    NormConv,
    Widen,
)

# Modules declare shapes only; the initial values are made by `parts.init`.
_ZEROS = functools.partial(nn.initializers.zeros, dtype=jnp.float32)


@jax.custom_vjp
def relu6(x: Array) -> Array:
    """min(max(x, 0), 6); the derivative is 1 strictly between."""
    return jnp.clip(x, 0.0, 6.0)


def _relu6_forward(x: Array) -> tuple[Array, Array]:
    y = relu6(x)
    return y, y  # the output alone tells the slope: the input need not be kept


def _relu6_backward(y: Array, dy: Array) -> tuple[Array]:
    return (jnp.where((y > 0) & (y < 6), dy, 0),)


relu6.defvjp(_relu6_forward, _relu6_backward)


class Activation(NamedTuple):
    """A nonlinearity, and the ONNX nodes that compute it."""

    apply: Callable[[Array], Array]
    to_onnx: Callable[[Graph, str, str], str]


def _node(op: str, **attributes: Any) -> Callable[[Graph, str, str], str]:
    return lambda graph, name, value: graph.node(op, name, [value], **attributes)


def _clip(graph: Graph, name: str, value: str) -> str:
    bounds = [graph.weight("zero", np.array(0.0)), graph.weight("six", np.array(6.0))]
    return graph.node("Clip", name, [value, *bounds])


def _silu(graph: Graph, name: str, value: str) -> str:
    gate = graph.node("Sigmoid", f"{name}/gate", [value])
    return graph.node("Mul", name, [value, gate])


ACTIVATIONS = {
    "none": Activation(lambda x: x, lambda graph, name, value: value),
    "relu6": Activation(relu6, _clip),
    "relu": Activation(jax.nn.relu, _node("Relu")),
    "hard_swish": Activation(jax.nn.hard_swish, _node("HardSwish")),
    "silu": Activation(jax.nn.silu, _silu),
    "hard_sigmoid": Activation(
        jax.nn.hard_sigmoid, _node("HardSigmoid", alpha=1 / 6, beta=0.5)
    ),
    "sigmoid": Activation(jax.nn.sigmoid, _node("Sigmoid")),
}


def activation(name: str) -> Activation:
    """The activation of a name; `ValueError` if there is none."""
    if name not in ACTIVATIONS:
        raise ValueError(
            f"activation {name!r}: expected one of {', '.join(ACTIVATIONS)}; choose one"
        )
    return ACTIVATIONS[name]


class Kernel(nn.Module):
    """The bare weights of a convolution."""

    shape: tuple[int, ...]

    @nn.compact
    def __call__(self) -> Array:
        return self.param("kernel", _ZEROS, self.shape)


class ConvBNAct(nn.Module):
    """k x k convolution without bias, BN, activation."""

    channels: int
    kernel_size: int = 1
    stride: int = 1
    depthwise: bool = False
    """One filter for each channel; `channels` is then that of the input."""
    groups: int = 1
    """Of a 1x1 convolution: channels of a group read those of the same group alone."""
    activation: str = "relu6"
    bn_eps: float = BN_EPS
    padding: Padding = "centre"

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        k, width = self.kernel_size, x.shape[-1] // self.groups
        width = 1 if self.depthwise else width
        kernel = self.param("kernel", _ZEROS, (k, k, width, self.channels))
        if self.depthwise:
            pads = self.pads(x.shape[1])
            y = depthwise_form(self, train)(x, kernel, self.stride, 1, pads)
        elif (k, self.stride) == (1, 1):
            y = product(x, kernel, self.groups)
        else:
            y = _convolve(x, kernel, self.stride, 1, self.pads(x.shape[1]))
        y = BatchNorm(self.bn_eps, name="bn")(y, train)
        return activation(self.activation).apply(y)

    @nn.nowrap
    def pads(self, side: int) -> Pads:
        """Zeros before and after a side of the input."""
        conventions = Conventions(padding=self.padding)
        return conventions.pads(side, self.kernel_size, self.stride)

    @nn.nowrap
    def to_onnx(self, graph: Graph, path: str, value: str) -> str:
        kernel = graph.array("params", f"{path}/kernel")
        scale, bias, mean, var = _norm_arrays(graph, path).values()
        gain = scale / np.sqrt(var + self.bn_eps)
        groups = self.channels if self.depthwise else self.groups
        window = Window(self.stride, groups, padding=self.padding)
        shift = graph.weight(f"{path}/bias", bias - gain * mean)
        y = convolution(graph, path, kernel * gain, value, shift, window=window)
        name = self.activation
        return activation(name).to_onnx(graph, f"{path}/{name}", y)


def depthwise_form(module: nn.Module, train: bool) -> Callable[..., Array]:
    """The form of a module's depthwise convolution.

    One of a network in evaluation may be exported, too. When a module is asked for the
    shapes of its parameters, it is the form traced fastest.
    """
    if module.is_initializing():
        return native
    return depthwise if train else portable


def product(
    x: Array, kernel: Float[Array, "1 1 C D"], groups: int = 1
) -> Float[Array, "B H W D"]:
    """1x1 convolution; with groups each reads its own C of the channels."""
    # as one matrix product: XLA copies operands of four dimensions
    weights, out = kernel[0, 0].astype(x.dtype), (*x.shape[:-1], kernel.shape[-1])
    if groups == 1:
        return (x.reshape(-1, x.shape[-1]) @ weights).reshape(out)
    each = x.reshape(-1, groups, weights.shape[0])
    weights = weights.reshape(weights.shape[0], groups, -1)
    return jnp.einsum("ngc,cgd->ngd", each, weights).reshape(out)


def _convolve(
    x: Array, kernel: Array, stride: int, groups: int = 1, pads: Pads | None = None
) -> Array:
    k = kernel.shape[0]
    return lax.conv_general_dilated(
        x,
        kernel.astype(x.dtype),
        window_strides=(stride, stride),
        padding=[pads or (k // 2, k // 2)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def _norm_arrays(graph: Graph, path: str) -> dict[str, np.ndarray]:
    """The numbers of a batch normalisation, in the order of ONNX."""
    trees = {"scale": "params", "bias": "params"}
    trees |= {"mean": "batch_stats", "var": "batch_stats"}
    return {
        name: graph.array(tree, f"{path}/bn/{name}") for name, tree in trees.items()
    }


class Window(NamedTuple):
    """How the kernel of a convolution moves over the image and the channels."""

    stride: int = 1
    groups: int = 1
    dilation: int = 1
    padding: Padding = "centre"


def convolution(
    graph: Graph,
    path: str,
    kernel: np.ndarray,
    value: str,
    *bias: str,
    window: Window = Window(),  # noqa: B008
) -> str:
    """A Conv node with a kernel HWIO at a path."""
    side = kernel.shape[0]
    around: dict[str, Any] = {"pads": [window.dilation * (side // 2)] * 4}
    if window.padding == "same":
        around = {"auto_pad": "SAME_UPPER"}
    # HWIO -> OIHW
    weight = graph.weight(f"{path}/kernel", kernel.transpose(3, 2, 0, 1))
    return graph.node(
        "Conv",
        f"{path}/conv",
        [value, weight, *bias],
        kernel_shape=[side, side],
        **around,
        strides=[window.stride] * 2,
        dilations=[window.dilation] * 2,
        group=window.groups,
    )


class NormAct(nn.Module):
    """BN, and an activation."""

    activation: str = "relu"
    bn_eps: float = BN_EPS

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        y = BatchNorm(self.bn_eps, name="bn")(x, train)
        return activation(self.activation).apply(y)

    @nn.nowrap
    def to_onnx(self, graph: Graph, path: str, value: str) -> str:
        arrays = [
            graph.weight(f"{path}/bn/{name}", array)
            for name, array in _norm_arrays(graph, path).items()
        ]
        y = graph.node(
            "BatchNormalization", f"{path}/norm", [value, *arrays], epsilon=self.bn_eps
        )
        return activation(self.activation).to_onnx(
            graph, f"{path}/{self.activation}", y
        )


class SqueezeExcite(nn.Module):
    """x times a gate per channel: mean over the image, 1x1 down, 1x1 up, gate.

    Hu et al. (2018); the defaults are MobileNetV3's.
    """

    reduced: int
    activation: str = "relu"
    gate: str = "hard_sigmoid"

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        y = x.mean((1, 2), keepdims=True)
        y = _Affine(self.reduced, name="reduce")(y)
        y = activation(self.activation).apply(y)
        y = _Affine(x.shape[-1], name="expand")(y)
        return x * activation(self.gate).apply(y)

    @nn.nowrap
    def to_onnx(self, graph: Graph, path: str, value: str) -> str:
        y = graph.node("GlobalAveragePool", f"{path}/pool", [value])
        for name, act in (("reduce", self.activation), ("expand", self.gate)):
            at = f"{path}/{name}"
            y = _Affine(self.reduced).to_onnx(graph, at, y)
            y = activation(act).to_onnx(graph, f"{at}/{act}", y)
        return graph.node("Mul", f"{path}/scaled", [value, y])


class _Affine(nn.Module):
    """1x1 convolution, with bias unless told otherwise."""

    channels: int
    has_bias: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Array:
        kernel = self.param("kernel", _ZEROS, (1, 1, x.shape[-1], self.channels))
        if not self.has_bias:
            return product(x, kernel)
        bias = self.param("bias", _ZEROS, (self.channels,))
        return product(x, kernel) + bias.astype(x.dtype)[None, None, None]

    @nn.nowrap
    def to_onnx(self, graph: Graph, path: str, value: str) -> str:
        bias = []
        if self.has_bias:
            bias = [graph.weight(f"{path}/bias", graph.array("params", f"{path}/bias"))]
        kernel = graph.array("params", f"{path}/kernel")
        return convolution(graph, path, kernel, value, *bias)


class AffineAct(nn.Module):
    """1x1 convolution and activation, without BN."""

    channels: int
    has_bias: bool
    activation: str

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        y = self._affine()(x)
        return activation(self.activation).apply(y)

    @nn.nowrap
    def _affine(self) -> _Affine:
        return _Affine(self.channels, self.has_bias, name="conv")

    @nn.nowrap
    def to_onnx(self, graph: Graph, path: str, value: str) -> str:
        y = self._affine().to_onnx(graph, f"{path}/conv", value)
        name = self.activation
        return activation(name).to_onnx(graph, f"{path}/{name}", y)


class Sequential(nn.Module):
    """An operation made of building blocks, one after the other.

    A subclass gives `layers()`, each with a name, which is that of its weights.
    """

    block: Block
    bn_eps: float = BN_EPS

    def __init_subclass__(cls, **options: Any) -> None:
        nn.nowrap(cls.layers)  # called without a scope, too
        super().__init_subclass__(**options)

    @nn.nowrap
    def layers(self) -> Sequence[Any]:
        raise NotImplementedError

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        for layer in self.layers():
            x = layer(x, train)
        return x

    @nn.nowrap
    def to_onnx(self, graph: Graph, path: str, value: str) -> str:
        for layer in self.layers():
            value = layer.to_onnx(graph, f"{path}/{layer.name}", value)
        return value


class ShuffledConv(nn.Module):
    """BN, ReLU if asked for, convolution; output channels shuffled between groups."""

    part: NormConv
    bn_eps: float = BN_EPS

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        part, k, groups = self.part, self.part.kernel, self.part.groups
        x = self._norm()(x, train)
        shape = (k, k, part.in_channels // groups, part.out_channels)
        y = _convolve(x, Kernel(shape, name="conv")(), part.stride, groups)
        return self._shuffle()(y, train)

    @nn.nowrap
    def _shuffle(self) -> "Shuffle":
        part = self.part
        return Shuffle(part.groups, part.out_channels, part.output_size)

    @nn.nowrap
    def _norm(self) -> NormAct:
        return NormAct(
            "relu" if self.part.activate else "none", self.bn_eps, name="norm"
        )

    @nn.nowrap
    def to_onnx(self, graph: Graph, path: str, value: str) -> str:
        part, groups = self.part, self.part.groups
        y = self._norm().to_onnx(graph, f"{path}/norm", value)
        kernel = graph.array("params", f"{path}/conv/kernel")
        window = Window(part.stride, groups)
        y = convolution(graph, f"{path}/conv", kernel, y, window=window)
        return self._shuffle().to_onnx(graph, path, y)


class Shuffle(nn.Module):
    """Channels `[groups, each]` turned to `[each, groups]`."""

    groups: int
    channels: int
    side: int
    """Of the feature map."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        grouped = x.reshape(*x.shape[:-1], self.groups, -1)
        return grouped.swapaxes(-1, -2).reshape(x.shape)

    @nn.nowrap
    def to_onnx(self, graph: Graph, path: str, value: str) -> str:
        if self.groups == 1:
            return value
        shape = (self.channels, self.side, self.side)
        split = (self.groups, self.channels // self.groups, *shape[1:])
        y = _reshape(graph, f"{path}/split", split, value)
        y = graph.node("Transpose", f"{path}/turn", [y], perm=[0, 2, 1, 3, 4])
        return _reshape(graph, f"{path}/join", shape, y)


def _reshape(graph: Graph, name: str, shape: tuple[int, ...], value: str) -> str:
    to = graph.constant(f"{name}/shape", np.array([0, *shape], np.int64))
    return graph.node("Reshape", name, [value, to])


class PoolAndPad(nn.Module):
    """Average pooling over stride x stride, zeros for the missing channels."""

    part: Widen

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        part = self.part
        if part.stride > 1:
            window = (part.stride, part.stride)
            # without padding the mean is the sum over a constant
            x = nn.pool(x, 0.0, lax.add, window, window, "VALID") / part.stride**2
        missing = part.out_channels - part.in_channels
        return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, missing)))

    @nn.nowrap
    def to_onnx(self, graph: Graph, path: str, value: str) -> str:
        window = [self.part.stride] * 2
        if self.part.stride > 1:
            settings = {"kernel_shape": window, "strides": window}
            value = graph.node("AveragePool", f"{path}/pool", [value], **settings)
        missing = self.part.out_channels - self.part.in_channels
        if not missing:
            return value
        pads = np.array([0, 0, 0, 0, 0, missing, 0, 0], np.int64)
        pads_name = graph.constant(f"{path}/pads", pads)
        return graph.node("Pad", f"{path}/pad", [value, pads_name])


class PooledLinear(nn.Module):
    """Global average pooling, the hidden layer if any, a linear layer with bias."""

    part: Classifier
    bn_eps: float = BN_EPS

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B H W C"],
        train: bool,
        kept: Float[Array, "B features"] | None = None,
    ) -> Float[Array, "B classes"]:
        part = self.part
        kernel = self.param("kernel", _ZEROS, (part.features, part.classes))
        bias = self.param("bias", _ZEROS, (part.classes,))
        x = x.astype(kernel.dtype).mean((1, 2), keepdims=True)
        for layer in self._hidden():
            x = layer(x, train)
        features = x[:, 0, 0] if kept is None else x[:, 0, 0] * kept.astype(x.dtype)
        return features @ kernel + bias[None]

    @nn.nowrap
    def _hidden(self) -> list[Any]:
        """The layer between pooling and the linear one, if there is one."""
        hidden = self.part.hidden
        if hidden is None:
            return []
        return [
            ConvBNAct(
                hidden.channels,
                activation=hidden.activation,
                bn_eps=self.bn_eps,
                name="hidden",
            )
            if hidden.form == "bn"
            else AffineAct(
                hidden.channels,
                hidden.form == "bias",
                hidden.activation,
                name="hidden",
            )
        ]

    @nn.nowrap
    def to_onnx(self, graph: Graph, path: str, value: str) -> str:
        weights = [
            graph.weight(name, graph.array("params", name))
            for name in (f"{path}/kernel", f"{path}/bias")
        ]
        pooled = graph.node("GlobalAveragePool", f"{path}/pool", [value])
        for layer in self._hidden():
            pooled = layer.to_onnx(graph, f"{path}/{layer.name}", pooled)
        flat = graph.node("Flatten", f"{path}/flatten", [pooled])
        return graph.node("Gemm", f"{path}/gemm", [flat, *weights])
