"""The devices at hand, held against what a configuration asks of them."""

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
    sizes = _batch_sizes(experiment)
    for name, size in sizes.items():
        if size % count:
            fitting = max(
                n for n in range(1, count) if math.gcd(*sizes.values()) % n == 0
            )
            raise ValueError(
                f"{name}: expected a multiple of {count}, the devices that share it, "
                f"got {size}; change it, or give --devices.data {fitting}"
            )
    if count == 1 and jax.process_count() == 1:
        return execution.PLAIN
    return execution.on(there[:count])


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
