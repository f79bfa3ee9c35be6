"""Multiply-adds and parameters, exactly, without building anything.

MACs count the weights of convolutions and of the linear layer once per output position
(no bias, BN, activation, pooling); parameters count all trainable numbers, BN scale and
bias included. Both conventions are the paper's reference code's, so published counts
come out exactly.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from nas_jax.networks import parts
from nas_jax.spaces import topology
from nas_jax.spaces.architecture import Architecture, from_ops
from nas_jax.spaces.operations import Block
from nas_jax.spaces.parts import Classifier, Head, NormConv, Part, Stem
from nas_jax.spaces.space import SearchSpace


def macs(part: Part) -> int:
    """Multiply-adds of one image through `part`.

    >>> macs(Stem(in_channels=3, out_channels=32, stride=2, input_size=224))
    10838016
    """
    return part.macs


def params(part: Part) -> int:
    """Trainable numbers of `part`; a batch normalisation has two per channel."""
    if not isinstance(part, Block):
        return part.params
    if count := part.op.operation.params:
        return count(part)
    return sum(leaf.size for leaf in jax.tree.leaves(parts.shapes(part)[0]))


def _op_name(part: Part) -> str:
    match part:
        case Block():
            return part.op.name
        case Stem() | NormConv():
            return f"conv_k{part.kernel}"
        case Head():
            return "conv_k1"
        case Classifier():
            return "linear" if part.hidden is None else "hidden linear"
    return type(part).__name__.lower()


def describe(architecture: Architecture) -> dict[str, Any]:
    """Layers, MACs and parameters of a network, ready for JSON."""
    block_name = topology.edge_name if architecture.cells else "block_{}".format
    layers = [
        {
            "name": slot if isinstance(slot, str) else block_name(slot),
            "op": _op_name(part),
            "in": part.in_channels,
            "out": part.classes if isinstance(part, Classifier) else part.out_channels,
            "stride": getattr(part, "stride", 1),
            "input": part.input_size,
            "macs": macs(part),
            "params": params(part),
        }
        for slot, part in architecture.slots.items()
    ]
    return {
        "name": architecture.name,
        "input_size": architecture.stem.input_size,
        "classes": architecture.classifier.classes,
        "layers": layers,
        "macs": sum(row["macs"] for row in layers),
        "params": sum(row["params"] for row in layers),
    }


def costs(space: SearchSpace, count: Callable[[Part], int]) -> tuple[np.ndarray, float]:
    """`count` of every candidate, Float `[L K]`, and of the fixed parts together.

    0 where the mask is False. With `macs` or the like this takes the place of a latency
    table: `latency.CostModel(*costs(space, macs))`, in units, not milliseconds.
    """
    table = np.zeros(space.mask.shape)
    for row, layer in enumerate(space.layers):
        for column, op in enumerate(space.candidates):
            if op in layer.candidates:
                table[row, column] = count(layer.block(op))
    return table, float(sum(map(count, space.fixed_parts)))


def extreme(space: SearchSpace) -> tuple[Architecture, Architecture]:
    """The networks of a space with the fewest and with the most MACs."""
    table, _ = costs(space, macs)
    available = np.where(space.mask, table, np.nan)
    least, most = np.nanargmin(available, axis=1), np.nanargmax(available, axis=1)
    return (
        from_ops(space, [space.candidates[k] for k in least], space.name),
        from_ops(space, [space.candidates[k] for k in most], space.name),
    )


def describe_space(space: SearchSpace) -> dict[str, Any]:
    """Size of a space: layers, candidates, networks, weights, range of MACs.

    `macs_uniform` is the expectation when every candidate is equally likely. The
    layers listed are those of the largest network.
    """
    table, fixed = costs(space, macs)
    available = np.where(space.mask, table, np.nan)
    weights, fixed_weights = costs(space, params)
    smallest, largest = extreme(space)
    return {
        **(description := describe(largest)),
        "searchable_layers": len(space.layers),
        "candidates_per_layer": [len(layer.candidates) for layer in space.layers],
        "architectures": space.architectures,
        "supernet_weights": int(weights.sum() + fixed_weights),
        "macs_min": describe(smallest)["macs"],
        "macs_uniform": float(fixed + np.nanmean(available, axis=1).sum()),
        "macs_max": description["macs"],
    }
