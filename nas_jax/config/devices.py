"""How the steps are computed, as a frozen dataclass. No JAX."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from nas_jax.config.from_json import require_types


@dataclass(frozen=True)
class DevicesConfig:
    """Devices of the search and of the trainings; docs/devices.md."""

    data: Annotated[int, Ge(1)] | None = None
    """How many devices share every batch; None for all that JAX sees."""
    accumulate: Annotated[int, Ge(1)] = 1
    """Parts into which each batch is cut, one computed after the other in the memory
    of one; their gradients are averaged before the one update. Batch normalisation
    sees a part at a time, and its running values move with each."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the activations and of what multiplies them. Parameters, batch statistics,
    logits, losses and optimisers are float32 in any case."""
    paths_per_step: Annotated[int, Ge(1)] = 1
    """How many samples an architecture step averages over: 1, or one for each device,
    which computes it on its own part of the batch."""

    def __post_init__(self) -> None:
        require_types(self, "devices.")
