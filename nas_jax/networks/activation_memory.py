"""Peak memory of the activations of one inference, of one image, without running it.

The model is a runtime that runs the nodes of the graph one after the other, in their
order, and reuses memory: a value takes its room from the node that makes it to the last
one that reads it. So the input of a block stays as long as its shortcut is pending.
What a node needs is that of ONNX Runtime on a CPU (`python -m benchmarks memory`):

- Batch normalisation is part of the convolution before it. Activations of one operator
  are, too, or write over what nothing reads afterwards; so do changes of shape
  (`IN_PLACE`).
- Every other node, additions among them, needs what it reads and what it makes at once.
- `silu` is one node. `hard_swish` is two, with its gate between them (`BROKEN_UP`).
- The images count until the stem has read them. Weights, what a kernel needs for itself
  while it computes, and gaps between values do not count.

Between two blocks of a chain only the output of the first is alive, so the peak of a
chain is the largest of its parts' own.
"""

import math

from nas_jax.networks.onnx import outline
from nas_jax.networks.onnx.outline import Outline
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.parts import Part

IN_PLACE = frozenset(
    {
        *("Clip", "Relu", "Sigmoid", "HardSigmoid", "Tanh"),
        *("Flatten", "Identity", "Reshape"),
    }
)
BROKEN_UP = {"HardSwish": 1}
"""Operators that are run as several, and how many values wait between those."""


def peak(drawn: Outline, *, with_ends: bool = True) -> int:
    """The largest count of numbers alive at once.

    Without its ends what enters and leaves the graph is left out, which a runtime may
    leave to its caller.
    """
    left_out = _gates(drawn)
    if not with_ends:
        left_out |= {drawn.source, drawn.result}
    size = {
        name: 0 if name in left_out else math.prod(shape)
        for name, shape in drawn.values.items()
    }
    last = {one: place for place, node in enumerate(drawn.nodes) for one in node.input}
    last[drawn.result] = len(drawn.nodes)
    alive = {drawn.source}
    most = size[drawn.source]
    for place, node in enumerate(drawn.nodes):
        (made,) = node.output
        done = {name for name in alive.intersection(node.input) if last[name] == place}
        if node.op_type in IN_PLACE:
            overwritten = next((one for one in done if size[one] == size[made]), made)
            alive.discard(overwritten)
        alive.add(made)
        between = BROKEN_UP.get(node.op_type, 0) * size[made]
        most = max(most, sum(size[name] for name in alive) + between)
        alive -= done
    return most


def _gates(drawn: Outline) -> set[str]:
    """What `silu` multiplies its input with: both nodes are one."""
    gates = {one.output[0]: one for one in drawn.nodes if one.op_type == "Sigmoid"}
    found = set()
    for name, gate in gates.items():
        readers = [one for one in drawn.nodes if name in one.input]
        ways = [(one.op_type, {*one.input}) for one in readers]
        if ways == [("Mul", {name, gate.input[0]})]:
            found.add(name)
    return found


def of_part(part: Part) -> int:
    """The peak within a part, a block with its shortcut, in numbers.

    >>> from nas_jax.spaces.parts import Stem
    >>> of_part(Stem(in_channels=3, out_channels=8, stride=2, input_size=4))
    80
    """
    return peak(outline.of_part(part))


def of_network(architecture: Architecture) -> int:
    """The peak of a network, in numbers."""
    if architecture.cells:  # what waits for the branches of a cell is in none of them
        return peak(outline.of_network(architecture))
    return max(map(of_part, architecture.parts))
