"""Computations that XLA:CPU compiles apart from what surrounds them."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jax.sharding import PartitionSpec

from nas_jax.base import DATA_AXIS
from nas_jax.networks import backends


def apart(fn: Callable[..., Any], static_argnums: tuple[int, ...] = ()) -> Any:
    """`fn`, jitted, and on CPU called as a function of its own in the compiled program.

    XLA:CPU merges what is computed elementwise into each of its consumers, however
    long it is: all 49 products of a 7x7 depthwise convolution were made four times over
    where four operations read their sum. The results of a function called apart are
    stored once, and equal calls share their machine code. An optimisation barrier does
    not do that: it is gone before the merging starts.
    """
    jitted = jax.jit(fn, static_argnums=static_argnums)

    @functools.wraps(fn)
    def call(*arguments: Any) -> Any:
        if not backends.here().called_apart:
            return jitted(*arguments)
        with set_xla_metadata(inlineable="false"):
            return jitted(*arguments)

    return call


def summed_over_devices(fn: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """`fn` of arrays `[B ...]`, a sum over images, on each device's own images first.

    For an `fn` that cuts along the images itself: left to the compiler, every piece
    would be sent to all devices.
    """

    def call(*arrays: jax.Array) -> jax.Array:
        mesh = jax.sharding.get_abstract_mesh()
        if mesh.empty or DATA_AXIS in mesh.manual_axes:
            return fn(*arrays)
        return jax.shard_map(
            lambda *own: lax.psum(fn(*own), DATA_AXIS),
            in_specs=PartitionSpec(DATA_AXIS),
            out_specs=PartitionSpec(),
        )(*arrays)

    return call
