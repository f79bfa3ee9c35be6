"""The parts of a network, as static, hashable data without arrays.

A network is a chain of parts: stem, blocks, head (1x1 feature mix), classifier. Every
part has a readable `key`, which is its name in latency tables.
"""

import re
from dataclasses import dataclass

# epsilon of every batch normalisation, unless a network says otherwise
BN_EPS = 1e-3

_OP_NAME = re.compile(r"mb([1-9])_k([1-9]\d*)")


@dataclass(frozen=True)
class OpSpec:
    """A candidate operation: `mb{expansion}_k{kernel}`, or `zero`.

    >>> OpSpec.parse("mb6_k3")
    OpSpec(kind='mbconv', kernel=3, expansion=6)
    >>> OpSpec.parse("zero").name
    'zero'
    """

    kind: str
    kernel: int = 0
    expansion: int = 0

    @property
    def name(self) -> str:
        if self.kind == "zero":
            return "zero"
        return f"mb{self.expansion}_k{self.kernel}"

    @staticmethod
    def parse(name: str) -> "OpSpec":
        """Reads a name; raises `ValueError` if there is no such operation."""
        if name == "zero":
            return OpSpec("zero")
        match = _OP_NAME.fullmatch(name)
        if not match or int(match[2]) % 2 == 0:
            raise ValueError(
                f"unknown operation {name!r}: expected 'zero' or 'mb<expansion>_k<odd "
                "kernel>', for example 'mb6_k3'"
            )
        return OpSpec("mbconv", kernel=int(match[2]), expansion=int(match[1]))


def _shape(size: int, channels: int) -> str:
    return f"{size}x{size}x{channels}"


def strided(size: int, stride: int) -> int:
    """Output side of an odd kernel k with k//2 padding on both sides."""
    return (size - 1) // stride + 1


@dataclass(frozen=True)
class Stem:
    """3x3 convolution, BN, ReLU6."""

    in_channels: int
    out_channels: int
    stride: int
    input_size: int
    kernel: int = 3

    @property
    def output_size(self) -> int:
        return strided(self.input_size, self.stride)

    @property
    def key(self) -> str:
        return (
            f"stem {_shape(self.input_size, self.in_channels)}->"
            f"{_shape(self.output_size, self.out_channels)} s{self.stride}"
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


Part = Stem | Block | Head | Classifier
