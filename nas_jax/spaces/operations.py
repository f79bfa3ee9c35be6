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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from nas_jax.config.widths import round_channels


@dataclass(frozen=True, repr=False)
class OpSpec:
    """A candidate operation, known by its name.

    `mb{expansion}_k{kernel}` inverted bottleneck, the same with a style or groups,
    `uib{expansion}_a{start}_k{kernel}` universal inverted bottleneck,
    `fused_mb{expansion}_k{kernel}` fused one, `conv_k{kernel}` convolution,
    `sep_k{kernel}` and `dil_k{kernel}` separable convolutions (the second with dilation
    2), `avg_k{kernel}` and `max_k{kernel}` pooling, `identity`, `zero`, and the names
    of registered ones.

    >>> OpSpec.parse("mb6_k3")
    OpSpec(kind='mbconv', kernel=3, expansion=6)
    >>> OpSpec.parse("mb2.5_k5_se_hs")
    OpSpec(kind='styled', kernel=5, expansion=2.5, style='se_hs')
    >>> OpSpec.parse("dil_k3").name
    'dil_k3'
    """

    kind: str
    kernel: int = 0
    """Side of the kernel; 0 for none."""
    expansion: float = 0
    """Width inside over width of the input; whole but in styled bottlenecks."""
    style: str = ""
    """Of an inverted bottleneck: a name in `STYLES`."""
    start: int = 0
    """Side of the kernel before the expansion; 0 for none."""
    groups: int = 1
    """Of the 1x1 convolutions."""

    def __repr__(self) -> str:
        told = [f"kind={self.kind!r}, kernel={self.kernel}, expansion={self.expansion}"]
        more = [one for one in fields(self)[3:] if vars(self)[one.name] != one.default]
        told += [f"{one.name}={vars(self)[one.name]!r}" for one in more]
        return f"OpSpec({', '.join(told)})"

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

    @property
    def is_inverted_bottleneck(self) -> bool:
        """Whether it expands, has one depthwise convolution there, and projects."""
        has_depthwise = self.kernel > 0 and self.kind != "fused"
        return self.expansion > 0 and has_depthwise and self.start == 0

    @property
    def is_sum(self) -> bool:
        """Whether it is a sum over its hidden channels, so that slices make it up.

        A squeeze reads all of them at once, and those of an expansion that is not whole
        are rounded.
        """
        is_split = self.operation.slice is not None and isinstance(self.expansion, int)
        return is_split and not STYLES[self.style].squeezes

    def can_stride(self, stride: int) -> bool:
        """Whether it can stand where the image shrinks by `stride`.

        A universal inverted bottleneck needs a depthwise convolution for that.
        """
        return stride == 1 or self.kind != "uib" or self.start + self.kernel > 0

    @staticmethod
    def parse(name: str) -> "OpSpec":
        """Reads a name; raises `ValueError` if there is no such operation."""
        for kind, operation in OPERATIONS.items():
            if match := re.fullmatch(operation.form, name):
                told = {key: _value(text) for key, text in match.groupdict().items()}
                return OpSpec(kind, **told)
        known = ", ".join(repr(one.spelling) for one in OPERATIONS.values())
        raise ValueError(
            f"unknown operation {name!r:.60}: expected {known}; register an operation "
            "of your own with nas_jax.spaces.operations.register"
        )


def _value(text: str) -> Any:
    """What stands in a name: a whole number, another, or a word."""
    if text.isdecimal():
        return int(text)
    return float(text) if text[0].isdecimal() else text


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
        """Width inside an inverted bottleneck: expansion times the input width.

        Of an expansion that is not whole the product is rounded to multiples of 8. (All
        families agree: widths are multiples of 8, so others' products are, too.)
        """
        product = self.in_channels * self.op.expansion
        return product if isinstance(product, int) else round_channels(product)

    @property
    def style(self) -> "Style":
        """Of an inverted bottleneck: its activation and its squeeze."""
        return STYLES[self.op.style]

    @property
    def squeezed_channels(self) -> int:
        """Width inside squeeze-and-excitation; 0 without.

        A quarter of the inner width, rounded to multiples of 8, as in MobileNetV3; with
        SiLU a quarter of the input's, as in EfficientNet.
        """
        if not self.style.squeezes:
            return 0
        if self.style.activation == "silu":
            return max(1, round(self.in_channels / 4))
        return round_channels(self.inner_channels / 4)

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
    """Its names, with `{expansion}`, `{kernel}` and the like for what they tell."""
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
    forms: Mapping[str, str] = field(default_factory=dict)
    """What may stand for `{expansion}` and the like, where it is not `FORMS`."""

    @property
    def spelling(self) -> str:
        """Its names for a message."""
        return re.sub(r"\{([a-z ]+)\}", r"<\1>", self.names.replace("_k{", "_k{odd "))

    @property
    def form(self) -> str:
        """Its names as a regular expression."""
        forms = {**FORMS, **self.forms}
        groups = {name: f"(?P<{name}>{form})" for name, form in forms.items()}
        return self.names.format(**groups)

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


FORMS = {
    "expansion": "[1-9]",
    # one of three digits is wider than what goes through any network
    "kernel": "[1-9]?[13579]",
}
"""What stands for the numbers in a name."""


class Style(NamedTuple):
    """What an inverted bottleneck does besides its convolutions."""

    activation: str
    squeezes: bool = False
    """Whether squeeze-and-excitation stands before the projection."""


