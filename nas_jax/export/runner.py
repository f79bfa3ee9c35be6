"""An exported model ready to run, whatever its format."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from numpy import ndarray

from nas_jax.latency.measurement.timing import Call


@dataclass(frozen=True)
class Runner:
    """A model in memory.

    `run` takes normalised images; `call(batch)` is one inference, to be timed. Where
    `batch` is not None the file holds that batch only, and `call` gets no other.
    """

    runtime: str
    threads: int
    run: Callable[[Float[ndarray, "N H W C"]], Float[ndarray, "N classes"]]
    call: Callable[[int], Call]
    batch: int | None = None
