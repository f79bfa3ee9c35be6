"""The package's candidate operations as modules, one for each kind that is registered.

`spaces.operations` registers them (names, costs), `parts` builds them. The shortcut is
no part of them: it belongs to the block.
"""

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
    Window,
    convolution,
    depthwise_form,
    product,
)
from nas_jax.networks.onnx.writer import Graph
from nas_jax.spaces import operations
from nas_jax.spaces.operations import Block
from nas_jax.spaces.parts import BN_EPS, OURS, Conventions


def _hidden(block: Block, conventions: Conventions) -> list[ConvBNAct]:
    """Expansion, none at expansion 1, and depthwise convolution."""
    inner, k = block.inner_channels, block.op.kernel
    expand = ConvBNAct(inner, bn_eps=conventions.bn_eps, name="expand")
    depthwise = ConvBNAct(
        inner,
        k,
        block.stride,
        depthwise=True,
        bn_eps=conventions.bn_eps,
        padding=conventions.padding,
        name="depthwise",
    )
    return [expand, depthwise] if block.op.expansion > 1 else [depthwise]


@operations.MBCONV.module
class MBConv(Sequential):
    """Inverted bottleneck: expand 1x1, depthwise k x k, project 1x1.

    BN after each, ReLU6 after the first two; no expansion layer at expansion 1.
    """

    padding: Padding = "centre"

    def layers(self) -> list[ConvBNAct]:
        out, eps = self.block.out_channels, self.bn_eps
        project = ConvBNAct(out, activation="none", bn_eps=eps, name="project")
        conventions = Conventions(eps, self.padding)
        return [*_hidden(self.block, conventions), project]


class MBConvSlice(nn.Module):
    """An MBConv without its last BN."""

    block: Block
    conventions: Conventions = OURS

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        for layer in _hidden(self.block, self.conventions):
            x = layer(x, train)
        shape = (1, 1, x.shape[-1], self.block.out_channels)
        return product(x, Kernel(shape, name="project")())


operations.MBCONV.slice = MBConvSlice


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
