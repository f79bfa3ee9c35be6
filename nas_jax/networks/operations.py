"""The package's candidate operations as modules, one for each kind that is registered.

`spaces.operations` registers them (names, costs), `parts` builds them. The shortcut is
no part of them: it belongs to the block.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nas_jax.config.space import Padding
from nas_jax.networks.batch_norm import BatchNorm
from nas_jax.networks.layers import (
    ConvBNAct,
    Kernel,
    NormAct,
    Sequential,
    Shuffle,
    SqueezeExcite,
    Window,
    convolution,
    depthwise_form,
    product,
)
from nas_jax.networks.onnx.writer import Graph
from nas_jax.spaces import operations
from nas_jax.spaces.operations import Block, start_stride
from nas_jax.spaces.parts import BN_EPS, OURS, Conventions


def _hidden(
    block: Block, conventions: Conventions, activation: str = "relu6"
) -> list[ConvBNAct]:
    """Expansion, none at expansion 1, and depthwise convolution."""
    inner, k = block.inner_channels, block.op.kernel
    expand = ConvBNAct(
        inner,
        groups=block.op.groups,
        activation=activation,
        bn_eps=conventions.bn_eps,
        name="expand",
    )
    depthwise = ConvBNAct(
        inner,
        k,
        block.stride,
        depthwise=True,
        activation=activation,
        bn_eps=conventions.bn_eps,
        padding=conventions.padding,
        name="depthwise",
    )
    return [expand, depthwise] if block.op.expansion > 1 else [depthwise]


def _projection(block: Block, bn_eps: float) -> ConvBNAct:
    """The 1x1 convolution and BN at the end of every bottleneck."""
    return ConvBNAct(
        block.out_channels,
        groups=block.op.groups,
        activation="none",
        bn_eps=bn_eps,
        name="project",
    )


@operations.MBCONV.module
class MBConv(Sequential):
    """Inverted bottleneck: expand 1x1, depthwise k x k, project 1x1.

    BN after each, ReLU6 after the first two; no expansion layer at expansion 1.
    """

    padding: Padding = "centre"

    def layers(self) -> list[ConvBNAct]:
        conventions = Conventions(self.bn_eps, self.padding)
        hidden = _hidden(self.block, conventions)
        return [*hidden, _projection(self.block, self.bn_eps)]


class MBConvSlice(nn.Module):
    """An MBConv without its last BN."""

    block: Block
    conventions: Conventions = OURS

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        activation = self.block.style.activation
        for layer in _hidden(self.block, self.conventions, activation):
            x = layer(x, train)
        shape = (1, 1, x.shape[-1], self.block.out_channels)
        return product(x, Kernel(shape, name="project")())


operations.MBCONV.slice = MBConvSlice


@operations.STYLED.module
class StyledMBConv(Sequential):
    """`MBConv` with another activation, with squeeze-and-excitation, or both.

    MobileNetV3 (Howard et al., ICCV 2019): the squeeze stands after the depthwise
    convolution's activation, with ReLU inside and a hard sigmoid as its gate. With SiLU
    it is EfficientNet's (Tan, Le, ICML 2019): SiLU inside, and a sigmoid.
    """

    def layers(self) -> list[Any]:
        block, conventions = self.block, Conventions(self.bn_eps)
        activation, squeezes = block.style
        layers: list[Any] = [*_hidden(block, conventions, activation)]
        if squeezes:
            inside = ("silu", "sigmoid") if activation == "silu" else ()
            squeeze = SqueezeExcite(block.squeezed_channels, *inside, name="squeeze")
            layers.append(squeeze)
        return [*layers, _projection(block, self.bn_eps)]


operations.STYLED.slice = MBConvSlice


@operations.GROUPED.module
class GroupedMBConv(Sequential):
    """`MBConv` with ReLU, 1x1 convolutions in groups and a shuffle between them.

    FBNet (Wu et al., CVPR 2019).
    """

    def layers(self) -> list[Any]:
        block = self.block
        layers: list[Any] = _hidden(block, Conventions(self.bn_eps), "relu")
        between = Shuffle(
            block.op.groups, block.inner_channels, block.input_size, name="shuffle"
        )
        layers.insert(len(layers) - 1, between)
        return [*layers, _projection(block, self.bn_eps)]


@operations.UNIVERSAL.module
class UniversalBottleneck(Sequential):
    """Depthwise, expand 1x1, depthwise, project 1x1; either depthwise may be absent.

    MobileNetV4 (Qin et al., ECCV 2024): BN after each, ReLU after the second and the
    third. With both depthwise convolutions it is their ExtraDW, with the second alone
    an inverted bottleneck, with the first alone ConvNeXt-like, with none their FFN.
    """

    def layers(self) -> list[ConvBNAct]:
        block, op, eps = self.block, self.block.op, self.bn_eps
        first, inner = start_stride(block), block.inner_channels
        start = ConvBNAct(
            block.in_channels,
            op.start,
            first,
            depthwise=True,
            activation="none",
            bn_eps=eps,
            name="start",
        )
        expand = ConvBNAct(inner, activation="relu", bn_eps=eps, name="expand")
        middle = ConvBNAct(
            inner,
            op.kernel,
            block.stride // first,
            depthwise=True,
            activation="relu",
            bn_eps=eps,
            name="depthwise",
        )
        layers = [start] if op.start else []
        layers += [expand, middle] if op.kernel else [expand]
        return [*layers, _projection(block, eps)]


@operations.FUSED.module
class FusedMBConv(Sequential):
    """`MBConv` with ReLU whose first two convolutions are one, k x k and not depthwise.

    EdgeTPU's (Gupta, Akin, 2020) and MobileNetV4's first block.
    """

    def layers(self) -> list[ConvBNAct]:
        block, eps = self.block, self.bn_eps
        expand = ConvBNAct(
            block.inner_channels,
            block.op.kernel,
            block.stride,
            activation="relu",
            bn_eps=eps,
            name="expand",
        )
        return [expand, _projection(block, eps)]


@operations.CONVOLUTION.module
class Convolution(Sequential):
    """k x k convolution, BN, ReLU."""

    def layers(self) -> list[ConvBNAct]:
        block = self.block
        return [
            ConvBNAct(
                block.out_channels,
                block.op.kernel,
                block.stride,
                activation="relu",
                bn_eps=self.bn_eps,
                name="conv",
            )
        ]


@operations.SEPARABLE.module
class SeparableConv(nn.Module):
    """BN, ReLU, depthwise k x k, pointwise 1x1."""

    block: Block
    bn_eps: float = BN_EPS
    dilation: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        block, k = self.block, self.block.op.kernel
        x = jax.nn.relu(BatchNorm(self.bn_eps, name="bn")(x, train))
        filters = Kernel((k, k, 1, block.in_channels), name="depthwise")()
        convolve = depthwise_form(self, train)
        x = convolve(x, filters, block.stride, self.dilation)
        mix = Kernel((1, 1, block.in_channels, block.out_channels), name="pointwise")()
        return x @ mix[0, 0].astype(x.dtype)

    @nn.nowrap
    def to_onnx(self, graph: Graph, path: str, value: str) -> str:
        y = NormAct("relu", self.bn_eps).to_onnx(graph, path, value)
        each = Window(self.block.stride, self.block.in_channels, self.dilation)
        for name, window in (("depthwise", each), ("pointwise", Window())):
            kernel = graph.array("params", f"{path}/{name}/kernel")
            y = convolution(graph, f"{path}/{name}", kernel, y, window=window)
        return y


@operations.DILATED.module
class DilatedConv(SeparableConv):
    """`SeparableConv` whose taps stand two pixels apart."""

    dilation: int = 2


class _Pool(nn.Module):
    """k x k pooling at stride 1; a subclass is called as its operator in ONNX."""

    block: Block

    @nn.nowrap
    def to_onnx(self, graph: Graph, path: str, value: str) -> str:
        k = self.block.op.kernel
        shape = {"kernel_shape": [k, k], "pads": [k // 2] * 4}
        return graph.node(type(self).__name__, f"{path}/pool", [value], **shape)


@operations.AVERAGE.module
class AveragePool(_Pool):
    """Average over k x k at stride 1; what lies outside does not count."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        window = (self.block.op.kernel,) * 2
        return nn.avg_pool(x, window, padding="SAME", count_include_pad=False)


@operations.MAXIMUM.module
class MaxPool(_Pool):
    """Maximum over k x k at stride 1."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        return nn.max_pool(x, (self.block.op.kernel,) * 2, padding="SAME")


@operations.IDENTITY.module
class Identity(nn.Module):
    """Output x."""

    block: Block

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        return x

    @nn.nowrap
    def to_onnx(self, graph: Graph, path: str, value: str) -> str:
        return value


@operations.NOTHING.module
class Zero(nn.Module):
    """Output 0: with the shortcut around it, the block is the identity."""

    block: Block

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        return jnp.zeros_like(x)

    @nn.nowrap
    def to_onnx(self, graph: Graph, path: str, value: str) -> str:
        return ""
