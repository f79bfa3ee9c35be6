"""Writing an ONNX graph: weights by their path, nodes by their name, signals that add.

Weights are nested dicts of arrays, found by paths like `blocks/0/expand/kernel`; values
carry the path of the weights that made them.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
# The oldest file format that holds opset 17; onnxruntime reads it since 1.12.
IR_VERSION = 8

# Nested dicts and lists of arrays.
Weights = Any

CURE = "pass the weights of this architecture"


class Graph:
    """A graph being written, from trees of weights and the shapes they have to have."""

    def __init__(
        self, weights: tuple[Weights, Weights] = ({}, {}), shapes: Any = ({}, {})
    ) -> None:
        names = ("params", "batch_stats")
        self.trees = dict(zip(names, weights, strict=True))
        self.shapes = dict(zip(names, shapes, strict=True))
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, onnx.TensorProto] = {}

    def array(self, tree: str, path: str) -> np.ndarray:
        """Float64 weights at a path like `blocks/0/expand/kernel`, checked."""
        keys = [int(key) if key.isdigit() else key for key in path.split("/")]
        shape = functools.reduce(lambda at, key: at[key], keys, self.shapes[tree]).shape
        value = self.trees[tree]
        for key in keys:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                raise ValueError(
                    f"{tree}: expected {path!r} of shape {shape}, got nothing at "
                    f"{str(key)!r}; {CURE}"
                ) from None
        if np.shape(value) != shape:
            raise ValueError(
                f"{tree}: expected {path!r} of shape {shape}, got {np.shape(value)}; "
                f"{CURE}"
            )
        return np.asarray(value, dtype=np.float64)

    def weight(self, name: str, array: np.ndarray) -> str:
        self.weights[name] = numpy_helper.from_array(array.astype(np.float32), name)
        return name

    def constant(self, name: str, array: np.ndarray) -> str:
        self.weights[name] = numpy_helper.from_array(array, name)
        return name

    def node(self, op: str, name: str, inputs: Sequence[str], **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

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


class Signal:
    """A value of a graph, as `Architecture.forward` handles arrays.

    `+` writes an Add node, `[..., a:b]` the Slice of channels a to b. The value "" is
    zero everywhere: adding it writes nothing.
    """

    def __init__(self, graph: Graph, value: str) -> None:
        self.graph, self.value = graph, value

    def __add__(self, other: "Signal") -> "Signal":
        if not other.value:
            return self
        name = f"add_{len(self.graph.nodes)}"
        return Signal(
            self.graph, self.graph.node("Add", name, [self.value, other.value])
        )

    def __getitem__(self, index: tuple[Any, slice]) -> "Signal":
        graph, channels = self.graph, index[-1]
        name = f"slice_{len(graph.nodes)}"
        # channels are axis 1 of [batch C H W]; "all that follow" is a large end
        bounds = [channels.start or 0, channels.stop or np.iinfo(np.int32).max, 1]
        inputs = [
            graph.constant(f"{name}/{what}", np.array([value], np.int64))
            for what, value in zip(("start", "end", "axis"), bounds, strict=True)
        ]
        return Signal(graph, graph.node("Slice", name, [self.value, *inputs]))
