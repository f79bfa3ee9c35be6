"""ONNX graphs in 8-bit integers, quantised after training for ONNX Runtime's CPU.

Weights are int8, one scale for each output channel; activations uint8, one scale and
zero point for each tensor, whose range is the widest that the calibration images give;
biases int32. ReLU and ReLU6 become the ends of a range. The graph says so by
QuantizeLinear and DequantizeLinear about its float nodes, which ONNX Runtime fuses with
them into integer kernels; input and logits stay float32.

Hard swish and hard sigmoid have no integer kernel there, so they are written as
additions, bounds and products, which have. What has none stays in float between two
such nodes: `in_float` names it.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from jaxtyping import Float

from nas_jax.latency.runtimes import onnx_runtime

INTEGER_OPERATORS = (
    *("Conv", "Gemm", "MatMul", "Add", "Mul", "Clip", "Relu", "Sigmoid", "LeakyRelu"),
    *("GlobalAveragePool", "AveragePool", "MaxPool", "Concat", "Pad", "Slice"),
    *("Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze"),
)
"""Those with integer kernels in ONNX Runtime's CPU."""
_PIECE = 32
"""Calibration images in a call."""


def quantise(
    model: onnx.ModelProto, images: Float[np.ndarray, "N C H W"]
) -> onnx.ModelProto:
    """A float graph of one input and one output in 8-bit integers.

    `images` are inputs as the graph takes them, which give the ranges.
    """
    # imported here: it takes a second, and float runs never need it
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    images = np.ascontiguousarray(images, np.float32)
    source = _with_integer_kernels(model)
    # batch normalisation is folded already; the quantiser would advise to do it
    entry = source.metadata_props.add()
    entry.key, entry.value = "onnx.quant.pre_process", "onnxruntime.quant"
    with tempfile.TemporaryDirectory(prefix="nas_jax_int8_") as folder:
        given, target = (Path(folder) / f"{name}.onnx" for name in ("float", "int8"))
        onnx.save(source, given)  # of one in memory version 1.20 loses the weights
        quantize_static(
            given,
            target,
            _Reader(model.graph.input[0].name, images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(INTEGER_OPERATORS),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # of 256 different logits two are often equal
            extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm"]},
        )
        quantised = onnx.load(target)
    quantised.producer_name = "nas_jax"
    del quantised.metadata_props[:]
    onnx.checker.check_model(quantised)
    return quantised


def _with_integer_kernels(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with h(x) = min(max(x + 3, 0), 6) / 6 and x h(x) written out.

    Of HardSigmoid, that of PyTorch and of this package: slope 1/6, value 1/2 at 0.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    numbers = {"three": [3.0], "sixth": [1 / 6], "none": 0.0, "six": 6.0}
    names = {name: f"hard_{name}" for name in numbers}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        is_swish, is_gate = node.op_type == "HardSwish", _is_gate(node)
        if not (is_swish or is_gate):
            nodes.append(node)
            continue
        (x,), (y,) = node.input, node.output
        steps = [("Add", [x, names["three"]], f"{y}/shifted")]
        bounds = [names["none"], names["six"]]
        steps.append(("Clip", [f"{y}/shifted", *bounds], f"{y}/bounded"))
        if is_swish:
            steps.append(("Mul", [x, f"{y}/bounded"], f"{y}/product"))
        steps.append(("Mul", [steps[-1][2], names["sixth"]], y))
        nodes += [
            onnx.helper.make_node(operator, inputs, [output], output)
            for operator, inputs, output in steps
        ]
    if len(nodes) > len(model.graph.node):
        made.graph.initializer.extend(
            onnx.numpy_helper.from_array(np.array(value, np.float32), names[name])
            for name, value in numbers.items()
        )
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def _is_gate(node: onnx.NodeProto) -> bool:
    """Whether a node is h(x)."""
    given = {one.name: one.f for one in node.attribute}
    slope, start = given.get("alpha", 0.2), given.get("beta", 0.5)
    is_ours = np.allclose((slope, start), (1 / 6, 0.5), atol=1e-6)
    return node.op_type == "HardSigmoid" and bool(is_ours)


class _Reader:
    """Calibration inputs as the quantiser asks for them: None at the end."""

    def __init__(self, name: str, images: np.ndarray) -> None:
        starts = range(0, len(images), _PIECE)
        self._feeds = ({name: images[at : at + _PIECE]} for at in starts)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


def in_float(model: onnx.ModelProto) -> tuple[str, ...]:
    """Operators that ONNX Runtime computes in float32 in a quantised graph, none twice.

    As the runtime itself has rewritten the graph: what takes a float activation there
    and is no QuantizeLinear.
    """
    graph = onnx_runtime.rewritten(model).graph
    weights = {one.name for one in graph.initializer}
    is_float = {
        value.name
        for value in graph.input
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    found: dict[str, None] = {}
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            continue
        if node.op_type == "DequantizeLinear":
            is_float.update({*node.output} - weights)
        elif is_float & {*node.input}:
            found[node.op_type] = None
            is_float.update(node.output)
    return tuple(found)
