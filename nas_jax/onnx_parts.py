"""How each part of a network is written in ONNX, batch normalisation folded.

Batch normalisation in evaluation mode is an affine map per channel, so after a
convolution it is folded, in float64, into its weights:

    bn(w * x) = (g w) * x + (bias - g mean),    g = scale / sqrt(var + eps).

Before a ReLU and a convolution, as in tree cells, it cannot be and stays a node.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nas_jax.onnx_writer import Graph
from nas_jax.parts import (
    OWN_OPERATIONS,
    Block,
    Classifier,
    Head,
    Norm,
    NormConv,
    OpSpec,
    Part,
    Stem,
    Widen,
)

_NORM = (
    ("params", "scale"),
    ("params", "bias"),
    ("batch_stats", "mean"),
    ("batch_stats", "var"),
)


class Folded(NamedTuple):
    """A convolution with its batch normalisation folded in, and ReLU6 if `relu6`.

    Its weights are at `name` below the part, or at the part itself if that is "".
    `kernel` is (k, k, in / groups, out).
    """

    name: str
    kernel: tuple[int, int, int, int]
    stride: int = 1
    groups: int = 1
    relu6: bool = True


def _convolutions(part: Part) -> list[Folded]:
    match part:
        case Stem(in_channels=width, out_channels=out, kernel=k):
            return [Folded("", (k, k, width, out), part.stride, relu6=part.activate)]
        case Head(in_channels=width, out_channels=out):
            return [Folded("", (1, 1, width, out))]
        case Block(op=OpSpec(kind="mbconv", kernel=k), inner_channels=inner):
            expand = Folded("expand", (1, 1, part.in_channels, inner))
            return [
                *([expand] if part.op.expansion > 1 else []),
                Folded("depthwise", (k, k, 1, inner), part.stride, groups=inner),
                Folded("project", (1, 1, inner, part.out_channels), relu6=False),
            ]
    return []


def add_part(graph: Graph, path: str, part: Part, value: str) -> str:
    """Adds a part, a block without its shortcut; returns the name of its output.

    That is "" for `zero`, whose output is 0, and `value` for `identity`.
    """
    match part:
        case Block(op=OpSpec(kind="zero")):
            return ""
        case Classifier():
            return _classifier(graph, path, part, value)
        case Norm():
            return _norm(graph, path, part.channels, part.activate, value)
        case NormConv():
            return _norm_conv(graph, path, part, value)
        case Widen():
            return _widen(graph, path, part, value)
        case Block(op=OpSpec(kind="sep" | "dil")):
            return _separable(graph, path, part, value)
        case Block(op=OpSpec(kind="avg" | "max")):
            return _pool(graph, path, part, value)
        case Block(op=OpSpec(kind=own)) if own in OWN_OPERATIONS:
            return own_form(own)(graph, path, part, value)
    return folded_convolutions(graph, path, _convolutions(part), value)


def own_form(name: str) -> Callable[..., str]:
    """How an operation of the user's own is written.

    Raises `ValueError` if it was registered without.
    """
    to_onnx = OWN_OPERATIONS[name].to_onnx
    if to_onnx is None:
        raise ValueError(
            f"operation {name!r}: expected a way to write it in ONNX, got none; "
            "give ops.register(..., to_onnx=...)"
        )
    return to_onnx


def folded_convolutions(
    graph: Graph, path: str, convolutions: Sequence[Folded], value: str
) -> str:
    """Writes convolutions one after the other; returns the name of the last output."""
    for conv in convolutions:
        value = _folded(graph, f"{path}/{conv.name}".rstrip("/"), conv, value)
    return value


def _folded(graph: Graph, path: str, conv: Folded, value: str) -> str:
    out = (conv.kernel[3],)
    kernel = graph.array("params", f"{path}/kernel", conv.kernel)
    scale = graph.array("params", f"{path}/bn/scale", out)
    bias = graph.array("params", f"{path}/bn/bias", out)
    mean = graph.array("batch_stats", f"{path}/bn/mean", out)
    var = graph.array("batch_stats", f"{path}/bn/var", out)
    gain = scale / np.sqrt(var + graph.bn_eps)
    # HWIO -> OIHW
    folded = graph.weight(f"{path}/kernel", (kernel * gain).transpose(3, 2, 0, 1))
    shift = graph.weight(f"{path}/bias", bias - gain * mean)
    side = conv.kernel[0]
    output = graph.node(
        "Conv",
        f"{path}/conv",
        [value, folded, shift],
        kernel_shape=[side, side],
        pads=[side // 2] * 4,
        strides=[conv.stride] * 2,
        group=conv.groups,
    )
    if not conv.relu6:
        return output
    bounds = [graph.weight("zero", np.array(0.0)), graph.weight("six", np.array(6.0))]
    return graph.node("Clip", f"{path}/relu6", [output, *bounds])


def _classifier(graph: Graph, path: str, part: Classifier, value: str) -> str:
    shape = (part.in_channels, part.classes)
    weights = [
        graph.weight(name, graph.array("params", name, expected))
        for name, expected in (
            (f"{path}/kernel", shape),
            (f"{path}/bias", shape[1:]),
        )
    ]
    pooled = graph.node("GlobalAveragePool", f"{path}/pool", [value])
    flat = graph.node("Flatten", f"{path}/flatten", [pooled])
    return graph.node("Gemm", f"{path}/gemm", [flat, *weights])


def _norm(graph: Graph, path: str, channels: int, activate: bool, value: str) -> str:
    """Batch normalisation before a convolution, where it cannot be folded."""
    arrays = [
        graph.weight(f"{path}/bn/{name}", graph.array(tree, f"{path}/bn/{name}", shape))
        for tree, name in _NORM
        for shape in [(channels,)]
    ]
    y = graph.node(
        "BatchNormalization", f"{path}/norm", [value, *arrays], epsilon=graph.bn_eps
    )
    return graph.node("Relu", f"{path}/relu", [y]) if activate else y


def _bare_conv(
    graph: Graph,
    path: str,
    shape: tuple[int, int, int, int],
    value: str,
    *,
    stride: int = 1,
    groups: int = 1,
    dilation: int = 1,
) -> str:
    """A convolution that nothing is folded into."""
    name, side = f"{path}/kernel", shape[0]
    kernel = graph.array("params", name, shape).transpose(3, 2, 0, 1)
    return graph.node(
        "Conv",
        f"{path}/conv",
        [value, graph.weight(name, kernel)],
        kernel_shape=[side, side],
        pads=[dilation * (side // 2)] * 4,
        strides=[stride] * 2,
        dilations=[dilation] * 2,
        group=groups,
    )


def _norm_conv(graph: Graph, path: str, part: NormConv, value: str) -> str:
    y = _norm(graph, f"{path}/norm", part.in_channels, part.activate, value)
    k, groups, out = part.kernel, part.groups, part.out_channels
    shape = (k, k, part.in_channels // groups, out)
    y = _bare_conv(graph, f"{path}/conv", shape, y, stride=part.stride, groups=groups)
    if groups == 1:
        return y
    # the shuffle: [groups, each] channels become [each, groups]
    side, each = part.output_size, out // groups
    y = _reshape(graph, f"{path}/split", (groups, each, side, side), y)
    y = graph.node("Transpose", f"{path}/turn", [y], perm=[0, 2, 1, 3, 4])
    return _reshape(graph, f"{path}/join", (out, side, side), y)


def _reshape(graph: Graph, name: str, shape: tuple[int, ...], value: str) -> str:
    to = graph.constant(f"{name}/shape", np.array([0, *shape], np.int64))
    return graph.node("Reshape", name, [value, to])


def _separable(graph: Graph, path: str, block: Block, value: str) -> str:
    k, width = block.op.kernel, block.in_channels
    y = _norm(graph, path, width, True, value)
    y = _bare_conv(
        graph,
        f"{path}/depthwise",
        (k, k, 1, width),
        y,
        stride=block.stride,
        groups=width,
        dilation=block.op.dilation,
    )
    return _bare_conv(graph, f"{path}/pointwise", (1, 1, width, block.out_channels), y)


def _pool(graph: Graph, path: str, block: Block, value: str) -> str:
    k = block.op.kernel
    op = "MaxPool" if block.op.kind == "max" else "AveragePool"  # excludes padding
    return graph.node(
        op, f"{path}/pool", [value], kernel_shape=[k, k], pads=[k // 2] * 4
    )


def _widen(graph: Graph, path: str, part: Widen, value: str) -> str:
    if part.stride > 1:
        window = [part.stride] * 2
        value = graph.node(
            "AveragePool", f"{path}/pool", [value], kernel_shape=window, strides=window
        )
    missing = part.out_channels - part.in_channels
    if not missing:
        return value
    pads = np.array([0, 0, 0, 0, 0, missing, 0, 0], np.int64)
    return graph.node(
        "Pad", f"{path}/pad", [value, graph.constant(f"{path}/pads", pads)]
    )
