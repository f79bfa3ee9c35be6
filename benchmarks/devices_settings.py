"""What `benchmarks devices` runs. No JAX."""

from dataclasses import dataclass

from nas_jax.config.checks import require


@dataclass(frozen=True)
class DevicesBenchConfig:
    """`benchmarks devices`: one device, several, and several processes say the same."""

    devices: int = 8
    """Simulated on the CPU; in the third search they are shared out among processes."""
    processes: int = 2
    batch: int = 16
    steps: int = 20
    """Weight steps, each followed by an architecture step."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("devices", "processes", "batch", "steps"):
            value = getattr(self, name)
            require(value >= 1, name, "a positive integer", value)
        require(
            self.devices % self.processes == 0,
            "devices",
            f"a multiple of processes = {self.processes}",
            self.devices,
        )
        require(
            self.batch % self.devices == 0,
            "batch",
            f"a multiple of devices = {self.devices}",
            self.batch,
        )
        require(self.seed >= 0, "seed", "0 or more", self.seed)
