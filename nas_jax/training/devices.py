"""Devices of a step, with the parts of its batch and the type of its activations.

One mesh of devices with one axis, `data`. Parameters, statistics, optimiser states and
alphas lie whole on every device; a batch is cut along its images, an equal part each.
The step is the same program for any number of devices: the compiler splits it, and
loss, gradients and the means and variances of batch normalisation are those of the
whole batch (the reference, in PyTorch's DataParallel, normalises each device's part).
Random numbers are drawn for the whole batch as well (JAX's partitionable threefry): an
image is augmented alike wherever it lies.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from nas_jax.base import DATA_AXIS, Images, PyTree
from nas_jax.config.experiment import Experiment
from nas_jax.data.batches import WHOLE, Batch, Shard


@dataclass(frozen=True)
class Devices:
    """The devices of a step; without a mesh JAX's default device alone.

    Of several processes each gives the part of a batch for its own devices. The other
    fields are those of `DevicesConfig`.
    """

    mesh: Mesh | None = None
    accumulate: int = 1
    compute_dtype: str = "float32"
    paths_per_step: int = 1

    @property
    def count(self) -> int:
        return 1 if self.mesh is None else self.mesh.size

    @property
    def writes(self) -> bool:
        """Whether this is the process that writes the run folder."""
        return self.mesh is None or jax.process_index() == 0

    @property
    def shard(self) -> Shard:
        """The part of a batch that this process reads."""
        if self.mesh is None:
            return WHOLE
        return Shard(jax.process_index(), jax.process_count())

    def jit(self, step: Callable[..., Any], donate_argnums: Any = ()) -> Any:
        """The jitted step; what it returns lies whole on every device."""
        if self.mesh is None:
            return jax.jit(step, donate_argnums=donate_argnums)
        abstract = self.mesh.abstract_mesh

        @functools.wraps(step)
        def on_mesh(*arguments: Any) -> Any:
            with jax.sharding.use_abstract_mesh(abstract):
                return step(*arguments)

        return jax.jit(
            on_mesh, donate_argnums=donate_argnums, out_shardings=self._whole()
        )

    def whole(self, tree: PyTree) -> PyTree:
        """The arrays of a tree, equal in all processes, whole on every device."""
        if self.mesh is None:
            return tree
        return jax.tree.map(lambda leaf: _placed(self._whole(), leaf), tree)

    def local(self, tree: PyTree) -> PyTree:
        """A tree placed by `whole`, for computations of this process alone."""
        if self.mesh is None:
            return tree
        return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)

    def shared(self, part: Batch) -> Batch:
        """The batch of which this is the part of `shard`, cut among the devices.

        A single process may give any number of images: a batch that its devices
        cannot share evenly lies whole on each of them, at the same result.
        """
        if self.mesh is None:
            return part
        is_even = len(part.labels) % len(self.mesh.local_devices) == 0
        if self.shard.processes > 1 and not is_even:
            raise ValueError(
                f"expected a part of a batch that the {len(self.mesh.local_devices)} "
                f"devices of a process share evenly, got {len(part.labels)} images"
            )
        cut = NamedSharding(self.mesh, PartitionSpec(DATA_AXIS))
        where = cut if is_even else self._whole()
        return Batch(*(_placed(where, array) for array in part))

    def cast(self, images: Images) -> Images:
        """Images in `compute_dtype`, which activations follow."""
        is_default = self.compute_dtype == "float32"
        return images if is_default else jnp.asarray(images, self.compute_dtype)

    def accumulated(
        self, fn: Callable[[Any, Any], tuple[Any, PyTree]], carry: Any, batch: PyTree
    ) -> tuple[Any, PyTree]:
        """`fn(carry, part) -> (carry, values)` over the parts; the values' mean.

        A batch is a `Batch`, or any tree of arrays that have a row for every image.

        Part i takes the images i, i + n, i + 2n, ... of n parts, so that every device
        has an equal share of each, and what a part holds depends on no device.
        """
        count = self.accumulate
        if count == 1:
            return fn(carry, batch)

        def body(so_far: Any, part: PyTree) -> tuple[Any, None]:
            carry, total = so_far
            carry, values = fn(carry, part)
            return (carry, jax.tree.map(jnp.add, total, values)), None

        def strided(array: Any) -> jax.Array:
            return jnp.swapaxes(array.reshape(-1, count, *array.shape[1:]), 0, 1)

        parts = jax.tree.map(strided, batch)
        first = jax.tree.map(lambda array: array[0], parts)
        shapes = jax.eval_shape(fn, carry, first)[1]
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        (carry, total), _ = lax.scan(body, (carry, zeros), parts)
        return carry, jax.tree.map(lambda leaf: leaf / count, total)

    def _whole(self) -> NamedSharding:
        assert self.mesh is not None
        return NamedSharding(self.mesh, PartitionSpec())


PLAIN = Devices()
"""On JAX's default device."""


def on(devices: Sequence[jax.Device]) -> Devices:
    """`PLAIN` on a mesh of these devices."""
    # not jax.make_mesh, which orders by the wiring of a TPU slice: the part of a
    # batch that a process reads is one block
    ordered = sorted(devices, key=lambda device: (device.process_index, device.id))
    return Devices(Mesh(np.array(ordered), (DATA_AXIS,), axis_types=(AxisType.Auto,)))


def of(experiment: Experiment) -> Devices:
    """The devices that an experiment asks for; `PLAIN` by default on one device.

    Raises:
      ValueError: if there are too few devices, or if they cannot share a batch evenly.
    """
    config, available = experiment.devices, jax.devices()
    count = len(available) if config.data is None else config.data
    if count > len(available):
        raise ValueError(
            f"devices.data: expected at most {len(available)}, the devices that JAX "
            f"sees, got {count}; "
            f"XLA_FLAGS=--xla_force_host_platform_device_count={count} "
            "simulates as many on a CPU"
        )
    if jax.process_count() > 1 and count < len(available):
        raise ValueError(
            f"devices.data: expected None or {len(available)}, all devices of all "
            f"{jax.process_count()} processes, got {count}; leave processes out instead"
        )
    require_even(_batch_sizes(experiment), count)
    if config.paths_per_step not in (1, count):
        raise ValueError(
            f"devices.paths_per_step: expected 1, or {count} for a sample on each "
            f"of {count} devices, got {config.paths_per_step}"
        )
    is_alone = count == 1 and jax.process_count() == 1
    return replace(
        PLAIN if is_alone else on(available[:count]),
        accumulate=config.accumulate,
        compute_dtype=config.compute_dtype,
        paths_per_step=config.paths_per_step,
    )


def require_even(sizes: dict[str, int], count: int) -> None:
    """Raises `ValueError` for a size that so many devices cannot share evenly."""
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
    return sizes


def _placed(where: NamedSharding, leaf: Any) -> jax.Array:
    if jax.dtypes.issubdtype(getattr(leaf, "dtype", None), jax.dtypes.prng_key):
        data = _placed(where, jax.random.key_data(leaf))
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    # through jnp, for its choice of the type of a number
    return jax.make_array_from_process_local_data(where, np.asarray(jnp.asarray(leaf)))
