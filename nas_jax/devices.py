"""The devices at hand, held against what a configuration asks of them."""

import dataclasses
import math

import jax

from nas_jax import execution
from nas_jax.config import Experiment
from nas_jax.data_config import WATCHED
from nas_jax.execution import Execution


def execution_of(experiment: Experiment) -> Execution:
    """How the steps of an experiment run; `execution.PLAIN` by default on one device.

    Raises:
      ValueError: if there are too few devices, or if they cannot share a batch evenly.
    """
    config, there = experiment.devices, jax.devices()
    count = len(there) if config.data is None else config.data
    if count > len(there):
        raise ValueError(
            f"devices.data: expected at most {len(there)}, the devices that JAX sees, "
            f"got {count}; XLA_FLAGS=--xla_force_host_platform_device_count={count} "
            "simulates as many on a CPU"
        )
    if jax.process_count() > 1 and count < len(there):
        raise ValueError(
            f"devices.data: expected None or {len(there)}, all devices of all "
            f"{jax.process_count()} processes, got {count}; leave processes out instead"
        )
    _require_even(_batch_sizes(experiment), count)
    if config.paths_per_step not in (1, count):
        raise ValueError(
            f"devices.paths_per_step: expected 1, or {count} for a sample on each "
            f"of {count} devices, got {config.paths_per_step}"
        )
    is_alone = count == 1 and jax.process_count() == 1
    return dataclasses.replace(
        execution.PLAIN if is_alone else execution.on(there[:count]),
        accumulate=config.accumulate,
        compute_dtype=config.compute_dtype,
        paths_per_step=config.paths_per_step,
    )


def _require_even(sizes: dict[str, int], count: int) -> None:
    common = math.gcd(*sizes.values())
    for name, size in sizes.items():
        if size % count:
            fitting = max(n for n in range(1, count) if common % n == 0)
            raise ValueError(
                f"{name}: expected a multiple of {count}, the devices that share it, "
                f"got {size}; change it, or give --devices.data {fitting}"
            )


def _batch_sizes(experiment: Experiment) -> dict[str, int]:
    """Images that the devices must share evenly, by field."""
    parts = experiment.devices.accumulate
    trained = {
        "search.batch": experiment.search.batch,
        "search.arch_batch": experiment.search.arch_batch,
        "train.batch": experiment.train.batch,
    }
    for name, size in trained.items():
        if size % parts:
            raise ValueError(
                f"{name}: expected a multiple of devices.accumulate = {parts}, got "
                f"{size}; change one of them"
            )
    sizes = {name: size // parts for name, size in trained.items()}
    if parts > 1:
        sizes = {f"{name} / devices.accumulate": n for name, n in sizes.items()}
    if jax.process_count() > 1:  # otherwise every device may take the whole of it
        sizes["data.valid"] = min(experiment.data.valid, WATCHED)
    return sizes
