"""The parts of a network, as static, hashable data without arrays.

A network is made of parts: stem, blocks, head, classifier, and what a topology puts
around them. Every part has a readable `key`, which is its name in latency tables.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

# epsilon of every batch normalisation, unless a network says otherwise
BN_EPS = 1e-3

# a kernel of three digits is wider than what goes through any network
_OP_NAME = re.compile(r"(mb[1-9]|sep|dil|avg|max)_k([1-9][0-9]?)")
_PLAIN_OPS = ("zero", "identity")


class OwnOperation(NamedTuple):
    """What `ops.register` keeps of a user's operation."""

    module: Callable[["Block"], Any]
    macs: Callable[["Block"], int]
    to_onnx: Callable[..., str] | None


OWN_OPERATIONS: dict[str, OwnOperation] = {}


@dataclass(frozen=True)
class OpSpec:
    """A candidate operation, known by its name.

    `mb{expansion}_k{kernel}` inverted bottleneck, `sep_k{kernel}` and `dil_k{kernel}`
    separable convolutions (the second with dilation 2), `avg_k{kernel}` and
    `max_k{kernel}` pooling, `identity`, `zero`, and the names of registered ones.

    >>> OpSpec.parse("mb6_k3")
    OpSpec(kind='mbconv', kernel=3, expansion=6)
    >>> OpSpec.parse("dil_k3").name
    'dil_k3'
    """

    kind: str
    kernel: int = 0
    expansion: int = 0

    @property
    def name(self) -> str:
        if self.kind == "mbconv":
            return f"mb{self.expansion}_k{self.kernel}"
        return f"{self.kind}_k{self.kernel}" if self.kernel else self.kind

    @staticmethod
    def parse(name: str) -> "OpSpec":
        """Reads a name; raises `ValueError` if there is no such operation."""
        if name in _PLAIN_OPS or name in OWN_OPERATIONS:
            return OpSpec(name)
        match = _OP_NAME.fullmatch(name)
        if not match or int(match[2]) % 2 == 0:
            own = "".join(f", {own!r}" for own in sorted(OWN_OPERATIONS))
            raise ValueError(
                f"unknown operation {name!r:.60}: expected 'zero', 'identity'{own}, "
                "'mb<expansion>_k<odd kernel>' (for example 'mb6_k3') or 'sep', 'dil', "
                "'avg', 'max' with '_k<odd kernel>'; register an operation of your own "
                "with nas_jax.ops.register"
            )
        family, kernel = match[1], int(match[2])
        if family.startswith("mb"):
            return OpSpec("mbconv", kernel=kernel, expansion=int(family[2:]))
        return OpSpec(family, kernel=kernel)

    @property
    def dilation(self) -> int:
        """Distance of the kernel's taps, in pixels."""
        return 2 if self.kind == "dil" else 1


def is_known(name: str) -> bool:
    """Whether there is an operation of this name."""
    try:
        OpSpec.parse(name)
    except ValueError:
        return False
    return True


def _shape(size: int, channels: int) -> str:
    return f"{size}x{size}x{channels}"


def strided(size: int, stride: int) -> int:
    """Output side of an odd kernel k with k//2 padding on both sides."""
    return (size - 1) // stride + 1


@dataclass(frozen=True)
class Stem:
    """3x3 convolution, BN, and ReLU6 if `activate`."""

    in_channels: int
    out_channels: int
    stride: int
    input_size: int
    kernel: int = 3
    activate: bool = True

    @property
    def output_size(self) -> int:
        return strided(self.input_size, self.stride)

    @property
    def key(self) -> str:
        return (
            f"stem {_shape(self.input_size, self.in_channels)}->"
            f"{_shape(self.output_size, self.out_channels)} s{self.stride}"
            f"{'' if self.activate else ' linear'}"
        )


@dataclass(frozen=True)
class Block:
    """One operation in its place; with `shortcut` the input is added to its output."""

    op: OpSpec
    in_channels: int
    out_channels: int
    stride: int
    input_size: int
    shortcut: bool

    @property
    def output_size(self) -> int:
        return strided(self.input_size, self.stride)

    @property
    def inner_channels(self) -> int:
        """Width inside an MBConv: expansion times the input width."""
        return self.in_channels * self.op.expansion

    @property
    def key(self) -> str:
        return (
            f"{self.op.name} {_shape(self.input_size, self.in_channels)}->"
            f"{_shape(self.output_size, self.out_channels)} s{self.stride}"
            f"{' skip' if self.shortcut else ''}"
        )


@dataclass(frozen=True)
class Head:
    """1x1 convolution, BN, ReLU6: the feature mix before pooling."""

    in_channels: int
    out_channels: int
    input_size: int

    @property
    def key(self) -> str:
        return (
            f"head {_shape(self.input_size, self.in_channels)}->"
            f"{_shape(self.input_size, self.out_channels)}"
        )


@dataclass(frozen=True)
class Classifier:
    """Global average pooling and a linear layer with bias."""

    in_channels: int
    classes: int
    input_size: int

    @property
    def key(self) -> str:
        return f"classifier {_shape(self.input_size, self.in_channels)}->{self.classes}"


@dataclass(frozen=True)
class Norm:
    """BN, and ReLU if `activate`."""

    channels: int
    input_size: int
    activate: bool = False

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
    def key(self) -> str:
        relu = " relu" if self.activate else ""
        return f"norm {_shape(self.input_size, self.channels)}{relu}"


@dataclass(frozen=True)
class NormConv:
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
    def output_size(self) -> int:
        return strided(self.input_size, self.stride)

    @property
    def key(self) -> str:
        return (
            f"{'relu-' if self.activate else ''}conv_k{self.kernel}_g{self.groups} "
            f"{_shape(self.input_size, self.in_channels)}->"
            f"{_shape(self.output_size, self.out_channels)} s{self.stride}"
        )


@dataclass(frozen=True)
class Widen:
    """Average pooling over stride x stride, then zeros for the missing channels."""

    in_channels: int
    out_channels: int
    stride: int
    input_size: int

    @property
    def output_size(self) -> int:
        return self.input_size // self.stride

    @property
    def key(self) -> str:
        return (
            f"widen {_shape(self.input_size, self.in_channels)}->"
            f"{_shape(self.output_size, self.out_channels)} s{self.stride}"
        )


@dataclass(frozen=True)
class Bottleneck:
    """An MBConv without its last batch normalisation: expand, depthwise, project.

    Over its hidden channels an MBConv is a sum. Split into slices, each with the
    weights of its channels, MBConv(x) = BN(sum over slices s of Bottleneck_s(x)): the
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
