"""The devices at hand, held against what a configuration asks of them."""

import math

import jax

from nas_jax import execution
from nas_jax.config import Experiment
from nas_jax.data_config import WATCHED
from nas_jax.execution import Execution


def execution_of(experiment: Experiment) -> Execution:
    """Where the steps of an experiment run; `execution.PLAIN` on a single device.

    Raises:
      ValueError: if there are too few devices, or if they cannot share a batch evenly.
    """
    asked, there = experiment.devices.data, jax.devices()
    count = len(there) if asked is None else asked
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
    """Images of the batches that must be shared evenly, by field."""
    sizes = {
        "search.batch": experiment.search.batch,
        "search.arch_batch": experiment.search.arch_batch,
        "train.batch": experiment.train.batch,
    }
    if jax.process_count() > 1:  # otherwise every device may take the whole of it
        sizes["data.valid"] = min(experiment.data.valid, WATCHED)
    return sizes