STYLES = {
    "": Style("relu6"),
    "se": Style("relu6", squeezes=True),
    "relu": Style("relu"),
    "se_relu": Style("relu", squeezes=True),
    "hs": Style("hard_swish"),
    "se_hs": Style("hard_swish", squeezes=True),
    "silu": Style("silu"),
    "se_silu": Style("silu", squeezes=True),
}
"""Styles by name; the first is that of a plain `mb6_k3`."""

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
    forms: Mapping[str, str] | None = None,
) -> Operation:
    """Makes an operation known under its names; `.module` then decorates its module.

    Args:
      names: one name, or a family with `{expansion}` (a digit) and `{kernel}` (odd) in
        it: "mb{expansion}_k{kernel}" stands for "mb6_k3" and all others.
      macs: multiply-adds of one image through a block.
      params: its trainable numbers; None counts those of the module.
      is_free: whether it computes nothing, so that no latency is measured.
      kind: one word for the family; None is the names themselves.
      forms: regular expressions of what else stands in braces, each a field of
        `OpSpec`.

    Raises:
      ValueError: if the names are among the package's own or no plain words.
    """
    operation = Operation(
        kind or names, names, macs, params, is_free, forms=forms or {}
    )
    example = _example(names)
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


def _example(names: str) -> str:
    """One of these names; "" if they are no plain words."""
    example = names
    for name, told in vars(OpSpec("", 3, 3, "relu", 3, 2)).items():
        example = example.replace(f"{{{name}}}", str(told), 1)
    return example if re.fullmatch("[a-z][a-z0-9_]*", example) else ""


def _nothing(block: Block) -> int:
    return 0


def _mbconv_macs(block: Block) -> int:
    inner, k, groups = block.inner_channels, block.op.kernel, block.op.groups
    expand = block.in_channels // groups * inner if block.op.expansion > 1 else 0
    after = (k**2 + block.out_channels // groups) * inner
    squeeze = 2 * inner * block.squeezed_channels
    return expand * block.input_size**2 + after * block.output_size**2 + squeeze


def _mbconv_params(block: Block) -> int:
    inner, k, groups = block.inner_channels, block.op.kernel, block.op.groups
    squeezed, out = block.squeezed_channels, block.out_channels
    expand = (block.in_channels // groups + 2) * inner if block.op.expansion > 1 else 0
    squeeze = 2 * inner * squeezed + squeezed + inner if squeezed else 0
    return expand + (k**2 + 2) * inner + squeeze + (inner // groups + 2) * out


def start_stride(block: Block) -> int:
    """Stride of the first depthwise convolution of a universal inverted bottleneck.

    The one in the middle takes the stride where there is one.
    """
    return 1 if block.op.kernel else block.stride


def _universal_macs(block: Block) -> int:
    inner, op, width = block.inner_channels, block.op, block.in_channels
    between = strided(block.input_size, start_stride(block))
    start = (op.start**2 + inner) * width * between**2
    return start + (op.kernel**2 + block.out_channels) * inner * block.output_size**2


def _universal_params(block: Block) -> int:
    inner, op, width = block.inner_channels, block.op, block.in_channels
    start = (op.start**2 + 2) * width if op.start else 0
    middle = (op.kernel**2 + 2) * inner if op.kernel else 0
    return start + (width + 2) * inner + middle + (inner + 2) * block.out_channels


def _fused_macs(block: Block) -> int:
    taps = block.op.kernel**2 * block.in_channels + block.out_channels
    return taps * block.inner_channels * block.output_size**2


def _fused_params(block: Block) -> int:
    inner, taps = block.inner_channels, block.op.kernel**2 * block.in_channels
    return (taps + 2) * inner + (inner + 2) * block.out_channels


def _convolution_macs(block: Block) -> int:
    taps = block.op.kernel**2 * block.in_channels
    return taps * block.out_channels * block.output_size**2


def _convolution_params(block: Block) -> int:
    return (block.op.kernel**2 * block.in_channels + 2) * block.out_channels


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
_MBCONV: dict[str, Any] = {"macs": _mbconv_macs, "params": _mbconv_params}
_RATIO = {"expansion": r"[1-9](?:\.[0-9]?[1-9])?"}
STYLED = register(
    "mb{expansion}_k{kernel}_{style}",
    **_MBCONV,
    kind="styled",
    forms={**_RATIO, "style": "|".join(filter(None, STYLES))},
)
GROUPED = register(
    "mb{expansion}_k{kernel}_g{groups}",
    **_MBCONV,
    kind="grouped",
    forms={"groups": "[2-8]"},
)
UNIVERSAL = register(
    "uib{expansion}_a{start}_k{kernel}",
    macs=_universal_macs,
    params=_universal_params,
    kind="uib",
    forms={"start": "[0357]", "kernel": "[0357]"},
)
FUSED = register(
    "fused_mb{expansion}_k{kernel}",
    macs=_fused_macs,
    params=_fused_params,
    kind="fused",
)
CONVOLUTION = register(
    "conv_k{kernel}", macs=_convolution_macs, params=_convolution_params, kind="conv"
)
SEPARABLE = register("sep_k{kernel}", kind="sep", **_SEPARABLE)
DILATED = register("dil_k{kernel}", kind="dil", **_SEPARABLE)
AVERAGE = register("avg_k{kernel}", kind="avg", **_FREE)
MAXIMUM = register("max_k{kernel}", kind="max", **_FREE)
BUILT_IN = frozenset(OPERATIONS)
