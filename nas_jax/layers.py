"""Linen modules of the parts of a network.

Conventions of the reference: convolutions without bias, k//2 padding on every side at
every stride, ReLU6 in mobile parts and ReLU in tree cells, batch normalisation of
`batch_norm` with eps 1e-3 or the network's. Activations keep the numbers of the images,
and kernels are cast to them; only the classifier answers in those of its parameters.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from nas_jax.batch_norm import BatchNorm
from nas_jax.depthwise import depthwise, portable
from nas_jax.parts import BN_EPS, Block, Classifier, NormConv, Stem, Widen

# Modules declare shapes only; the initial values are made by `ops.init`.
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


class Kernel(nn.Module):
    """The bare weights of a convolution."""

    shape: tuple[int, ...]

    @nn.compact
    def __call__(self) -> Array:
        return self.param("kernel", _ZEROS, self.shape)


class Pointwise(nn.Module):
    """1x1 convolution as one matrix product, BN, and ReLU6 if `activate`."""

    channels: int
    activate: bool
    bn_eps: float = BN_EPS

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        shape = (1, 1, x.shape[-1], self.channels)
        kernel = self.param("kernel", _ZEROS, shape)
        y = BatchNorm(self.bn_eps, name="bn")(_product(x, kernel), train)
        return relu6(y) if self.activate else y


class Separable(nn.Module):
    """BN, ReLU, depthwise k x k (dilated for `dil`), pointwise 1x1."""

    block: Block
    bn_eps: float = BN_EPS

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        block, k = self.block, self.block.op.kernel
        x = jax.nn.relu(BatchNorm(self.bn_eps, name="bn")(x, train))
        filters = Kernel((k, k, 1, block.in_channels), name="depthwise")()
        x = _each(x, filters, block.stride, block.op.dilation, train)
        mix = Kernel((1, 1, block.in_channels, block.out_channels), name="pointwise")()
        return x @ mix[0, 0].astype(x.dtype)


class Pool(nn.Module):
    """Average or maximum over k x k at stride 1; what lies outside does not count."""

    block: Block

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        window = (self.block.op.kernel,) * 2
        if self.block.op.kind == "max":
            return nn.max_pool(x, window, padding="SAME")
        return nn.avg_pool(x, window, padding="SAME", count_include_pad=False)


class Depthwise(nn.Module):
    """Depthwise k x k convolution, BN, ReLU6."""

    kernel_size: int
    stride: int
    bn_eps: float = BN_EPS

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        k = self.kernel_size
        kernel = self.param("kernel", _ZEROS, (k, k, 1, x.shape[-1]))
        y = _each(x, kernel, self.stride, 1, train)
        return relu6(BatchNorm(self.bn_eps, name="bn")(y, train))


def _each(x: Array, kernel: Array, stride: int, dilation: int, train: bool) -> Array:
    """Depthwise convolution; of a network in evaluation, which may be exported, too."""
    return (depthwise if train else portable)(x, kernel, stride, dilation)


class MBConv(nn.Module):
    """Inverted bottleneck: expand 1x1, depthwise k x k, project 1x1.

    BN after each, ReLU6 after the first two; no expansion layer at expansion 1. The
    shortcut is not part of it: it belongs to the block.
    """

    block: Block
    bn_eps: float = BN_EPS

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        x = _hidden(self.block, self.bn_eps, x, train)
        project = Pointwise(self.block.out_channels, False, self.bn_eps, name="project")
        return project(x, train)


class Bottleneck(nn.Module):
    """An MBConv without its last BN."""

    block: Block
    bn_eps: float = BN_EPS

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        x = _hidden(self.block, self.bn_eps, x, train)
        shape = (1, 1, x.shape[-1], self.block.out_channels)
        return _product(x, Kernel(shape, name="project")())


def _hidden(block: Block, bn_eps: float, x: Array, train: bool) -> Array:
    """Expansion and depthwise convolution, as submodules of the module around."""
    if block.op.expansion > 1:
        x = Pointwise(block.inner_channels, True, bn_eps, name="expand")(x, train)
    k, stride = block.op.kernel, block.stride
    return Depthwise(k, stride, bn_eps, name="depthwise")(x, train)


def _product(x: Array, kernel: Float[Array, "1 1 C D"]) -> Float[Array, "B H W D"]:
    # as one matrix product: XLA copies operands of four dimensions
    y = x.reshape(-1, x.shape[-1]) @ kernel[0, 0].astype(x.dtype)
    return y.reshape(*x.shape[:-1], kernel.shape[-1])


class Identity(nn.Module):
    """Output x."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        return x


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
        y = BatchNorm(self.bn_eps, name="bn")(_convolve(x, kernel, stem.stride), train)
        return relu6(y) if stem.activate else y


def _convolve(x: Array, kernel: Array, stride: int, groups: int = 1) -> Array:
    k = kernel.shape[0]
    return lax.conv_general_dilated(
        x,
        kernel.astype(x.dtype),
        window_strides=(stride, stride),
        padding=[(k // 2, k // 2)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


class NormActivation(nn.Module):
    """BN, and ReLU if `activate`."""

    activate: bool
    bn_eps: float = BN_EPS

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        y = BatchNorm(self.bn_eps, name="bn")(x, train)
        return jax.nn.relu(y) if self.activate else y


class NormConvolution(nn.Module):
    """BN, ReLU if asked for, convolution; output channels shuffled between groups."""

    part: NormConv
    bn_eps: float = BN_EPS

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Array:
        part, k, groups = self.part, self.part.kernel, self.part.groups
        x = NormActivation(part.activate, self.bn_eps, name="norm")(x, train)
        shape = (k, k, part.in_channels // groups, part.out_channels)
        y = _convolve(x, Kernel(shape, name="conv")(), part.stride, groups)
        grouped = y.reshape(*y.shape[:-1], groups, part.out_channels // groups)
        return grouped.swapaxes(-1, -2).reshape(y.shape)


class Widening(nn.Module):
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
        return x.astype(kernel.dtype).mean((1, 2)) @ kernel + bias[None]
