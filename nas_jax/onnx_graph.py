"""ONNX graphs of networks and of their parts, written with `onnx.helper`.

The set of operators is closed: Conv, Clip (ReLU6), Add, GlobalAveragePool, Flatten,
Gemm and Identity. Batch normalisation in evaluation mode is an affine map per channel,
so it is folded, in float64, into the convolution before it:

    bn(w * x) = (g w) * x + (bias - g mean),    g = scale / sqrt(var + eps).

Weights are nested dicts of arrays. A *conv* is {"kernel" [k k in/groups out], "bn":
{"scale" [out], "bias" [out]}}, in `batch_stats` {"bn": {"mean" [out], "var" [out]}}:

    network     {"stem", "blocks": [one per block], "head", "classifier"}
    stem, head  conv
    block       {"expand", "depthwise", "project"} of conv; no "expand" at expansion 1;
                {} for `zero`
    classifier  {"kernel" [in classes], "bias" [classes]}; nothing in `batch_stats`

Graphs are float32 in the layout of ONNX, [batch C H W], with a dynamic batch axis.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nas_jax.architecture import Architecture
from nas_jax.parts import BN_EPS, Block, Classifier, Head, OpSpec, Part, Stem

OPSET = 17
# The oldest file format that holds opset 17; onnxruntime reads it since 1.12.
IR_VERSION = 8

# Nested dicts and lists of arrays, as the module docstring lays them out.
Weights = Any

_CURE = "pass the weights of this architecture"


class _Conv(NamedTuple):
    """A convolution of a part; `name` is "" where the part is the convolution."""

    name: str
    kernel: tuple[int, int, int, int]
    stride: int = 1
    groups: int = 1
    relu6: bool = True


def _convolutions(part: Part) -> list[_Conv]:
    match part:
        case Stem(in_channels=width, out_channels=out, kernel=k):
            return [_Conv("", (k, k, width, out), part.stride)]
        case Head(in_channels=width, out_channels=out):
            return [_Conv("", (1, 1, width, out))]
        case Block(op=OpSpec(kind="mbconv", kernel=k), inner_channels=inner):
            expand = _Conv("expand", (1, 1, part.in_channels, inner))
            return [
                *([expand] if part.op.expansion > 1 else []),
                _Conv("depthwise", (k, k, 1, inner), part.stride, groups=inner),
                _Conv("project", (1, 1, inner, part.out_channels), relu6=False),
            ]
    return []


def network(
    architecture: Architecture, params: Weights, batch_stats: Weights
) -> onnx.ModelProto:
    """The graph of a whole network: `images` [batch C H W] -> `logits` [batch classes].

    Raises `ValueError` naming the weights that are missing or have the wrong shape.
    """
    blocks = architecture.blocks
    if len(params.get("blocks", ())) != len(blocks):
        raise ValueError(
            f"params: expected {len(blocks)} blocks for architecture "
            f"{architecture.name!r}, got {len(params.get('blocks', ()))}; {_CURE}"
        )
    graph = _Graph(params, batch_stats, architecture.bn_eps)
    value = graph.part("stem", architecture.stem, "images")
    for index, block in enumerate(blocks):
        value = graph.part(f"blocks/{index}", block, value)
    value = graph.part("head", architecture.head, value)
    graph.part("classifier", architecture.classifier, value)
    return graph.model(
        architecture.name,
        ("images", input_shape(architecture.stem)),
        ("logits", output_shape(architecture.classifier)),
    )


def part(
    part: Part, params: Weights, batch_stats: Weights, bn_eps: float = BN_EPS
) -> onnx.ModelProto:
    """The graph of one part alone: its input feature map `x` -> its output `y`.

    A block with a shortcut includes the addition; `zero` is a copy.
    """
    graph = _Graph({"part": params}, {"part": batch_stats}, bn_eps)
    graph.part("part", part, "x")
    return graph.model(part.key, ("x", input_shape(part)), ("y", output_shape(part)))


def identity(shape: Sequence[int]) -> onnx.ModelProto:
    """The graph of one Identity node `x` -> `y`; `shape` is without the batch axis."""
    return _Graph({}, {}, BN_EPS).model("identity", ("x", shape), ("y", shape))


def input_shape(part: Part) -> tuple[int, ...]:
    """[C H W] of what enters a part."""
    return (part.in_channels, part.input_size, part.input_size)


def output_shape(part: Part) -> tuple[int, ...]:
    """[C H W] of what leaves a part; [classes] for the classifier."""
    if isinstance(part, Classifier):
        return (part.classes,)
    size = part.input_size if isinstance(part, Head) else part.output_size
    return (part.out_channels, size, size)


def random_weights(part: Part, rng: np.random.Generator) -> tuple[Weights, Weights]:
    """`params` and `batch_stats` of a part, drawn so that activations keep their scale.

    For timing and for tests, where only shapes and ordinary values matter.
    """
    if isinstance(part, Classifier):
        shape = (part.in_channels, part.classes)
        kernel = rng.normal(0, part.in_channels**-0.5, shape)
        return {"kernel": kernel, "bias": rng.normal(0, 0.1, part.classes)}, {}
    params: Weights = {}
    batch_stats: Weights = {}
    for conv in _convolutions(part):
        fan_in, out = np.prod(conv.kernel[:3]), conv.kernel[3]
        bn = {"scale": rng.uniform(0.5, 1.5, out), "bias": rng.normal(0, 0.1, out)}
        kernel = rng.normal(0, fan_in**-0.5, conv.kernel)
        weights = {"kernel": kernel, "bn": bn}
        moving = {"mean": rng.normal(0, 0.1, out), "var": rng.uniform(0.5, 1.5, out)}
        if not conv.name:
            return weights, {"bn": moving}
        params[conv.name], batch_stats[conv.name] = weights, {"bn": moving}
    return params, batch_stats


class _Graph:
    """A graph being written; values carry the path of the weights that made them."""

    def __init__(self, params: Weights, batch_stats: Weights, bn_eps: float) -> None:
        self.trees = {"params": params, "batch_stats": batch_stats}
        self.bn_eps = bn_eps
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, onnx.TensorProto] = {}

    def array(self, tree: str, path: str, shape: tuple[int, ...]) -> np.ndarray:
        """Float64 weights at a path like `blocks/0/expand/kernel`, checked."""
        value = self.trees[tree]
        for key in path.split("/"):
            try:
                value = value[int(key) if isinstance(value, list | tuple) else key]
            except (KeyError, IndexError, TypeError):
                raise ValueError(
                    f"{tree}: expected {path!r} of shape {shape}, got nothing at "
                    f"{key!r}; {_CURE}"
                ) from None
        if np.shape(value) != shape:
            raise ValueError(
                f"{tree}: expected {path!r} of shape {shape}, got {np.shape(value)}; "
                f"{_CURE}"
            )
        return np.asarray(value, dtype=np.float64)

    def weight(self, name: str, array: np.ndarray) -> str:
        self.weights[name] = numpy_helper.from_array(array.astype(np.float32), name)
        return name

    def node(self, op: str, name: str, inputs: Sequence[str], **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def part(self, path: str, part: Part, value: str) -> str:
        """Adds the part whose weights are at `path`; returns the name of its output."""
        if isinstance(part, Classifier):
            return self.classifier(path, part, value)
        output = value
        for conv in _convolutions(part):
            output = self.conv(f"{path}/{conv.name}".rstrip("/"), conv, output)
        if isinstance(part, Block) and part.shortcut and output != value:
            output = self.node("Add", f"{path}/add", [output, value])
        return output

    def conv(self, path: str, conv: _Conv, value: str) -> str:
        out = (conv.kernel[3],)
        kernel = self.array("params", f"{path}/kernel", conv.kernel)
        scale = self.array("params", f"{path}/bn/scale", out)
        bias = self.array("params", f"{path}/bn/bias", out)
        mean = self.array("batch_stats", f"{path}/bn/mean", out)
        var = self.array("batch_stats", f"{path}/bn/var", out)
        gain = scale / np.sqrt(var + self.bn_eps)
        # HWIO -> OIHW
        folded = self.weight(f"{path}/kernel", (kernel * gain).transpose(3, 2, 0, 1))
        shift = self.weight(f"{path}/bias", bias - gain * mean)
        side = conv.kernel[0]
        output = self.node(
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
        bounds = [self.weight("zero", np.array(0.0)), self.weight("six", np.array(6.0))]
        return self.node("Clip", f"{path}/relu6", [output, *bounds])

    def classifier(self, path: str, part: Classifier, value: str) -> str:
        shape = (part.in_channels, part.classes)
        weights = [
            self.weight(name, self.array("params", name, expected))
            for name, expected in (
                (f"{path}/kernel", shape),
                (f"{path}/bias", shape[1:]),
            )
        ]
        pooled = self.node("GlobalAveragePool", f"{path}/pool", [value])
        flat = self.node("Flatten", f"{path}/flatten", [pooled])
        return self.node("Gemm", f"{path}/gemm", [flat, *weights])

    def model(
        self,
        name: str,
        source: tuple[str, Sequence[int]],
        result: tuple[str, Sequence[int]],
    ) -> onnx.ModelProto:
        """The checked model from `source` to `result`, each a name and a [C H W]."""
        if self.nodes:
            self.nodes[-1].output[0] = result[0]
        else:
            self.node("Identity", result[0], [source[0]])
        inputs, outputs = (
            [helper.make_tensor_value_info(value, TensorProto.FLOAT, ["batch", *shape])]
            for value, shape in (source, result)
        )
        model = helper.make_model(
            helper.make_graph(
                self.nodes, name, inputs, outputs, list(self.weights.values())
            ),
            producer_name="nas_jax",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        onnx.checker.check_model(model, full_check=True)
        return model
