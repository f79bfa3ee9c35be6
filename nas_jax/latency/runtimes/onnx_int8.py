"""Latency in 8-bit integers on the CPU of this machine, in ONNX Runtime.

Every part is quantised as whole networks are (`onnx_quantise`), with weights that are
drawn. Inside a network a part takes 8-bit integers and hands them on, channels last, as
the runtime's integer kernels want them. So a part alone is given such an array and
returns one: the runtime then neither quantises nor copies at its ends, and nothing is
counted twice. The stem takes the float images and quantises them, the classifier
returns float logits, as in a whole network. What is left besides the kernels is the
call.
"""

import functools
from collections.abc import Iterable, Iterator

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from nas_jax.config import provenance
from nas_jax.config.experiment import LatencyConfig
from nas_jax.latency.measurement import timing
from nas_jax.latency.measurement.timing import CALL, Device
from nas_jax.latency.runtimes import onnx_quantise, onnx_runtime
from nas_jax.latency.runtimes.onnx_runtime import Draw
from nas_jax.networks.onnx import graphs
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.operations import Block
from nas_jax.spaces.parts import Classifier, Part, Stem

RUNTIME = "onnxruntime-int8"
_DRAWN = 2
"""Inputs that give drawn weights their ranges, which no time depends on."""
_FIRST, _LAST = [0, 3, 1, 2], [0, 2, 3, 1]
"""Orders of the axes: of [B H W C] as [B C H W], and back."""


def device(config: LatencyConfig) -> Device:
    """ONNX Runtime on this CPU, networks in 8-bit integers."""
    rng = np.random.default_rng(0)
    # networks share what they draw, as they share the parts of a space
    draw = functools.cache(lambda part: graphs.random_weights(part, rng))

    def call(model: onnx.ModelProto) -> timing.Call:
        runtime = onnx_runtime.session(model, config.threads)
        shape = runtime.get_inputs()[0].shape[1:]
        return onnx_runtime.bound_call(runtime, (config.batch, *shape), rng)

    empty = graphs.identity(CALL)
    return Device(
        name=provenance.device(),
        runtime=RUNTIME,
        version=onnxruntime.__version__,
        config=config,
        part=lambda part: call(of_part(part, draw)),
        network=lambda architecture: call(drawn(architecture, draw)),
        copy=lambda shape: call(empty),
        copies=False,
        dtype="int8",
    )


def drawn(architecture: Architecture, draw: Draw | None = None) -> onnx.ModelProto:
    """A network in 8 bits with weights that are drawn, here or by `draw`."""
    model = onnx_runtime.drawn(architecture, draw)
    return _quantised(model, graphs.input_shape(architecture.stem))


def of_part(part: Part, draw: Draw) -> onnx.ModelProto:
    """A part alone in 8 bits, with the ends that it has inside a network."""
    model = _quantised(graphs.part(part, *draw(part)), graphs.input_shape(part))
    if not isinstance(part, Stem):
        _take_integers(model.graph)
    if not isinstance(part, Classifier):
        _return_integers(model.graph)
    onnx.checker.check_model(model)
    # The runtime moves Transposes through a graph before it forms integer kernels, and
    # again only where it turned a layout itself. A classifier alone is rewritten twice,
    # so that its pooling takes channels last, as in a network.
    return onnx_runtime.rewritten(model, is_final=False)


def _quantised(model: onnx.ModelProto, shape: tuple[int, ...]) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((_DRAWN, *shape), dtype=np.float32)
    return onnx_quantise.quantise(model, images)


def _take_integers(graph: onnx.GraphProto) -> None:
    """Gives a graph an input [B H W C] of uint8 in place of its float [B C H W]."""
    (source,) = graph.input
    name = source.name
    first = [
        node
        for node in graph.node
        if node.op_type == "QuantizeLinear" and node.input[0] == name
    ]
    if first:
        turned = first[0].output[0]
        graph.node.remove(first[0])
    else:  # its first operator computes in float
        turned, whole = f"{name}/turned", f"{name}/float"
        for node in graph.node:
            node.input[:] = [whole if one == name else one for one in node.input]
        inputs = [turned, *_any_scale(graph, name)]
        graph.node.insert(0, helper.make_node("DequantizeLinear", inputs, [whole]))
    turn = helper.make_node("Transpose", [name], [turned], perm=_FIRST)
    graph.node.insert(0, turn)
    _become_integers(source)


def _return_integers(graph: onnx.GraphProto) -> None:
    """Gives a graph an output [B H W C] of uint8 in place of its float [B C H W]."""
    (result,) = graph.output
    name = result.name
    (last,) = [node for node in graph.node if name in node.output]
    if last.op_type == "DequantizeLinear":
        whole = last.input[0]
        graph.node.remove(last)
    else:  # its last operator computes in float
        whole, given = f"{name}/turned", f"{name}/float"
        last.output[:] = [given if one == name else one for one in last.output]
        inputs = [given, *_any_scale(graph, name)]
        graph.node.append(helper.make_node("QuantizeLinear", inputs, [whole]))
    graph.node.append(helper.make_node("Transpose", [whole], [name], perm=_LAST))
    _become_integers(result)


def _any_scale(graph: onnx.GraphProto, name: str) -> list[str]:
    """A scale and a zero point as weights of a graph; no time depends on them."""
    values = {"scale": np.float32(1 / 32), "zero": np.uint8(128)}
    for what, value in values.items():
        tensor = numpy_helper.from_array(np.array(value), f"{name}/{what}")
        graph.initializer.append(tensor)
    return [f"{name}/{what}" for what in values]


def _become_integers(value: onnx.ValueInfoProto) -> None:
    tensor = value.type.tensor_type
    tensor.elem_type = TensorProto.UINT8
    axes = [tensor.shape.dim[axis] for axis in _LAST]
    shape = onnx.TensorShapeProto()
    shape.dim.extend(axes)
    tensor.shape.CopyFrom(shape)


def notes(parts: Iterable[Part]) -> Iterator[str]:
    """A line for every kind of part that is not all integers in 8 bits.

    Raises `ValueError` for an operation that has no form in ONNX.
    """
    draw = functools.partial(graphs.random_weights, rng=np.random.default_rng(0))
    told: set[str] = set()
    for part in parts:
        name = part.op.name if isinstance(part, Block) else type(part).__name__.lower()
        if name in told:
            continue
        told.add(name)
        if operators := onnx_quantise.in_float(of_part(part, draw)):
            yield (
                f"8 bits: {name} computes {', '.join(operators)} in float32, between a "
                "conversion each way; its times count both"
            )
