"""The registry of candidate operations: what a searchable layer chooses among.

An `Operation` is a kind of block with its names, its costs and its module. The kinds of
the package stand at the end of this file, their modules in `networks.operations`; an
operation of your own comes in by the same two steps:

    @operations.register("se{expansion}_k{kernel}", macs=lambda block: ...).module
    class SqueezedMBConv(layers.Sequential):
        ...

Nothing here imports JAX.
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


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
        return self.operation.names.format(**vars(self))

    @property
    def operation(self) -> "Operation":
        """What is registered of its kind."""
        return OPERATIONS[self.kind]

    @property
    def is_zero(self) -> bool:
        """Whether its output is 0, so that its block is the shortcut alone."""
        return self == ZERO

    @staticmethod
    def parse(name: str) -> "OpSpec":
        """Reads a name; raises `ValueError` if there is no such operation."""
        for kind, operation in OPERATIONS.items():
            if match := re.fullmatch(operation.form, name):
                numbers = {key: int(text) for key, text in match.groupdict().items()}
                return OpSpec(kind, **numbers)
        known = ", ".join(repr(one.spelling) for one in OPERATIONS.values())
        raise ValueError(
            f"unknown operation {name!r:.60}: expected {known}; register an operation "
            "of your own with nas_jax.spaces.operations.register"
        )


def is_known(name: str) -> bool:
    """Whether there is an operation of this name."""
    return any(re.fullmatch(one.form, name) for one in OPERATIONS.values())


def strided(size: int, stride: int) -> int:
    """Output side of an odd kernel k with k//2 padding on both sides."""
    return (size - 1) // stride + 1


def shape_text(size: int, channels: int) -> str:
    """A feature map in the key of a latency table."""
    return f"{size}x{size}x{channels}"


class Strided:
    """A part from `[H W in_channels]` to `[H / stride, W / stride, out_channels]`."""

    in_channels: int
    out_channels: int
    stride: int
    input_size: int

    @property
    def output_size(self) -> int:
        return strided(self.input_size, self.stride)

    @property
    def ends(self) -> str:
        """Both feature maps and the stride, in the key of a latency table."""
        return (
            f"{shape_text(self.input_size, self.in_channels)}->"
            f"{shape_text(self.output_size, self.out_channels)} s{self.stride}"
        )


@dataclass(frozen=True)
class Block(Strided):
    """One operation in its place; with `shortcut` the input is added to its output."""

    op: OpSpec
    in_channels: int
    out_channels: int
    stride: int
    input_size: int
    shortcut: bool

    @property
    def inner_channels(self) -> int:
        """Width inside an inverted bottleneck: expansion times the input width."""
        return self.in_channels * self.op.expansion

    @property
    def macs(self) -> int:
        """Multiply-adds of one image."""
        return self.op.operation.macs(self)

    @property
    def key(self) -> str:
        return f"{self.op.name} {self.ends}{' skip' if self.shortcut else ''}"


@dataclass(eq=False)
class Operation:
    """What the package knows of one kind of operation."""

    kind: str
    names: str
    """Its names, with `{expansion}` and `{kernel}` for the numbers in them."""
    macs: Callable[[Block], int]
    params: Callable[[Block], int] | None = None
    """Trainable numbers; None counts those of the module."""
    is_free: bool = False
    """Whether it computes nothing, so that no latency is measured."""
    implementation: Any = None
    """Its Linen module; one that can be exported has a method `to_onnx`."""
    slice: Any = None
    """The module of some of its hidden channels, where it is a sum over them."""
    source: str = ""

    @property
    def spelling(self) -> str:
        """Its names for a message."""
        return self.names.format(expansion="<expansion>", kernel="<odd kernel>")

    @property
    def form(self) -> str:
        """Its names as a regular expression."""
        # a kernel of three digits is wider than what goes through any network
        kernel = "(?P<kernel>[1-9]?[13579])"
        return self.names.format(expansion="(?P<expansion>[1-9])", kernel=kernel)

    def module(self, implementation: Any) -> Any:
        """Decorates the Linen module that computes the operation.

        It takes the `Block` it stands in (widths, stride, side) and, if it has such a
        field, `bn_eps`, and is called with `(x [B H W C], train)`. `layers.Sequential`
        makes one from building blocks. Its kernels have to be named "kernel" and its
        other numbers "bias", "scale", "mean" or "var", as in `layers`: initial values
        go by these names. Its method `to_onnx(graph, path, value)` writes it into a
        `networks.onnx.writer.Graph` and returns the name of its output; export and
        measurement in ONNX Runtime need it.

        Raises `ValueError` if it takes no block, or if the kind already has another
        module in this process: compiled steps know it.
        """
        if "block" not in inspect.signature(implementation).parameters:
            raise ValueError(
                f"operation {self.kind!r}: expected a module with a field block, got "
                f"{implementation.__name__} without; add `block: Block`"
            )
        source = source_of(implementation)
        if self.implementation is not None and self.source != source:
            raise ValueError(
                f"operation {self.kind!r}: expected the module that has this name "
                f"already ({self.implementation.__name__}), got another "
                f"({implementation.__name__}); choose a new name, or restart the "
                "process"
            )
        self.implementation, self.source = implementation, source
        return implementation


