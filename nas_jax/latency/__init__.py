"""Latency tables: read, written, checked, measured.

import nas_jax as nas

table = nas.latency.load("digits_cpu_onnxruntime")
table = nas.latency.measure(space)  # on this machine
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas_jax.latency.tables import LatencyTable
    from nas_jax.spaces.space import SearchSpace


def load(name: str | os.PathLike[str]) -> "LatencyTable":
    """A latency table, by the path of its file or the name of a shipped one.

    Raises `ValueError` if there is no such table, or naming what is wrong in it.
    """
    # imported here as in `measure`, so that the package itself costs nothing
    from nas_jax.latency import tables

    return tables.load(name)


def measure(
    space: "SearchSpace",
    runtime: str = "onnxruntime",
    *,
    progress: Any = None,
    **settings: Any,
) -> "LatencyTable":
    """The latency table of a space on this machine, every part timed alone.

    Args:
      space: whose candidates and fixed parts are timed.
      runtime: "onnxruntime", "onnxruntime-int8" in 8-bit integers, or "xla" for the
        device that JAX computes on.
      progress: wraps the rounds as tqdm does: progress(rounds, total=..., desc=...).
      settings: fields of `LatencyConfig`, as batch=1, threads=4, repeats=40.

    Raises:
      ValueError: for a runtime that is not there, a setting that does not fit, or a
        part whose time is not above its overhead.
    """
    from nas_jax.config.experiment import LatencyConfig
    from nas_jax.latency.measurement import operations
    from nas_jax.latency.runtimes import open_device

    device = open_device(runtime, LatencyConfig(**settings), None)
    return operations.measure_table(device, space, progress=progress)
