"""A network read from an ONNX file, where it is made of our blocks.

Convolutions, batch normalisations (mostly folded into them), Clip from 0 to 6, sums,
one pooling and one linear layer, in the layout of PyTorch [batch C H W]:

    stem, blocks of [expansion,] depthwise, projection [+ input], 1x1, pooling, linear

Anything else is refused by its node. What a file holds is data: nothing in it is run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import numpy_helper

from nas_jax.base import PyTree
from nas_jax.config.checks import reason
from nas_jax.config.space import Padding
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.operations import MBCONV, Block, OpSpec
from nas_jax.spaces.parts import (
    BN_EPS,
    Classifier,
    Conventions,
    Head,
    Stem,
    Strided,
)

_PASSED_ON = ("Identity", "Dropout", "Flatten", "Reshape", "Squeeze")
_POOLS = ("GlobalAveragePool", "ReduceMean")


class Read(NamedTuple):
    """A network with its weights; `is_folded` if it has no batch normalisations."""

    network: Architecture
    params: PyTree
    batch_stats: PyTree
    is_folded: bool


@dataclass(frozen=True)
class _Conv:
    """A convolution with what follows it, until the next."""

    name: str
    source: str
    kernel: np.ndarray
    """OIHW."""
    bias: np.ndarray
    stride: int
    groups: int
    pads: tuple[int, int] | None
    """Before and after a side; None for SAME_UPPER."""
    norm: tuple[np.ndarray, ...] = ()
    """Scale, bias, mean, variance."""
    eps: float | None = None
    is_clipped: bool = False

    @property
    def side(self) -> int:
        return int(self.kernel.shape[2])

    @property
    def is_depthwise(self) -> bool:
        return self.groups > 1

    @property
    def width(self) -> int:
        return int(self.kernel.shape[0])


class _Refused(Exception):
    """The file holds something else; the message says what, in part of a line."""


def read(path: str | Path, name: str, side: int | None = None) -> Read:
    """The network of an ONNX file.

    Args:
      path: the file.
      name: of the network.
      side: of its images, where the file leaves it open.

    Raises:
      ValueError: naming the file and the node that is not one of ours.
    """
    try:
        model = onnx.load(str(path), load_external_data=False)
        return _Reader(model.graph).network(name, side)
    except _Refused as error:
        raise ValueError(f"{path}: {error}") from error
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    except Exception as error:  # damaged files raise many kinds
        raise ValueError(
            f"{path}: expected an ONNX file; it is damaged or cut "
            f"({type(error).__name__}: {reason(error)[:80]})"
        ) from error


class _Reader:
    """A graph taken apart into convolutions, sums and the linear layer."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.constants = {one.name: _array(one) for one in graph.initializer}
        inputs = [one for one in graph.input if one.name not in self.constants]
        if len(inputs) != 1:
            raise _Refused(f"expected one input, got {len(inputs)}")
        self.input = inputs[0]
        self.same = {self.input.name: self.input.name}
        """Value by value: which one it is, passed on unchanged."""
        self.convs: dict[str, _Conv] = {}
        """By the value that each makes with what follows it."""
        self.sums: dict[frozenset[str], str] = {}
        self.pads: dict[str, tuple[int, int]] = {}
        self.pooled: dict[str, str] = {}
        self.linear: tuple[str, np.ndarray, np.ndarray] | None = None
        readers = {
            "Constant": self._constant,
            "Pad": self._pad,
            "Conv": self._conv,
            "BatchNormalization": self._norm,
            "Clip": self._clip,
            "Add": self._add,
            "Gemm": self._gemm,
            "MatMul": self._matmul,
        }
        for node in graph.node:
            if node.op_type in _PASSED_ON:
                self.same[node.output[0]] = self._value(node, 0)
            elif node.op_type in _POOLS:
                self.pooled[node.output[0]] = self._value(node, 0)
                self.same[node.output[0]] = node.output[0]
            elif node.op_type in readers:
                readers[node.op_type](node)
            else:
                raise _Refused(f"{_called(node)} is not one of ours{_hint(node)}")

    # --- nodes ---------------------------------------------------------------------

    def _constant(self, node: onnx.NodeProto) -> None:
        for one in node.attribute:
            if one.name == "value":
                self.constants[node.output[0]] = _array(one.t)

    def _pad(self, node: onnx.NodeProto) -> None:
        values = self._number(node, 1).astype(int).tolist()
        if (
            len(values) != 8
            or values[2:4] != values[2:3] * 2
            or any(values[place] for place in (0, 1, 4, 5))
        ):
            raise _Refused(f"{_called(node)}: expected equal zeros around a side")
        value = node.output[0]
        self.same[value] = self._value(node, 0)
        self.pads[value] = (values[2], values[6])

    def _conv(self, node: onnx.NodeProto) -> None:
        kernel = self._number(node, 1)
        if kernel.ndim != 4 or kernel.shape[2] != kernel.shape[3]:
            raise _Refused(f"{_called(node)}: expected a square kernel")
        bias = np.zeros(kernel.shape[0], np.float32)
        if len(node.input) > 2:
            bias = self._number(node, 2)
        found = {one.name: one for one in node.attribute}
        strides = list(found["strides"].ints) if "strides" in found else [1, 1]
        dilations = list(found["dilations"].ints) if "dilations" in found else [1, 1]
        around = list(found["pads"].ints) if "pads" in found else [0] * 4
        is_square = strides[0] == strides[1] and around[::2] == around[1::2]
        if not is_square or set(dilations) != {1} or strides[0] not in (1, 2):
            raise _Refused(
                f"{_called(node)}: expected stride 1 or 2, no dilation, equal padding "
                f"of both sides, got strides {strides}, dilations {dilations}, pads "
                f"{around}"
            )
        before = self.pads.get(node.input[0], (0, 0))
        pads: tuple[int, int] | None = (before[0] + around[0], before[1] + around[2])
        if "auto_pad" in found and found["auto_pad"].s not in (b"NOTSET", b"VALID"):
            if found["auto_pad"].s != b"SAME_UPPER":
                raise _Refused(f"{_called(node)}: expected auto_pad SAME_UPPER")
            pads = None
        groups = found["group"].i if "group" in found else 1
        is_each = groups == kernel.shape[0] and kernel.shape[1] == 1
        if not (groups == 1 or is_each):
            raise _Refused(
                f"{_called(node)}: expected 1 group, or one for each channel, got "
                f"{groups} of {kernel.shape[0]} channels"
            )
        source = self._value(node, 0)
        made = _Conv(_called(node), source, kernel, bias, strides[0], groups, pads)
        self._now(node, made)

    def _now(self, node: onnx.NodeProto, made: _Conv) -> None:
        value = node.output[0]
        self.convs[value] = made
        self.same[value] = value

    def _followed(self, node: onnx.NodeProto) -> _Conv:
        """The convolution that a node follows, which gives its value up."""
        value = self._value(node, 0)
        if value not in self.convs:
            raise _Refused(f"{_called(node)}: expected a convolution before it")
        return self.convs.pop(value)

    def _norm(self, node: onnx.NodeProto) -> None:
        made = self._followed(node)
        eps = next((one.f for one in node.attribute if one.name == "epsilon"), 1e-5)
        scale, bias, mean, var = (self._number(node, place) for place in range(1, 5))
        norm = (scale, bias, mean - made.bias, var)  # of a convolution without bias
        self._now(node, replace(made, norm=norm, eps=eps, bias=0 * made.bias))

    def _clip(self, node: onnx.NodeProto) -> None:
        bounds = {one.name: one.f for one in node.attribute}
        for name, place in (("min", 1), ("max", 2)):
            if len(node.input) > place and node.input[place]:
                bounds[name] = float(self._number(node, place).item())
        if (bounds.get("min"), bounds.get("max")) != (0.0, 6.0):
            raise _Refused(
                f"{_called(node)}: expected ReLU6, from 0 to 6, got {bounds}"
            )
        self._now(node, replace(self._followed(node), is_clipped=True))

    def _add(self, node: onnx.NodeProto) -> None:
        constant = [one for one in node.input if one in self.constants]
        if constant:  # the bias of a linear layer
            (value,) = (one for one in node.input if one not in self.constants)
            if self.linear is None or self.same.get(value) != self.linear[0]:
                raise _Refused(f"{_called(node)}: expected a sum of two signals")
            self.linear = (node.output[0], self.linear[1], self.constants[constant[0]])
            self.same[node.output[0]] = node.output[0]
            return
        values = frozenset((self._value(node, 0), self._value(node, 1)))
        self.sums[values] = node.output[0]
        self.same[node.output[0]] = node.output[0]

    def _gemm(self, node: onnx.NodeProto) -> None:
        given = {one.name: one.i for one in node.attribute}
        kernel = self._number(node, 1)
        kernel = kernel.T if given.get("transB", 0) else kernel
        bias = np.zeros(kernel.shape[-1], np.float32)
        if len(node.input) > 2:
            bias = self._number(node, 2)
        self._linear(node, kernel, bias)

    def _matmul(self, node: onnx.NodeProto) -> None:
        kernel = self._number(node, 1)
        self._linear(node, kernel, np.zeros(kernel.shape[-1], np.float32))

    def _linear(
        self, node: onnx.NodeProto, kernel: np.ndarray, bias: np.ndarray
    ) -> None:
        if self.linear is not None or self._value(node, 0) not in self.pooled:
            raise _Refused(
                f"{_called(node)}: expected one linear layer, after a pooling"
            )
        self.linear = (node.output[0], kernel, bias)
        self.same[node.output[0]] = node.output[0]
        self.last = self.pooled[self._value(node, 0)]

    def _value(self, node: onnx.NodeProto, place: int) -> str:
        name = node.input[place]
        if name not in self.same:
            raise _Refused(f"{_called(node)}: expected a signal, got {name!r:.60}")
        return self.same[name]

    def _number(self, node: onnx.NodeProto, place: int) -> np.ndarray:
        name = node.input[place] if place < len(node.input) else ""
        if name not in self.constants:
            raise _Refused(f"{_called(node)}: expected constant weights, got a signal")
        return self.constants[name]

    # --- the network ---------------------------------------------------------------

    def network(self, name: str, side: int | None) -> Read:
        """The network of the convolutions in their order."""
        if self.linear is None or len(self.convs) < 4:
            raise _Refused("expected convolutions, a pooling and a linear layer")
        order = list(self.convs.items())
        (value, stem), *rest = order
        size = self._side(side)
        self._require(stem, not stem.is_depthwise and stem.is_clipped, "a stem")
        self._require_source(stem, self.input.name)
        first = Stem(stem.kernel.shape[1], stem.width, stem.stride, size, stem.side)
        channels, size = first.out_channels, first.output_size
        parts: list[tuple[Strided, Sequence[_Conv]]] = [(first, [stem])]
        while len(rest) > 1:
            count = 2 if rest[0][1].is_depthwise else 3
            layers = [one for _, one in rest[:count]]
            block, kept = self._block(
                layers, value, rest[min(count, len(rest)) - 1][0], (channels, size)
            )
            parts.append((block, layers))
            value, rest = kept, rest[count:]
            channels, size = block.out_channels, block.output_size
        if not rest:
            raise _Refused("expected a 1x1 convolution after the blocks, got none")
        (last, mix) = rest[0]
        is_mix = mix.side == 1 and not mix.is_depthwise and mix.is_clipped
        self._require(mix, is_mix and mix.stride == 1, "1x1, before the pooling")
        self._require_source(mix, value)
        if self.last != last:
            raise _Refused(f"{mix.name}: expected the pooling after it")
        _, kernel, bias = self.linear
        head = Head(channels, mix.width, size)
        found = Architecture(
            name,
            first,
            tuple(block for block, _ in parts[1:] if isinstance(block, Block)),
            head,
            Classifier(head.out_channels, kernel.shape[1], size),
            self._eps(),
            padding=self._padding(parts),
        )
        trees = [_layer(stem, found.bn_eps), _layer(mix, found.bn_eps)]
        blocks = [_named(layers, found.bn_eps) for _, layers in parts[1:]]
        linear = {"kernel": _float32(kernel), "bias": _float32(bias)}
        params, stats = (
            {
                "stem": trees[0][which],
                "blocks": [pair[which] for pair in blocks],
                "head": trees[1][which],
                "classifier": ({**linear}, {})[which],
            }
            for which in (0, 1)
        )
        return Read(found, params, stats, not any(one.norm for _, one in order))

    def _block(
        self,
        layers: Sequence[_Conv],
        source: str,
        value: str,
        shape: tuple[int, int],
    ) -> tuple[Block, str]:
        """A block of two or three convolutions, and the value after it."""
        channels, size = shape
        *expand, depthwise, project = layers if len(layers) > 1 else [*layers, *layers]
        hidden = depthwise.width
        is_ours = (
            depthwise.is_depthwise
            and depthwise.is_clipped
            and depthwise.side % 2 == 1
            and (project.side, project.stride, project.groups) == (1, 1, 1)
            and not project.is_clipped
            and all(one.side == 1 and one.stride == 1 for one in expand)
            and all(one.is_clipped and not one.is_depthwise for one in expand)
            and hidden % channels == 0
            and hidden // channels in range(1 + len(expand), 10)
        )
        self._require(layers[0], is_ours, "an inverted bottleneck with ReLU6")
        place = source
        for one in layers:
            self._require_source(one, place)
            place = next(key for key, conv in self.convs.items() if conv is one)
        after = self.sums.get(frozenset((source, value)))
        op = OpSpec(MBCONV.kind, depthwise.side, hidden // channels)
        block = Block(
            op, channels, project.width, depthwise.stride, size, after is not None
        )
        return block, value if after is None else after

    def _require(self, conv: _Conv, holds: bool, expected: str) -> None:
        if not holds:
            raise _Refused(
                f"this block is not one of ours: {conv.name}: expected {expected}"
            )

    def _require_source(self, conv: _Conv, value: str) -> None:
        if conv.source != value:
            raise _Refused(
                f"{conv.name}: expected a chain of blocks, got another input"
            )

    def _side(self, side: int | None) -> int:
        axes = self.input.type.tensor_type.shape.dim
        sides = [axis.dim_value for axis in axes[2:]]
        if side is None and (len(axes) != 4 or len({*sides}) != 1 or sides[0] < 1):
            raise _Refused(
                f"expected images [batch C H W] of one side, got {sides}; give "
                "--input-size"
            )
        return sides[0] if side is None else side

    def _eps(self) -> float:
        found = {one.eps for one in self.convs.values() if one.eps is not None}
        if len(found) > 1:
            raise _Refused(f"expected one epsilon of batch normalisation, got {found}")
        return float(np.float32(found.pop())) if found else BN_EPS

    def _padding(self, parts: Sequence[tuple[Strided, Sequence[_Conv]]]) -> Padding:
        """The convention that all convolutions are padded by."""
        fits: set[Padding] = {"centre", "same"}
        for part, layers in parts:
            for conv in layers:
                for one in tuple(fits):
                    pads = Conventions(padding=one).pads(
                        part.input_size, conv.side, conv.stride
                    )
                    is_same = conv.pads is None and one == "same"
                    if not is_same and pads != conv.pads:
                        fits.discard(one)
        if not fits:
            raise _Refused(
                "expected padding of k//2 on every side or TensorFlow's SAME in all "
                "convolutions, got others"
            )
        return "centre" if "centre" in fits else "same"


def _named(layers: Sequence[_Conv], eps: float) -> tuple[PyTree, PyTree]:
    names = ("expand", "depthwise", "project")[-len(layers) :]
    pairs = [_layer(one, eps) for one in layers]
    params, stats = (
        dict(zip(names, trees, strict=True)) for trees in zip(*pairs, strict=True)
    )
    return params, stats


def _layer(conv: _Conv, eps: float) -> tuple[PyTree, PyTree]:
    """A layer's weights; a folded batch normalisation changes nothing but the bias."""
    ones = np.ones(conv.width)
    scale, bias, mean, var = conv.norm or (ones, conv.bias, 0 * ones, (1 - eps) * ones)
    kernel = conv.kernel.transpose(2, 3, 1, 0)
    params = {
        "kernel": _float32(kernel),
        "bn": {"scale": _float32(scale), "bias": _float32(bias)},
    }
    return params, {"bn": {"mean": _float32(mean), "var": _float32(var)}}


def _float32(values: np.ndarray) -> np.ndarray:
    found = np.ascontiguousarray(values, np.float32)
    if not np.isfinite(found).all():
        raise _Refused("expected finite weights, got some that are not")
    return found


def _array(tensor: onnx.TensorProto) -> np.ndarray:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise _Refused(
            f"expected weights in the file, got {tensor.name!r:.60} in another; save "
            "the model in one file"
        )
    return numpy_helper.to_array(tensor)


def _called(node: onnx.NodeProto) -> str:
    return f"{node.op_type} {node.name or node.output[0]!r:.60}"


def _hint(node: onnx.NodeProto) -> str:
    if node.op_type == "Transpose":
        return "; export the network with images [batch C H W]"
    if node.op_type in ("Sigmoid", "Mul", "HardSigmoid", "HardSwish"):
        return " (squeeze-and-excitation, or another activation than ReLU6)"
    if node.op_type == "Relu":
        return ", whose activation is Clip from 0 to 6"
    return ""
