"""Latency in XLA, on the device that JAX computes on: GPU, TPU, or this CPU.

A call returns before the device is done, so timing calls times launches. Here a program
computes `INNER` inferences in a row on the device and is waited for: the launch comes
once and is shared. An optimisation barrier ties every inference to the result before
it, so that the compiler neither merges nor moves them out of the loop.

XLA:CPU computes depthwise convolutions slowly and uses all cores: a table of it says
little about a CPU with another runtime.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.base import PyTree
from nas_jax.config import provenance
from nas_jax.config.experiment import LatencyConfig
from nas_jax.latency.measurement.timing import CALL, Call, Device
from nas_jax.networks import network, parts
from nas_jax.networks.onnx import graphs
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.parts import Part

INNER = 16
Compute = Callable[[Any, PyTree], PyTree]


def repeated(compute: Compute, x: PyTree, weights: PyTree) -> Call:
    """A call that runs `compute(x, weights)` `INNER` times and waits for the last.

    What depends on the weights alone may be computed once.
    """

    @jax.jit
    def program(x: PyTree, weights: PyTree) -> PyTree:
        def body(_: int, y: PyTree) -> PyTree:
            # x is unchanged, but the compiler may not know
            tied, _ = jax.lax.optimization_barrier((x, y))
            return compute(tied, weights)

        shapes = jax.eval_shape(compute, x, weights)
        start = jax.tree.map(lambda one: jnp.zeros(one.shape, one.dtype), shapes)
        return jax.lax.fori_loop(0, INNER, body, start)

    ready = program.lower(x, weights).compile()
    return lambda: jax.block_until_ready(ready(x, weights))


def device(config: LatencyConfig) -> Device:
    """XLA on JAX's first device.

    Raises `ValueError` on a CPU unless `threads` is the number of cores that it uses.
    """
    first = jax.devices()[0]
    cores = provenance.cores()
    if first.platform == "cpu" and config.threads != cores:
        raise ValueError(
            f"latency.threads: expected {cores}, as XLA uses all cores of a CPU, got "
            f"{config.threads}"
        )
    rng = np.random.default_rng(0)
    draw = functools.cache(lambda part: graphs.random_weights(part, rng))

    def images(side: int, channels: int) -> jax.Array:
        shape = (config.batch, side, side, channels)
        return jnp.asarray(rng.random(shape, dtype=np.float32))

    def single(trees: PyTree) -> PyTree:
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), trees)

    def of_part(part: Part) -> Call:
        def compute(x: jax.Array, weights: PyTree) -> jax.Array:
            y = parts.apply(part, weights[0], weights[1], x, False)[0]
            return x + y if getattr(part, "shortcut", False) else y

        x = images(part.input_size, part.in_channels)
        return repeated(compute, x, single(draw(part)))

    def of_network(architecture: Architecture) -> Call:
        def compute(x: jax.Array, weights: PyTree) -> jax.Array:
            params, batch_stats = weights
            return network.apply(architecture, params, batch_stats, x, train=False)[0]

        pairs = [draw(part) for part in architecture.parts]
        trees = single(network.assemble_parts(architecture, pairs))
        x = images(architecture.stem.input_size, architecture.stem.in_channels)
        return repeated(compute, x, trees)

    return Device(
        name=provenance.device() if first.platform == "cpu" else first.device_kind,
        runtime="xla",
        version=jax.__version__,
        config=config,
        part=of_part,
        network=of_network,
        copy=lambda shape: repeated(lambda x, _: x + 1, jnp.zeros(CALL), None),
        copies=False,
        per_call=INNER,
        buildings=1,  # each is compiled, and all are the same program
        clock=f"time.perf_counter about {INNER} inferences in one program, waited for",
    )
