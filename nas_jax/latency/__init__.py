"""Latency tables: read, written, checked, measured.

import nas_jax as nas

table = nas.latency.load("digits_cpu_onnxruntime")
table = nas.latency.measure(space)  # on this machine
table, record = nas.latency.validate(table, space)  # against whole networks
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

__all__ = ["load", "measure", "plot", "save", "validate"]

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nas_jax.latency.tables import LatencyTable
    from nas_jax.spaces.space import SearchSpace


def load(name: str | os.PathLike[str]) -> "LatencyTable":
    """A latency table, by the path of its file or the name of a shipped one.

    Raises `ValueError` if there is no such table, or naming what is wrong in it.
    """
    # imported here as in `measure`, so that the package itself costs nothing
    from nas_jax.latency import tables

    return tables.load(name)


def save(table: "LatencyTable", path: str | os.PathLike[str]) -> None:
    """Writes a table as JSON, for `load` and `--latency.table`."""
    from nas_jax.latency import tables

    tables.save(table, Path(path))


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


def validate(
    table: "LatencyTable",
    space: "SearchSpace",
    networks: int = 20,
    runtime: str = "onnxruntime",
    *,
    seed: int = 0,
    progress: Any = None,
    **settings: Any,
) -> tuple["LatencyTable", dict[str, Any]]:
    """How near the sums of a table are to whole networks, timed on this machine.

    Args:
      table: of `measure`, with the same runtime and settings.
      space: whose networks are drawn, spread from the fastest to the slowest.
      networks: how many, 10 or more.
      runtime, progress, settings: as of `measure`.
      seed: of the draw.

    Returns:
      the table with its validation, which a search states, and the record of every
      network: `nas_jax.latency.plot` draws it.

    Raises:
      ValueError: as `measure`; for too few networks, or settings that are not those of
        the table.
    """
    from nas_jax.config.experiment import LatencyConfig
    from nas_jax.latency.measurement import whole_networks
    from nas_jax.latency.runtimes import open_device

    least = whole_networks.LEAST
    if networks < least:
        raise ValueError(f"networks: expected {least} or more, got {networks}")
    device = open_device(runtime, LatencyConfig(**settings), None)
    asked = {
        "runtime": device.runtime,
        "batch": device.config.batch,
        "threads": device.config.threads,
    }
    own = {name: table.provenance.get(name) for name in asked}
    if asked != own:
        raise ValueError(f"settings: expected the table's {own}, got {asked}")
    return whole_networks.hold(
        table, space, device, networks, seed=seed, progress=progress
    )


def plot(record: dict[str, Any]) -> "Figure":
    """Predicted against measured latency, of the record that `validate` returns."""
    import matplotlib.pyplot as plt

    from nas_jax.latency.measurement import whole_networks

    plt.switch_backend(plt.get_backend())  # once loaded, a notebook shows figures
    return whole_networks.plot(record)
