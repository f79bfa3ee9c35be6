"""A candidate of the supernet as it is, for autodiff alone."""

import jax
import jax.numpy as jnp

from nas_jax.networks import parts
from nas_jax.supernet import packing


def output(layer, op, row, x):
    """What candidate `op` of `layer`, with its numbers in `row`, makes of `x`."""
    block, packed = layer.block(op), packing.packing(layer, op)
    shapes, stats = parts.shapes(block)
    params = packing.unpack(packed, row, shapes, batch_stats=False)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), stats)
    return parts.apply(block, params, zeros, x, True)[0]
