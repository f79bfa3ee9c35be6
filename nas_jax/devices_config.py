"""On which devices the steps run, as a frozen dataclass. No JAX."""

from dataclasses import dataclass

from nas_jax.checks import require


@dataclass(frozen=True)
class DevicesConfig:
    """Devices of the search and of the trainings; docs/devices.md."""

    data: int | None = None
    """How many devices share every batch; None for all that JAX sees."""

    def __post_init__(self) -> None:
        require(
            self.data is None or self.data >= 1,
            "devices.data",
            "a positive number of devices, or None for all",
            self.data,
        )