def source_of(value: Any) -> Any:
    """The text of a class or a function, to compare two readings of one file.

    A value of another kind stands for itself.
    """
    if isinstance(value, type):
        functions = filter(inspect.isroutine, vars(value).values())
        # what dataclass makes has no source
        texts = [text for text in map(source_of, functions) if isinstance(text, str)]
        return "\n".join([str(value.__annotations__), *texts])
    try:
        return inspect.getsource(value)
    except (OSError, TypeError):
        return value


OPERATIONS: dict[str, Operation] = {}
"""All kinds; those of the package come first."""
BUILT_IN: frozenset[str] = frozenset()


def register(
    names: str,
    *,
    macs: Callable[[Block], int],
    params: Callable[[Block], int] | None = None,
    is_free: bool = False,
    kind: str | None = None,
) -> Operation:
    """Makes an operation known under its names; `.module` then decorates its module.

    Args:
      names: one name, or a family with `{expansion}` (a digit) and `{kernel}` (odd) in
        it: "mb{expansion}_k{kernel}" stands for "mb6_k3" and all others.
      macs: multiply-adds of one image through a block.
      params: its trainable numbers; None counts those of the module.
      is_free: whether it computes nothing, so that no latency is measured.
      kind: one word for the family; None is the names themselves.

    Raises:
      ValueError: if the names are among the package's own or no plain words.
    """
    operation = Operation(kind or names, names, macs, params, is_free)
    example = names.format(expansion=3, kernel=3) if _is_plain(names) else ""
    taken = [one for one in BUILT_IN if re.fullmatch(OPERATIONS[one].form, example)]
    if not example or taken or operation.kind in BUILT_IN:
        raise ValueError(
            f"operation {names!r}: expected a name of small letters, digits and _ "
            "(with {expansion} and {kernel} for numbers) that the package does not use "
            "itself; choose another"
        )
    if known := OPERATIONS.get(operation.kind):
        operation.implementation, operation.source = known.implementation, known.source
    OPERATIONS[operation.kind] = operation
    return operation


def _is_plain(names: str) -> bool:
    bare = names.replace("{expansion}", "0", 1).replace("{kernel}", "0", 1)
    return re.fullmatch("[a-z][a-z0-9_]*", bare) is not None


def _nothing(block: Block) -> int:
    return 0


def _mbconv_macs(block: Block) -> int:
    inner, k = block.inner_channels, block.op.kernel
    expand = block.in_channels * inner if block.op.expansion > 1 else 0
    after = (k**2 + block.out_channels) * inner
    return expand * block.input_size**2 + after * block.output_size**2


def _mbconv_params(block: Block) -> int:
    inner, k = block.inner_channels, block.op.kernel
    expand = (block.in_channels + 2) * inner if block.op.expansion > 1 else 0
    return expand + (k**2 + 2) * inner + (inner + 2) * block.out_channels


def _separable_macs(block: Block) -> int:
    taps = block.op.kernel**2 + block.out_channels
    return taps * block.in_channels * block.output_size**2


def _separable_params(block: Block) -> int:
    return (2 + block.op.kernel**2 + block.out_channels) * block.in_channels


_FREE: dict[str, Any] = {"macs": _nothing, "params": _nothing}
_SEPARABLE: dict[str, Any] = {"macs": _separable_macs, "params": _separable_params}

ZERO = OpSpec("zero")
"""Its output is 0: with the shortcut around it, the block is the identity."""
NOTHING = register("zero", **_FREE, is_free=True)
IDENTITY = register("identity", **_FREE, is_free=True)
MBCONV = register(
    "mb{expansion}_k{kernel}", macs=_mbconv_macs, params=_mbconv_params, kind="mbconv"
)
SEPARABLE = register("sep_k{kernel}", kind="sep", **_SEPARABLE)
DILATED = register("dil_k{kernel}", kind="dil", **_SEPARABLE)
AVERAGE = register("avg_k{kernel}", kind="avg", **_FREE)
MAXIMUM = register("max_k{kernel}", kind="max", **_FREE)
BUILT_IN = frozenset(OPERATIONS)
