"""How a step is computed: on which devices, in how many parts, in which numbers.

One mesh of devices with one axis, `data`. Parameters, statistics, optimiser states and
alphas lie whole on every device; a batch is cut along its images, an equal part each.
The step is the same program text for any number of devices: the compiler splits it
and puts the sums over images together, so the loss, the gradients and the means and
variances of batch normalisation are those of the whole batch (the reference, in
PyTorch's DataParallel, normalises by those of each device's part). Random numbers are
drawn for the whole batch as well (JAX's partitionable threefry): an image is augmented
alike wherever it lies.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from nas_jax.base import Images, PyTree
from nas_jax.batches import WHOLE, Batch, Shard

AXIS = "data"


@dataclass(frozen=True)
class Execution:
    """The devices of a step; without a mesh JAX's default device, and nothing else.

    Of several processes each gives the part of a batch that its own devices take. The
    other fields are those of `DevicesConfig`.
    """

    mesh: Mesh | None = None
    accumulate: int = 1
    compute_dtype: str = "float32"
    paths_per_step: int = 1

    @property
    def devices(self) -> int:
        return 1 if self.mesh is None else self.mesh.size

    @property
    def writes(self) -> bool:
        """Whether this process is the one of all that writes the run folder."""
        return self.mesh is None or jax.process_index() == 0

    @property
    def shard(self) -> Shard:
        """What this process reads of a batch."""
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
        """What `whole` placed, for computations of this process alone."""
        return tree if self.mesh is None else jax.tree.map(_first_copy, tree)

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
        cut = NamedSharding(self.mesh, PartitionSpec(AXIS))
        where = cut if is_even else self._whole()
        return Batch(*(_placed(where, array) for array in part))

    def cast(self, images: Images) -> Images:
        """Images in the numbers of the activations, which follow them."""
        is_default = self.compute_dtype == "float32"
        return images if is_default else jnp.asarray(images, self.compute_dtype)

    def accumulated(
        self, fn: Callable[[Any, Batch], tuple[Any, PyTree]], carry: Any, batch: Batch
    ) -> tuple[Any, PyTree]:
        """`fn(carry, part) -> (carry, values)` over the parts; the values' mean.

        Part i takes the images i, i + n, i + 2n, ... of n parts, so that every device
        has an equal share of each, and what a part holds depends on no device.
        """
        count = self.accumulate
        if count == 1:
            return fn(carry, batch)

        def body(so_far: Any, part: Batch) -> tuple[Any, None]:
            carry, total = so_far
            carry, values = fn(carry, part)
            return (carry, jax.tree.map(jnp.add, total, values)), None

        def strided(array: Any) -> jax.Array:
            return jnp.swapaxes(array.reshape(-1, count, *array.shape[1:]), 0, 1)

        parts = Batch(*map(strided, batch))
        first = Batch(*(array[0] for array in parts))
        shapes = jax.eval_shape(fn, carry, first)[1]
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        (carry, total), _ = lax.scan(body, (carry, zeros), parts)
        return carry, jax.tree.map(lambda leaf: leaf / count, total)

    def _whole(self) -> NamedSharding:
        assert self.mesh is not None
        return NamedSharding(self.mesh, PartitionSpec())


PLAIN = Execution()
"""On JAX's default device."""


def on(devices: Sequence[jax.Device]) -> Execution:
    """`PLAIN` on a mesh of these devices."""
    # not jax.make_mesh, which orders by the wiring of a TPU slice: the part of a
    # batch that a process reads is one block
    ordered = sorted(devices, key=lambda device: (device.process_index, device.id))
    return Execution(Mesh(np.array(ordered), (AXIS,), axis_types=(AxisType.Auto,)))


def summed_over_devices(fn: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """`fn` of arrays `[B ...]`, linear in the images, each device with its own.

    For what is cut along the images inside: cut by the compiler, every such piece
    would be sent to all devices.
    """

    def call(*arrays: jax.Array) -> jax.Array:
        mesh = jax.sharding.get_abstract_mesh()
        if mesh.empty or AXIS in mesh.manual_axes:
            return fn(*arrays)
        own = functools.partial(_summed, fn)
        return jax.shard_map(
            own, in_specs=PartitionSpec(AXIS), out_specs=PartitionSpec()
        )(*arrays)

    return call


def _summed(fn: Callable[..., jax.Array], *arrays: jax.Array) -> jax.Array:
    return lax.psum(fn(*arrays), AXIS)


def _placed(where: NamedSharding, leaf: Any) -> jax.Array:
    if jax.dtypes.issubdtype(getattr(leaf, "dtype", None), jax.dtypes.prng_key):
        data = _placed(where, jax.random.key_data(leaf))
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    # through jnp, for its choice of the type of a number
    return jax.make_array_from_process_local_data(where, np.asarray(jnp.asarray(leaf)))


def _first_copy(leaf: Any) -> jax.Array:
    return leaf.addressable_data(0)
