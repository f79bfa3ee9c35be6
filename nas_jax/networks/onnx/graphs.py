"""ONNX graphs of networks and of their parts, written with `onnx.helper`.

The set of operators is closed: Conv, Clip (ReLU6), Add, GlobalAveragePool, Flatten,
Gemm and Identity for chains; BatchNormalization, Relu, AveragePool, MaxPool, Pad,
Slice, Reshape and Transpose besides for tree cells.

Weights are nested dicts of arrays. A *conv* is {"kernel" [k k in/groups out], "bn":
{"scale" [out], "bias" [out]}}, in `batch_stats` {"bn": {"mean" [out], "var" [out]}}:

    network     {"stem", "blocks": [one per block], "head", "classifier"}
    stem, head  conv
    block       {"expand", "depthwise", "project"} of conv; no "expand" at expansion 1;
                {} for `zero`
    classifier  {"kernel" [in classes], "bias" [classes]}; nothing in `batch_stats`

and further parts as `parts.shapes` says.

Graphs are float32 in the layout of ONNX, [batch C H W], with a dynamic batch axis.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import onnx

from nas_jax.networks import network as networks
from nas_jax.networks import parts
from nas_jax.networks.onnx.writer import CURE, Graph, Signal, Weights
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.parts import OURS, Classifier, Conventions, Head, Part


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
            f"{architecture.name!r}, got {len(params.get('blocks', ()))}; {CURE}"
        )
    graph = Graph((params, batch_stats), networks.shapes(architecture))
    write_network(architecture, graph)
    return graph.model(
        architecture.name,
        ("images", input_shape(architecture.stem)),
        ("logits", output_shape(architecture.classifier)),
    )


def part(
    part: Part, params: Weights, batch_stats: Weights, conventions: Conventions = OURS
) -> onnx.ModelProto:
    """The graph of one part alone: its input feature map `x` -> its output `y`.

    A block with a shortcut includes the addition; `zero` is a copy.
    """
    shapes = [{"part": tree} for tree in parts.shapes(part)]
    graph = Graph(({"part": params}, {"part": batch_stats}), shapes)
    write_part(part, graph, conventions)
    return graph.model(part.key, ("x", input_shape(part)), ("y", output_shape(part)))


def write_network(architecture: Architecture, graph: Graph) -> str:
    """Writes a network from the value `images`; returns the name of its answer."""

    def run(slot: str | int, x: Signal) -> Signal:
        path = slot if isinstance(slot, str) else f"blocks/{slot}"
        part, conventions = architecture.slots[slot], architecture.conventions
        return Signal(graph, parts.to_onnx(part, graph, path, x.value, conventions))

    answer: Signal = architecture.forward(run, Signal(graph, "images"))
    return answer.value


def write_part(part: Part, graph: Graph, conventions: Conventions = OURS) -> str:
    """Writes a part from the value `x`; returns the name of its output.

    A block with its shortcut; "" for `zero` without one.
    """
    x = Signal(graph, "x")
    y = Signal(graph, parts.to_onnx(part, graph, "part", x.value, conventions))
    return (x + y if getattr(part, "shortcut", False) else y).value


def identity(shape: Sequence[int]) -> onnx.ModelProto:
    """The graph of one Identity node `x` -> `y`; `shape` is without the batch axis."""
    return Graph().model("identity", ("x", shape), ("y", shape))


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

    def draw(path: tuple[Any, ...], leaf: Any) -> np.ndarray:
        name = path[-1].key
        if name == "kernel":
            drawn = rng.normal(0, np.prod(leaf.shape[:-1]) ** -0.5, leaf.shape)
        elif name in ("scale", "var"):
            drawn = rng.uniform(0.5, 1.5, leaf.shape)
        else:
            drawn = rng.normal(0, 0.1, leaf.shape)
        return drawn.astype(leaf.dtype)

    params, batch_stats = (
        jax.tree.map_with_path(draw, tree) for tree in parts.shapes(part)
    )
    return params, batch_stats
