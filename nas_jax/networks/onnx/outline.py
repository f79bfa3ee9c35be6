"""Outlines of ONNX graphs: nodes, shapes of values and of weights, and no numbers.

What a device has to hold follows from them (`flash`, `activation_memory`), for every
operation that can be written in ONNX.
"""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
import onnx
from onnx import TensorProto, helper, shape_inference

from nas_jax.networks import network as networks
from nas_jax.networks import parts
from nas_jax.networks.onnx import graphs
from nas_jax.networks.onnx.writer import OPSET, Graph
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.parts import Part

Shape = tuple[int, ...]


class Outline(NamedTuple):
    """A graph from `source` to `result`, its nodes in the order in which they run."""

    nodes: tuple[onnx.NodeProto, ...]
    source: str
    result: str
    values: dict[str, Shape]
    """Of one image, by name: what enters and what the nodes make."""
    weights: dict[str, Shape]


class _Drawing(Graph):
    """A graph being written that keeps the shapes of its weights alone."""

    def __init__(self, *shapes: Any) -> None:
        # ones that take no memory: a module may divide by them
        weights = jax.tree.map(lambda leaf: np.broadcast_to(1.0, leaf.shape), shapes)
        super().__init__(weights, shapes)
        self.weight_shapes: dict[str, Shape] = {}

    def weight(self, name: str, array: np.ndarray) -> str:
        self.weight_shapes[name] = array.shape
        return name

    def outline(self, what: str, source: str, shape: Shape, result: str) -> Outline:
        """All that was written from `source`, of this shape, to `result`.

        Raises `ValueError` naming a node of `what` whose shape does not follow.
        """
        given = {source: (1, *shape), **self.weight_shapes}
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, each)
            for name, each in given.items()
        ]
        made = [name for node in self.nodes for name in node.output]
        outputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            for name in made
        ]
        constants = list(self.weights.values())
        graph = helper.make_graph(self.nodes, "outline", inputs, outputs, constants)
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset)
        known = shape_inference.infer_shapes(model).graph.output
        values = {one.name: _shape(one) for one in known}
        for node in self.nodes:
            if not all(map(values.get, node.output)):
                raise ValueError(
                    f"{what}: expected a shape that follows from the inputs of node "
                    f"{node.name!r} ({node.op_type}), got none; write it with "
                    f"operators of ONNX, opset {OPSET}"
                )
        values[source] = given[source]
        return Outline(tuple(self.nodes), source, result, values, self.weight_shapes)


def _shape(value: onnx.ValueInfoProto) -> Shape:
    """() where it is not known."""
    sizes = tuple(one.dim_value for one in value.type.tensor_type.shape.dim)
    return sizes if all(sizes) else ()


@functools.lru_cache(maxsize=4096)
def of_part(part: Part) -> Outline:
    """That of one part, a block with its shortcut, from its input to its output.

    Raises `ValueError` for an operation without a form in ONNX.
    """
    graph = _Drawing(*({"part": tree} for tree in parts.shapes(part)))
    result = graphs.write_part(part, graph) or "x"
    return graph.outline(part.key, "x", graphs.input_shape(part), result)


def of_network(architecture: Architecture) -> Outline:
    """That of a whole network, from its images to its answer."""
    graph = _Drawing(*networks.shapes(architecture))
    result = graphs.write_network(architecture, graph)
    shape = graphs.input_shape(architecture.stem)
    return graph.outline(architecture.name, "images", shape, result)
