"""The parts of a network, as static, hashable data without arrays.

A network is made of parts: stem, blocks, head, classifier, and what a topology puts
around them. Every part has a readable `key`, which is its name in latency tables.
"""

from dataclasses import dataclass
from typing import get_args

from nas_jax.config.space import ActivationName, HiddenForm, Padding
from nas_jax.spaces.operations import Block, Strided, shape_text, strided

BN_EPS = 1e-3
"""Epsilon of every batch normalisation, unless a network says otherwise."""
PADDINGS: tuple[Padding, ...] = get_args(Padding)


@dataclass(frozen=True)
class Conventions:
    """What code bases do differently in all parts of a network."""

    bn_eps: float = BN_EPS
    padding: Padding = "centre"

    def pads(self, side: int, kernel: int, stride: int) -> tuple[int, int]:
        """Zeros before and after a side of an image.

        >>> Conventions().pads(224, 3, 2), Conventions(padding="same").pads(224, 3, 2)
        ((1, 1), (0, 1))
        """
        if self.padding == "centre":
            return kernel // 2, kernel // 2
        reached = (strided(side, stride) - 1) * stride + kernel
        missing = max(0, reached - side)
        return missing // 2, missing - missing // 2


OURS = Conventions()
"""Those of the reference, and of every search space."""


@dataclass(frozen=True)
class Stem(Strided):
    """3x3 convolution, BN, activation."""

    in_channels: int
    out_channels: int
    stride: int
    input_size: int
    kernel: int = 3
    activation: ActivationName = "relu6"

    @property
    def macs(self) -> int:
        taps = self.kernel**2 * self.in_channels
        return taps * self.out_channels * self.output_size**2

    @property
    def params(self) -> int:
        return (self.kernel**2 * self.in_channels + 2) * self.out_channels

    @property
    def key(self) -> str:
        return f"stem {self.ends}{_told(self.activation)}"


@dataclass(frozen=True)
class Head:
    """1x1 convolution, BN, activation: the feature mix before pooling."""

    in_channels: int
    out_channels: int
    input_size: int
    activation: ActivationName = "relu6"

    @property
    def macs(self) -> int:
        return self.in_channels * self.out_channels * self.input_size**2

    @property
    def params(self) -> int:
        return (self.in_channels + 2) * self.out_channels

    @property
    def key(self) -> str:
        return (
            f"head {shape_text(self.input_size, self.in_channels)}->"
            f"{shape_text(self.input_size, self.out_channels)}"
            f"{_told(self.activation)}"
        )


def _told(activation: str) -> str:
    """An activation at the end of a key: ReLU6 goes without saying."""
    return {"relu6": "", "none": " linear"}.get(activation, f" {activation}")


@dataclass(frozen=True)
class Hidden:
    """A layer between pooling and the linear one: 1x1 convolution and activation."""

    channels: int
    form: HiddenForm = "bias"
    """What comes with the convolution: a bias, BN, or nothing ("plain")."""
    activation: ActivationName = "hard_swish"

    def params(self, in_channels: int) -> int:
        """Trainable numbers."""
        more = {"bias": 1, "bn": 2, "plain": 0}[self.form]
        return (in_channels + more) * self.channels


@dataclass(frozen=True)
class Classifier:
    """Global average pooling, a hidden layer if there is one, a linear one with bias.

    The hidden layer is that of MobileNetV3 (with a bias), of MobileNetV4 (with BN), of
    Once-for-All (with neither).
    """

    in_channels: int
    classes: int
    input_size: int
    hidden: Hidden | None = None

    @property
    def features(self) -> int:
        """Width of what the linear layer reads."""
        return self.hidden.channels if self.hidden else self.in_channels

    @property
    def macs(self) -> int:
        before = self.in_channels * self.hidden.channels if self.hidden else 0
        return before + self.features * self.classes

    @property
    def params(self) -> int:
        before = self.hidden.params(self.in_channels) if self.hidden else 0
        return before + (self.features + 1) * self.classes

    @property
    def key(self) -> str:
        shape, hidden = shape_text(self.input_size, self.in_channels), ""
        if one := self.hidden:
            hidden = f"{one.channels} {one.form} {one.activation}->"
        return f"classifier {shape}->{hidden}{self.classes}"


@dataclass(frozen=True)
class Norm:
    """BN, and ReLU if `activate`."""

    channels: int
    input_size: int
    activate: bool = False
    macs = 0

    @property
    def in_channels(self) -> int:
        return self.channels

    @property
    def out_channels(self) -> int:
        return self.channels

    @property
    def output_size(self) -> int:
        return self.input_size

    @property
    def params(self) -> int:
        return 2 * self.channels

    @property
    def key(self) -> str:
        relu = " relu" if self.activate else ""
        return f"norm {shape_text(self.input_size, self.channels)}{relu}"


@dataclass(frozen=True)
class NormConv(Strided):
    """BN, ReLU if `activate`, then a convolution without bias.

    With `groups` above 1 its output channels are shuffled: channel g of n per group
    goes from place (group, g) to place (g, group).
    """

    in_channels: int
    out_channels: int
    stride: int
    input_size: int
    kernel: int = 1
    groups: int = 1
    activate: bool = True

    @property
    def weights(self) -> int:
        """Numbers of the convolution."""
        taps = self.kernel**2 * self.in_channels // self.groups
        return taps * self.out_channels

    @property
    def macs(self) -> int:
        return self.weights * self.output_size**2

    @property
    def params(self) -> int:
        return self.weights + 2 * self.in_channels

    @property
    def key(self) -> str:
        relu = "relu-" if self.activate else ""
        return f"{relu}conv_k{self.kernel}_g{self.groups} {self.ends}"


@dataclass(frozen=True)
class Widen(Strided):
    """Average pooling over stride x stride, then zeros for the missing channels."""

    in_channels: int
    out_channels: int
    stride: int
    input_size: int
    macs = 0
    params = 0

    @property
    def output_size(self) -> int:
        return self.input_size // self.stride

    @property
    def key(self) -> str:
        return f"widen {self.ends}"


@dataclass(frozen=True)
class HiddenSlice:
    """Some hidden channels of an MBConv: expand, depthwise, project, no last BN.

    Over its hidden channels an MBConv is a sum. Split into slices, each with the
    weights of its channels, MBConv(x) = BN(sum over slices s of slice_s(x)): the
    candidates of one kernel size differ in the number of slices alone.
    """

    block: Block

    @property
    def in_channels(self) -> int:
        return self.block.in_channels

    @property
    def input_size(self) -> int:
        return self.block.input_size


Part = Stem | Block | Head | Classifier | Norm | NormConv | Widen
