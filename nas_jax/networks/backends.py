"""Forms of a computation that are right on one backend and wrong on another.

The numbers are the same; what the backend's compiler makes of them is not. A step is
traced for the backend that JAX computes on; what is exported has a form of its own
(`depthwise.portable`).
"""

from typing import NamedTuple

import jax
from jax import lax


class Forms(NamedTuple):
    """How computations are written for a backend."""

    depthwise_as_products: bool
    """A depthwise convolution as a sum of k*k shifted products. XLA:CPU's grouped
    convolution is 20 to 40 times slower than it should be."""
    sums_stored: bool
    """What is summed over a batch is stored before. XLA:CPU runs a plain reduction
    vectorised, and scalar where it is fused with what made its operand. XLA:GPU fuses
    well, and would write and read every activation once more: a plain step of
    imagenet_mobile, compiled for an H100, moves 0.71 of the bytes without (by its
    program; not run)."""
    called_apart: bool
    """Functions that are called in the compiled program in place of being inlined
    (`fusion.apart`). XLA:CPU computes what is elementwise again for each reader."""


CPU = Forms(depthwise_as_products=True, sums_stored=True, called_apart=True)
OTHER = Forms(depthwise_as_products=False, sums_stored=False, called_apart=False)
"""GPU, TPU, and what else there is: the compiler's own way."""


def here() -> Forms:
    """The forms of the backend that JAX computes on."""
    return CPU if jax.default_backend() == "cpu" else OTHER


def stored(x: jax.Array) -> jax.Array:
    """x, stored before it is summed where that pays."""
    return lax.optimization_barrier(x) if here().sums_stored else x
