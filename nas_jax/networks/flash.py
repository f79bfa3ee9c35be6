"""Bytes of a network's weights as they lie on a device, in float32 or in 8 bits.

Counted are the arrays that the ONNX graph of a part holds: kernels of convolutions,
with batch normalisation folded into them, their biases, the linear layer, and the four
arrays of a batch normalisation that nothing can be folded into, as in `sep_k3`. In
float32 every number takes 4 bytes. In 8 bits a number of a kernel takes 1, that of an
array with one axis (biases) 4, as 32-bit integers, and every output channel of a kernel
4 more, for its scale. The code of a runtime, the description of the graph and the
bounds of activations are not counted.
"""

import math

from nas_jax.networks.onnx import outline
from nas_jax.spaces.parts import Part


def float32_bytes(part: Part) -> int:
    """Bytes of the weights of a part in float32.

    >>> from nas_jax.spaces.parts import Classifier
    >>> float32_bytes(Classifier(in_channels=8, classes=10, input_size=4))
    360
    """
    weights = outline.of_part(part).weights
    return 4 * sum(math.prod(shape) for shape in weights.values() if shape)


def int8_bytes(part: Part) -> int:
    """Bytes of the weights of a part in 8 bits.

    >>> from nas_jax.spaces.parts import Classifier
    >>> int8_bytes(Classifier(in_channels=8, classes=10, input_size=4))
    160
    """
    drawn = outline.of_part(part)
    # the axis of the channels is 1 in what a convolution and a linear layer make
    channels = {
        name: drawn.values[node.output[0]][1]
        for node in drawn.nodes
        for name in node.input
        if len(drawn.weights.get(name, ())) > 1
    }
    return sum(
        math.prod(shape) + 4 * channels[name]
        if name in channels
        else 4 * math.prod(shape)
        for name, shape in drawn.weights.items()
        if shape
    )
