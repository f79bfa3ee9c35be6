"""A network as StableHLO: the very program that JAX runs, with its weights, in a file.

Written by `jax.export` for CPU, CUDA and TPU at once, any batch size; read by JAX
without this package (`jax.export.deserialize(content).call(images)`), images
`[batch H W C]`. The computation is that of `checkpoint.Model`, batch normalisation not
folded, so the logits are the same up to the last bits.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nas_jax.base import Images, Logits
from nas_jax.config import provenance
from nas_jax.config.checks import is_exhausted, reason
from nas_jax.export.runner import Runner
from nas_jax.latency.measurement.timing import Call
from nas_jax.networks import network
from nas_jax.networks.checkpoint import Model

PLATFORMS = ("cpu", "cuda", "tpu")
PIECE = 8
"""Images in one call. By their number XLA chooses what it computes together, and so how
it rounds: of 8 the imported checkpoint's logits were JAX's own on a CPU, of 32 up to
5e-6 apart."""


def encode(model: Model) -> bytes:
    """The file's content.

    Raises `ValueError` for an operation that cannot be written for any batch size.
    """
    (batch,) = jax.export.symbolic_shape("batch")
    shape = (batch, *model.architecture.input_shape)

    def logits(images: Images) -> Logits:
        weights = jax.tree.map(jnp.asarray, (model.params, model.batch_stats))
        # behind the barrier they are no constants, which would be folded into each
        # other and round differently from weights that are arguments
        params, batch_stats = lax.optimization_barrier(weights)
        return network.apply(
            model.architecture, params, batch_stats, images, train=False
        )[0]

    try:
        with _no_places():
            exported = jax.export.export(jax.jit(logits), platforms=PLATFORMS)(
                jax.ShapeDtypeStruct(shape, jnp.float32)
            )
    except (jax.errors.InconclusiveDimensionOperation, TypeError, ValueError) as error:
        raise ValueError(
            f"stablehlo: network {model.architecture.name!r} cannot be written for any "
            f"batch size ({str(error).splitlines()[0]}); an operation of your own "
            "must not ask for the number of images"
        ) from error
    return bytes(exported.serialize())


@contextlib.contextmanager
def _no_places() -> Iterator[None]:
    """Programs name the line of source that made an operation; the file does not.

    They would show the folders of the machine that exported it.
    """
    name = "jax_traceback_in_locations_limit"
    before = jax.config.values[name]
    jax.config.update(name, 0)
    try:
        yield
    finally:
        jax.config.update(name, before)


def decode(content: bytes, origin: str) -> Runner:
    """The model on JAX's own device.

    Raises `ValueError` naming `origin` if it is none, when it is read or first run.
    """
    try:
        exported = jax.export.deserialize(bytearray(content))
        (images,) = exported.in_avals
    except Exception as error:  # the flatbuffer's reader raises many kinds
        raise ValueError(
            f"{origin}: expected StableHLO as jax.export writes it, got another file "
            f"({type(error).__name__})"
        ) from error
    if jax.default_backend() not in _backends(exported.platforms):
        raise ValueError(
            f"{origin}: expected a program for {jax.default_backend()}, got one for "
            f"{', '.join(exported.platforms)}; export the network again"
        )
    compiled = jax.jit(exported.call)

    def run(images: np.ndarray) -> np.ndarray:
        try:
            pieces = [
                np.asarray(compiled(images[start : start + PIECE]))
                for start in range(0, len(images), PIECE)
            ]
        except Exception as error:  # only now is the program itself looked at
            if is_exhausted(error):
                raise
            raise ValueError(
                f"{origin}: expected a program that XLA compiles for images of "
                f"{images.shape[1:]}, got {reason(error)}"
            ) from error
        return np.concatenate(pieces)

    def call(batch: int) -> Call:
        rng = np.random.default_rng(0)
        x = jnp.asarray(rng.random((batch, *images.shape[1:]), dtype=np.float32))
        return lambda: jax.block_until_ready(compiled(x))

    return Runner(f"xla {jax.__version__}", provenance.cores(), run, call)


def _backends(platforms: Any) -> set[str]:
    return {"gpu" if name in ("cuda", "rocm") else name for name in platforms}
